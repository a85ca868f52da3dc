"""How does a secret come from a file, as container platforms mount them, instead of a variable?

`BFF_ADMIN_KEY_FILE=/run/secrets/admin-key` stands for `BFF_ADMIN_KEY`. The file is read at the
start. `AUTH0_CLIENT_SECRET_FILE` is a setting of its own, which is read again when it changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

SECRETS = (
    "AUTH0_SECRET", "BFF_ADMIN_KEY", "BFF_FORWARD_AUTH_KEY", "BFF_INTROSPECTION_CLIENTS",
    "BFF_LOG_STREAM_KEY", "BFF_PROVIDER_PROXY", "REDIS_URL",
)  # fmt: skip
"""The variables that may be given as a file."""
FILES = {f"{name}_FILE": name for name in SECRETS}
FILE_MAX_BYTES = 65_536


def read(environ: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """The secrets that *environ* names files for, and what is wrong with these."""
    found: dict[str, str] = {}
    problems = []
    for variable, name in FILES.items():
        path = environ.get(variable)
        if not path:
            continue
        if environ.get(name):
            problems.append(f"{variable}: {name} is set, too; set one of them")
            continue
        try:
            found[name] = _content(Path(path))
        except ValueError as error:
            problems.append(f"{variable}: {error}")
    return found, problems


def _content(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            content = opened.read(FILE_MAX_BYTES + 1)
    except OSError as error:
        raise ValueError(f"can't be read: {error.strerror}") from error
    if len(content) > FILE_MAX_BYTES:
        raise ValueError(f"is larger than {FILE_MAX_BYTES} bytes")
    try:
        # Editors and `echo` end a file with a line end, which is no part of a secret.
        text = content.decode("utf-8").strip()
    except UnicodeDecodeError as error:
        raise ValueError("is not UTF-8") from error
    if not text:
        raise ValueError("is empty")
    return text

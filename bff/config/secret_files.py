"""How does a secret come from a file, as container platforms mount them, instead of a variable?

`BFF_ADMIN_KEY_FILE=/run/secrets/admin-key` stands for `BFF_ADMIN_KEY`. Which of them are read again
when they change: `live_secrets`. `AUTH0_CLIENT_SECRET_FILE` is a setting of its own, which is.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

SECRETS = (
    "AUTH0_SECRET", "BFF_ADMIN_KEY", "BFF_FORWARD_AUTH_KEY", "BFF_INTROSPECTION_CLIENTS",
    "BFF_LOG_STREAM_KEY", "BFF_PROVIDER_PROXY", "BFF_SSF_TOKEN", "REDIS_URL",
)  # fmt: skip
"""The variables that may be given as a file."""
FILES = {f"{name}_FILE": name for name in SECRETS}
FILE_MAX_BYTES = 65_536


def read(
    environ: Mapping[str, str], more: Collection[str] = ()
) -> tuple[dict[str, str], list[str]]:
    """The secrets that *environ* names files for, and what is wrong with these.

    Args:
        environ: All variables.
        more: Those that a file of routes names, beside `SECRETS`.
    """
    found: dict[str, str] = {}
    problems = []
    files = FILES | {f"{name}_FILE": name for name in more}
    for variable, name in files.items():
        path = environ.get(variable)
        if not path:
            continue
        if environ.get(name):
            problems.append(f"{variable}: {name} is set, too; set one of them")
            continue
        try:
            found[name] = content(Path(path))
        except ValueError as error:
            problems.append(f"{variable}: {error}")
    return found, problems


def content(file: Path) -> str:
    """The secret in *file*.

    Raises:
        ValueError: There is none; the message doesn't quote it.
    """
    try:
        with file.open("rb") as opened:
            raw = opened.read(FILE_MAX_BYTES + 1)
    except OSError as error:
        raise ValueError(f"can't be read: {error.strerror}") from error
    if len(raw) > FILE_MAX_BYTES:
        raise ValueError(f"is larger than {FILE_MAX_BYTES} bytes")
    try:
        # Editors and `echo` end a file with a line end, which is no part of a secret, and Windows
        # begins one with a byte order mark, which can't be seen.
        text = raw.decode("utf-8-sig").strip()
    except UnicodeDecodeError as error:
        raise ValueError("is not UTF-8") from error
    if not text:
        raise ValueError("is empty")
    return text

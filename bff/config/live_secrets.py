"""Which secrets are read again when their file changes, and which value do they have now?

The keys of programs that call us, the password of Redis, and the token for a transmitter of events.
A replacement that can't be used changes nothing, and is logged as an error. A change of another
secret is only told: sealing keys go to all replicas one step at a time (SECURITY.md).
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import TypeAdapter, ValidationError

from bff.config import secret_files
from bff.config.settings import Settings

log = logging.getLogger("bff.settings")

Stamp = tuple[int, ...] | None

LIVE = (
    "admin_key", "forward_auth_key", "introspection_clients", "log_stream_key", "redis_url",
    "ssf_token",
)  # fmt: skip
"""The fields of the settings that are."""


@dataclass
class LiveSecrets:
    """The secrets that have changed since the start; two are equal if the same ones have."""

    files: Mapping[str, Path] = field(default_factory=dict, compare=False)
    """By the variable that each stands for."""
    values: dict[str, Any] = field(default_factory=dict)
    """By the field of the settings."""
    _seen: dict[str, Stamp] = field(default_factory=dict, compare=False)
    _looking: threading.Lock = field(default_factory=threading.Lock, compare=False)

    def __post_init__(self) -> None:
        self._seen = {variable: _stamp(file) for variable, file in self.files.items()}

    def look(self) -> None:
        """Read the files that have changed; to be called again and again."""
        with self._looking:
            for variable, file in self.files.items():
                # Before reading: a change in between is noticed the next time.
                stamp = _stamp(file)
                if stamp != self._seen[variable]:
                    self._seen[variable] = stamp
                    self._read_again(variable, file)

    def _read_again(self, variable: str, file: Path) -> None:
        setting = f"{variable}_FILE"
        name = next(n for n, info in Settings.model_fields.items() if info.alias == variable)
        if name not in LIVE:
            log.warning("%s has changed; the new value counts after a restart", setting)
            return
        try:
            self.values[name] = _checked(name, secret_files.content(file))
        except ValueError as error:
            log.error("%s: %s; its earlier value stays in use", setting, _said(error))
            return
        log.info("%s has changed and was read again", setting)


def _checked(name: str, text: str) -> Any:
    info = Settings.model_fields[name]
    kind: Any = info.annotation
    for check in info.metadata:
        kind = Annotated[kind, check]
    return TypeAdapter(kind).validate_python(text)


def _said(error: ValueError) -> str:
    if not isinstance(error, ValidationError):
        return str(error)
    # Its own text quotes the value.
    found = error.errors(include_url=False, include_input=False, include_context=False)
    return "; ".join(item["msg"].removeprefix("Value error, ") for item in found)


def _stamp(file: Path) -> Stamp:
    """Changes whenever the content does, and when a link leads elsewhere; None without a file."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns

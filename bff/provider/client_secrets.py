"""Which of our secrets or keys does the provider take, now that they are being replaced?

There may be several, newest first. The provider may know the old one only (the new one is not
registered yet) or the new one only (the old one was taken away), so the next is tried where one is
refused, and the one that was taken is remembered. A file is read again when it changes; a bad
replacement changes nothing, and is told as an error.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path

from joserfc.jwk import Key

from bff.core.errors import ConfigError
from bff.provider.client_private_keys import Unreadable

Credential = str | Key

log = logging.getLogger("bff.provider")


class Credentials:
    """A fixed list, newest first; safe for threads.

    Args:
        credentials: The secrets or keys.
    """

    def __init__(self, credentials: tuple[Credential, ...]) -> None:
        self._lock = threading.Lock()
        self._newest_first = credentials
        self._taken = 0

    def to_try(self) -> tuple[Credential, ...]:
        """All of them: the one that was last taken, then the others, newest first."""
        with self._lock:
            first, rest = self._newest_first[self._taken], list(self._newest_first)
            del rest[self._taken]
            return first, *rest

    def note_taken(self, credential: Credential) -> None:
        """The provider took *credential* after it had refused another; it goes first from now."""
        with self._lock:
            for position, one in enumerate(self._newest_first):
                if one is credential and position != self._taken:
                    self._taken = position
                    log.warning(
                        "the provider takes our secret or key number %d of %d, newest first",
                        position + 1,
                        len(self._newest_first),
                    )

    def _replace(self, credentials: tuple[Credential, ...]) -> None:
        with self._lock:
            self._newest_first, self._taken = credentials, 0


class CredentialsFile(Credentials):
    """A list in a file, which is read again when it changes.

    Args:
        path: Where it is; a link that is turned to another file counts as a change.
        parse: Makes the list of its content; raises Unreadable.
        setting: What is named when it can't be used.

    Raises:
        ConfigError: It can't be used at the start.
    """

    def __init__(
        self, path: Path, parse: Callable[[bytes], tuple[Credential, ...]], setting: str
    ) -> None:
        self._path = path
        self._parse = parse
        self._setting = setting
        self._reading = threading.Lock()
        self._seen = self._stamp()
        try:
            super().__init__(self._read())
        except Unreadable as error:
            raise ConfigError([f"{setting}: {error}"]) from None

    def to_try(self) -> tuple[Credential, ...]:
        """As of a fixed list, of what the file holds now."""
        with self._reading:
            # Looked at before it is read, so that a change in between is seen the next time.
            stamp = self._stamp()
            if stamp != self._seen:
                self._seen = stamp
                self._read_again()
        return super().to_try()

    def _read_again(self) -> None:
        try:
            credentials = self._read()
        except Unreadable as error:
            log.error("%s: %s; what it held before goes on being used", self._setting, error)
            return
        log.info("%s has changed and was read again", self._setting)
        self._replace(credentials)

    def _read(self) -> tuple[Credential, ...]:
        try:
            content = self._path.read_bytes()
        except OSError as error:
            raise Unreadable(f"can't be read ({type(error).__name__})") from None
        return self._parse(content)

    def _stamp(self) -> tuple[int, ...] | None:
        """What differs when the content does; None if there is no such file."""
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns

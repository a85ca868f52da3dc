"""Which of our secrets or keys does the provider accept while they are being replaced?

There may be several, newest first. The provider may know only the old one (the new one isn't
registered yet) or only the new one (the old one was removed), so the next one is tried where one is
refused, and the accepted one comes first from then on. A file is read again when it changes; an
unusable replacement changes nothing and is logged as an error.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path

from joserfc.jwk import Key

from bff.core.errors import ConfigError
from bff.provider.client_certificate import ClientCertificate
from bff.provider.client_private_keys import CredentialsUnreadable

Credential = str | Key | ClientCertificate

log = logging.getLogger("bff.provider")


class Credentials:
    """A fixed list, newest first; safe for threads.

    Args:
        credentials: The secrets or keys.
    """

    def __init__(self, credentials: tuple[Credential, ...]) -> None:
        self._lock = threading.Lock()
        self._newest_first = credentials
        self._accepted = 0

    def to_try(self) -> tuple[Credential, ...]:
        """All of them: the one that was last accepted, then the others, newest first."""
        with self._lock:
            first, rest = self._newest_first[self._accepted], list(self._newest_first)
            del rest[self._accepted]
            return first, *rest

    def note_accepted(self, credential: Credential) -> None:
        """The provider accepted *credential*; from now on it comes first."""
        with self._lock:
            for position, one in enumerate(self._newest_first):
                if one is credential and position != self._accepted:
                    self._accepted = position
                    log.warning(
                        "the provider takes our secret or key number %d of %d, newest first",
                        position + 1,
                        len(self._newest_first),
                    )

    def _replace(self, credentials: tuple[Credential, ...]) -> None:
        with self._lock:
            self._newest_first, self._accepted = credentials, 0


class CredentialsFile(Credentials):
    """A list in a file, which is read again when it changes.

    Args:
        path: Of the file; a symbolic link that points to another file now counts as a change.
        parse: Makes the list from the content; raises CredentialsUnreadable.
        setting: Named in messages.

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
        except CredentialsUnreadable as error:
            raise ConfigError([f"{setting}: {error}"]) from None

    def to_try(self) -> tuple[Credential, ...]:
        """As for a fixed list, with the present content of the file."""
        with self._reading:
            # Compared before reading, so that a change in between is noticed the next time.
            stamp = self._stamp()
            if stamp != self._seen:
                self._seen = stamp
                self._read_again()
        return super().to_try()

    def _read_again(self) -> None:
        try:
            credentials = self._read()
        except CredentialsUnreadable as error:
            log.error("%s: %s; its earlier content stays in use", self._setting, error)
            return
        log.info("%s has changed and was read again", self._setting)
        self._replace(credentials)

    def _read(self) -> tuple[Credential, ...]:
        try:
            content = self._path.read_bytes()
        except OSError as error:
            raise CredentialsUnreadable(f"can't be read ({type(error).__name__})") from None
        return self._parse(content)

    def _stamp(self) -> tuple[int, ...] | None:
        """Changes whenever the content does; None if there is no such file."""
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns

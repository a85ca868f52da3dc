"""With which certificate do we authenticate at the provider (RFC 8705), and when is it read again?

Certificate and key are two files, or one file with both. They are read again when one of them has
changed. Replaced one after the other, they don't fit together for a moment: what can't be used
changes nothing and is logged as an error. A connection belongs to the certificate that it was
opened with, so that requests with a new one open new connections.
"""

from __future__ import annotations

import logging
import ssl
import threading
from dataclasses import dataclass
from pathlib import Path

from urllib3.util.ssl_ import create_urllib3_context

from bff.core.errors import ConfigError
from bff.provider.client_private_keys import CredentialsUnreadable

log = logging.getLogger("bff.provider")

CERTIFICATE, KEY = "AUTH0_CLIENT_CERTIFICATE_FILE", "AUTH0_CLIENT_PRIVATE_KEY_FILE"
METHODS = frozenset({"tls_client_auth", "self_signed_tls_client_auth"})
"""The values of `AUTH0_CLIENT_AUTH` that need it."""

Stamp = tuple[int, ...] | None


@dataclass(frozen=True, eq=False)
class ClientCertificate:
    """A certificate with its key, in the context of the connections that it is for."""

    context: ssl.SSLContext


class ClientCertificateFiles:
    """The certificate as its files have it now; in the place of a list of secrets, with one entry.

    Args:
        certificate: PEM: the certificate, then those between it and its CA.
        key: PEM: its private key; None if that is in the same file.
        ca_file: PEM certificates of the CAs that are trusted for the provider.

    Raises:
        ConfigError: They can't be used at the start.
    """

    def __init__(self, certificate: Path, key: Path | None, ca_file: str) -> None:
        self._files = (certificate, key or certificate)
        self._ca_file = ca_file
        self._lock = threading.Lock()
        self._seen = self._stamps()
        try:
            self._current = self._read()
        except CredentialsUnreadable as error:
            raise ConfigError([f"{CERTIFICATE}: {error}"]) from None

    def to_try(self) -> tuple[ClientCertificate, ...]:
        """The one certificate."""
        with self._lock:
            # Compared before reading, so that a change in between is noticed the next time.
            stamps = self._stamps()
            if stamps != self._seen:
                self._seen = stamps
                self._read_again()
            return (self._current,)

    def note_accepted(self, credential: object) -> None:
        """Nothing: there are no others."""

    def _read_again(self) -> None:
        try:
            self._current = self._read()
        except CredentialsUnreadable as error:
            log.error("%s: %s; its earlier content stays in use", CERTIFICATE, error)
            return
        log.info("%s has changed and was read again", CERTIFICATE)

    def _read(self) -> ClientCertificate:
        context = create_urllib3_context()
        context.load_verify_locations(self._ca_file)
        certificate, key = self._files
        try:
            # Without a password OpenSSL would ask for one at the terminal.
            context.load_cert_chain(certificate, key, password="")
        except ssl.SSLError as error:
            reason = (error.reason or "no PEM").lower().replace("_", " ")
            raise CredentialsUnreadable(f"can't be used with {KEY}: {reason}") from None
        except (OSError, ValueError) as error:
            raise CredentialsUnreadable(f"can't be read ({type(error).__name__})") from None
        return ClientCertificate(context)

    def _stamps(self) -> tuple[Stamp, ...]:
        return tuple(map(_stamp, self._files))


def _stamp(file: Path) -> Stamp:
    """Changes whenever the content does, and when a link leads elsewhere; None without a file."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns

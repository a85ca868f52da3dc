"""Can a server be connected to, and how long is its certificate valid? Nothing is sent to it."""

from __future__ import annotations

import socket
import ssl
import time

from bff.cli.check.finding import Finding
from bff.config.route import Origin

TIMEOUT_SECONDS = 5.0
EXPIRES_SOON_DAYS = 14


def look(subject: str, origin: Origin, ca_files: tuple[str, ...], variable: str) -> Finding:
    """Connect, make a TLS handshake if it is https, and close.

    Args:
        subject: The first column of the row.
        origin: Scheme, host and port.
        ca_files: PEM certificates of the CAs that are trusted.
        variable: What the address was set by.
    """
    scheme, host, port = origin
    began = time.monotonic()
    try:
        with socket.create_connection((host, port), TIMEOUT_SECONDS) as plain:
            if scheme == "http":
                return Finding(subject, "ok", f"connected in {_milliseconds(began)} ms")
            with _context(ca_files).wrap_socket(plain, server_hostname=host) as secure:
                days = _days_left(secure)
                return _of_certificate(subject, days, f"{secure.version()} {_took(began)}")
    except ssl.SSLCertVerificationError as error:
        meaning = f"its certificate isn't accepted: {error.verify_message}"
        advice = f"Set BFF_CA_FILE to the CA of its certificate, or correct {variable}"
        return Finding(subject, "failed", meaning, advice)
    except ssl.SSLError as error:
        meaning = f"TLS fails: {error.reason or type(error).__name__}"
        return Finding(subject, "failed", meaning, f"Correct {variable}: is it https?")
    except TimeoutError:
        meaning = f"no connection within {TIMEOUT_SECONDS:.0f} s"
        return Finding(subject, "failed", meaning, f"Start it, or correct {variable}")
    except OSError as error:
        meaning = f"no connection: {error.strerror or error or type(error).__name__}"
        return Finding(subject, "failed", meaning, f"Start it, or correct {variable}")


def _context(ca_files: tuple[str, ...]) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=ca_files[0])
    for one in ca_files[1:]:
        context.load_verify_locations(one)
    return context


def _days_left(connection: ssl.SSLSocket) -> float:
    certificate = connection.getpeercert() or {}
    expires_at = ssl.cert_time_to_seconds(str(certificate["notAfter"]))
    return (expires_at - time.time()) / 86_400


def _of_certificate(subject: str, days: float, how: str) -> Finding:
    if days < EXPIRES_SOON_DAYS:
        meaning = f"its certificate expires in {days:.0f} days"
        return Finding(subject, "warning", meaning, "Renew it; nothing of ours does")
    return Finding(subject, "ok", f"{how}; its certificate is valid for {days:.0f} more days")


def _took(began: float) -> str:
    return f"in {_milliseconds(began)} ms"


def _milliseconds(began: float) -> int:
    return round((time.monotonic() - began) * 1000)

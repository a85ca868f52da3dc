"""How long does a response of the provider ask us to wait?"""

from __future__ import annotations

from collections.abc import Mapping
from email.utils import parsedate_to_datetime

RETRY_AFTER_MAX_SECONDS = 86_400


def retry_after(headers: Mapping[str, str], now: float) -> int | None:
    """The requested pause in seconds: a number, or the time until a date (RFC 9110, 10.2.3)."""
    value = headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdigit():
        return bounded_pause(int(value[:12]))
    try:
        return bounded_pause(parsedate_to_datetime(value).timestamp() - now + 1)
    except (ValueError, TypeError, OverflowError):
        return None


def bounded_pause(seconds: float) -> int:
    """Whole seconds, at least 1 and at most a day."""
    return int(max(1, min(seconds, RETRY_AFTER_MAX_SECONDS)))

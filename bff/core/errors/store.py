"""What can go wrong with what Redis keeps?"""

from __future__ import annotations

from bff.core.errors.root import BFFError


class StoreUnavailable(BFFError):
    """Redis refuses, hangs or is loading. An outage is not a logout (promise 5)."""

    status, code = 503, "store_unavailable"
    message = "Sessions can't be looked up at the moment."
    hint = "You have not been signed out. Please try again in a moment."
    retry_after_seconds = 2


class SealInvalid(BFFError):
    """A sealed value can't be opened with any of our keys."""

    code = "seal_invalid"

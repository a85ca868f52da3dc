"""What can go wrong with Redis, or with a sealed value?"""

from __future__ import annotations

from bff.core.errors.root import BFFError


class StoreUnavailable(BFFError):
    """Redis refuses connections, times out or is loading. An outage ends no session (promise 5)."""

    status, code = 503, "store_unavailable"
    message = "Sessions can't be looked up at the moment."
    hint = "You have not been signed out. Please try again in a moment."
    retry_after_seconds = 2


class AttemptUnknown(StoreUnavailable):
    """Redis can't say whether a sign-in is spent, so its code wasn't sent."""


class SealInvalid(BFFError):
    """None of our keys opens a sealed value."""

    code = "seal_invalid"


class SealKeyUnknown(SealInvalid):
    """A value was sealed with a key that isn't in `AUTH0_SECRET` here: another replica has it."""

    status, code = 503, "seal_key_unknown"
    message = "Sessions can't be looked up at the moment."
    hint = "You have not been signed out. Please try again in a moment."
    retry_after_seconds = 2

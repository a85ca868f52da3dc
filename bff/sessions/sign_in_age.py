"""Is a sign-in newer than every end of all sessions that concerns it (promise 6)?"""

from __future__ import annotations

from bff.core.errors import SignInTooOld
from bff.core.model import Identity
from bff.store import Stores


class SignInAge:
    """Compares sign-ins with the watermarks. Every method raises StoreUnavailable.

    Args:
        stores: Watermarks, Redis's clock, and whether the provider sends `auth_time`.
        skew_seconds: How far the provider's clock may be off.
    """

    def __init__(self, stores: Stores, skew_seconds: int) -> None:
        self._database = stores.database
        self._watermarks = stores.watermarks
        self._auth_time_seen = stores.auth_time_seen
        self._skew_seconds = skew_seconds

    def refuse_too_old(
        self, identity: Identity, authenticated_after: int | None, known_watermark_at: int
    ) -> None:
        """Refuse a sign-in that the provider authenticated before the newest watermark.

        The provider's clock may be slow, so that even a new sign-in looks old. If we asked for a
        new authentication after the watermark, the checks of the ID token have proved that there
        was one, so the clocks don't matter. They never do where `prompt=login` was the proof: the
        user was sent to authenticate when *known_watermark_at* had been read. Its `iat` isn't
        compared: the code may have waited at the provider since before the watermark.

        Args:
            identity: The user, and how they signed in.
            authenticated_after: When we asked for a new authentication; None if we didn't.
            known_watermark_at: The newest watermark that was known by then.

        Raises:
            SignInTooOld: It is refused.
        """
        if identity.auth_time is not None:
            self._auth_time_seen.note()
        watermark_at = self._watermarks.newest(identity)
        if watermark_at is None:
            return
        if identity.auth_time is not None and identity.auth_time >= watermark_at:
            return
        if identity.prompted_at is not None and known_watermark_at >= watermark_at:
            return
        if (authenticated_after or 0) - self._skew_seconds >= watermark_at:
            return
        # A second end in the second of the first leaves the same instant, so one that isn't reached
        # yet says nothing about what comes before or after it.
        reached = self._database.now() >= watermark_at
        raise SignInTooOld(
            "older than the end of all sessions", watermark_at=watermark_at if reached else 0
        )

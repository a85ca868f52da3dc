"""Which revocations at the provider were our own?

The provider's log tells of them like of anybody's. What is written here, before the provider is
asked, lets the echo be known when it comes. A provider session is named by a keyed hash; a token
that has none (it never came to a session) is noted under an empty name, and explains any event of
that moment.
"""

from __future__ import annotations

from bff.core.sealing import Sealer
from bff.store.connection import Database

KEPT_SECONDS = 8 * 86_400
KEPT_MAX = 100


class SentRevocations:
    """Remembers when we asked for the revocation of which provider session's tokens.

    Args:
        issuer: The provider.
        within_seconds: How much later than it was asked the provider may say that it acted: the
            timeout of a call, and how far its clock may be off.
    """

    def __init__(
        self, database: Database, sealer: Sealer, issuer: str, within_seconds: float
    ) -> None:
        self._database = database
        self._keys = database.keys
        self._sealer = sealer
        self._issuer = issuer
        self._within_seconds = within_seconds

    def note(self, sid: str | None) -> None:
        """Remember that the provider is asked now; raises StoreUnavailable."""
        name = self._keys.sent_revocations(self._hashes(sid or "")[0])
        now = self._database.now()
        self._database.commands(
            ("ZADD", name, now, f"{now:.6f}"),
            ("ZREMRANGEBYRANK", name, 0, -KEPT_MAX - 1),
            ("EXPIRE", name, KEPT_SECONDS),
        )

    def is_echo(self, sid: str, at: float) -> bool:
        """Whether an event about *sid* at that instant may be the echo of our own asking."""
        span = (at - self._within_seconds, at + self._within_seconds)
        names = [self._keys.sent_revocations(h) for s in (sid, "") for h in self._hashes(s)]
        return any(self._database.commands(*(("ZCOUNT", name, *span) for name in names)))

    def _hashes(self, sid: str) -> list[str]:
        return self._sealer.keyed_hashes("revoked", self._issuer, sid)

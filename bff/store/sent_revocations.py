"""Which revocations in the provider's log were requested by the BFF?

The log stream reports them like any other. An instant that is stored before each request lets us
recognise the echo. A provider session is named by a keyed hash; a token without one (it never
belonged to a session) is stored under an empty name, and explains any event of that moment.
"""

from __future__ import annotations

from bff.core.sealing import Sealer
from bff.store.connection import Database

LIFETIME_SECONDS = 8 * 86_400
INSTANTS_MAX = 100


class SentRevocations:
    """Stores when the BFF requested the revocation of a provider session's tokens.

    Args:
        issuer: The provider.
        within_seconds: How far apart request and event may be: the time-out of the request and the
            clock skew.
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
        """Store that a revocation is requested now; raises StoreUnavailable."""
        name = self._keys.sent_revocations(self._hashes(sid or "")[0])
        now = self._database.now()
        self._database.commands(
            ("ZADD", name, now, f"{now:.6f}"),
            ("ZREMRANGEBYRANK", name, 0, -INSTANTS_MAX - 1),
            ("EXPIRE", name, LIFETIME_SECONDS),
        )

    def is_echo(self, sid: str, at: float) -> bool:
        """Whether an event about *sid* at that instant may be the echo of our own request."""
        span = (at - self._within_seconds, at + self._within_seconds)
        names = [self._keys.sent_revocations(h) for s in (sid, "") for h in self._hashes(s)]
        return any(self._database.commands(*(("ZCOUNT", name, *span) for name in names)))

    def _hashes(self, sid: str) -> list[str]:
        return self._sealer.keyed_hashes("revoked", self._issuer, sid)

"""Which one-time messages (by their `jti`) were acted upon already?

A message is written here after it has had its effect, not when it comes: a sender that tries again
after our failure is then served, and a replay after our success is not.
"""

from __future__ import annotations

from bff.core.sealing import Sealer
from bff.store.connection import Database


class SeenMessages:
    """Remembers messages under keyed hashes until they are refused for their age."""

    def __init__(self, database: Database, sealer: Sealer) -> None:
        self._database = database
        self._keys = database.keys
        self._sealer = sealer

    def contains(self, kind: str, issuer: str, message_id: str) -> bool:
        """Whether this message was remembered.

        Args:
            kind: What sort of message; ids are unique within one kind of one issuer only.
            issuer: Who made it.
            message_id: Its `jti` or whatever plays that part.

        Raises:
            StoreUnavailable: Redis is away, so nobody knows.
        """
        names = self._sealer.keyed_hashes(f"seen {kind}", issuer, message_id)
        return any(self._database.commands(*(("EXISTS", self._keys.seen(name)) for name in names)))

    def add(self, kind: str, issuer: str, message_id: str, *, until: int) -> None:
        """Remember a message until that instant; raises StoreUnavailable."""
        name = self._sealer.keyed_hash(f"seen {kind}", issuer, message_id)
        self._database.command("SET", self._keys.seen(name), "1", "EXAT", until)

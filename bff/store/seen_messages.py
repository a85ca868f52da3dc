"""Which one-time messages of the provider have been processed already?

A message is added after it has had its effect, not on arrival: a retry after our failure is then
processed, and a replay after our success is not.
"""

from __future__ import annotations

from bff.core.sealing import Sealer
from bff.store.connection import Database


class SeenMessages:
    """Stores the ids of messages as keyed hashes, until the messages are too old to be accepted."""

    def __init__(self, database: Database, sealer: Sealer) -> None:
        self._database = database
        self._keys = database.keys
        self._sealer = sealer

    def contains(self, kind: str, issuer: str, message_id: str) -> bool:
        """Whether this message was added.

        Args:
            kind: The kind of message; ids are unique within one kind of one issuer only.
            issuer: The issuer of the message.
            message_id: Its `jti` or equivalent.

        Raises:
            StoreUnavailable: Redis is away, so it is unknown.
        """
        names = self._sealer.keyed_hashes(f"seen {kind}", issuer, message_id)
        return any(self._database.commands(*(("EXISTS", self._keys.seen(name)) for name in names)))

    def add(self, kind: str, issuer: str, message_id: str, *, until: int) -> None:
        """Add a message until that instant; raises StoreUnavailable."""
        name = self._sealer.keyed_hash(f"seen {kind}", issuer, message_id)
        self._database.command("SET", self._keys.seen(name), "1", "EXAT", until)

    def add_first(self, kind: str, issuer: str, message_id: str, *, until: int) -> bool:
        """Add a message that must not have its effect twice; false if it was added before.

        A repeated command finds itself, so that a message may count as used that wasn't.

        Raises:
            StoreUnavailable: Redis is away; it may have been added.
        """
        names = self._sealer.keyed_hashes(f"seen {kind}", issuer, message_id)
        # Under each key: another replica may not have the newest one yet.
        added = self._database.commands(
            *(("SET", self._keys.seen(name), "1", "NX", "EXAT", until) for name in names)
        )
        return all(added)

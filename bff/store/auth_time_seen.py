"""Has a sign-in of this provider ever carried `auth_time`?

A provider that never sends it can't prove a new authentication, so an end of all sessions locks
its users out. It is stored, since the command that ends sessions sees no sign-in itself.
"""

from __future__ import annotations

from bff.core.sealing import Sealer
from bff.store.connection import Database


class AuthTimeSeen:
    """One mark in Redis, for all processes. Every method raises StoreUnavailable.

    Args:
        database: The Redis.
        sealer: Names the key.
        issuer: The provider; another one may behave otherwise.
    """

    def __init__(self, database: Database, sealer: Sealer, issuer: str) -> None:
        self._database = database
        names = sealer.keyed_hashes("auth_time seen", issuer)
        self._keys = [database.keys.auth_time_seen(name) for name in names]
        self._noted = False

    def note(self) -> None:
        """A sign-in has carried it; costs a command once in each process."""
        if not self._noted:
            self._database.command("SET", self._keys[0], "1")
            self._noted = True

    def ever(self) -> bool:
        """Whether one has, in any process, since this Redis has data."""
        return any(self._database.commands(*(("EXISTS", key) for key in self._keys)))

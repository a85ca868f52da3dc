"""To which key of its browser is a session bound?

The public key is written into the session's record, once and for all. An end wins: without a record
nothing is written, and the record that becomes a tombstone takes the key with it.
"""

from __future__ import annotations

import base64
import binascii
import secrets
from typing import Literal

from bff.store.connection import Database, Script

Bound = Literal["bound", "taken", "gone"]

# KEYS: session. ARGV: public key, attempt id. A second run finds its own attempt.
_BIND = Script(
    """
    local r = redis.call('HMGET', KEYS[1], 'generation', 'device_key', 'device_attempt')
    if not r[1] then return 'gone' end
    if r[3] == ARGV[2] then return 'bound' end
    if redis.call('HSETNX', KEYS[1], 'device_key', ARGV[1]) == 0 then return 'taken' end
    redis.call('HSET', KEYS[1], 'device_attempt', ARGV[2], 'bound_at', redis.call('TIME')[1])
    return 'bound'
    """
)


class DeviceKeys:
    """Reads and writes the public keys. Every method raises StoreUnavailable.

    Args:
        database: Holds the session records.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._keys = database.keys

    def bind(self, session_key: str, public_key: bytes) -> Bound:
        """Bind a session to a key.

        Returns:
            *bound*; *taken* if it is bound already, whatever to; *gone* if there is no session.
        """
        key = base64.urlsafe_b64encode(public_key)
        arguments = key, secrets.token_hex(8)
        names = [self._keys.session(session_key)]
        # Safely: a failover that loses it would leave a session that any copy of its cookie opens.
        bound: Bound = self._database.run_safely(_BIND, names, *arguments).decode()
        return bound

    def key_of(self, session_key: str) -> bytes | None:
        """The key that a session is bound to; None if there is none that can be read."""
        found = self._database.command("HGET", self._keys.session(session_key), "device_key")
        try:
            return base64.urlsafe_b64decode(found) if found else None
        except binascii.Error:
            return None

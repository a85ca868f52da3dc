"""Where is an access token of the BFF itself stored, which all sessions and replicas share?

Sealed, under a keyed hash of issuer, client id and token rule, until it expires. Beside it are the
lock for requesting a new one and the error of the last request, in the same hash slot. Redis counts
the remaining lifetime, so that no two processes compare their clocks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from bff.core.errors import SealInvalid
from bff.core.model import RouteToken
from bff.core.sealing import Sealer
from bff.store import scripts
from bff.store.connection import Database

_decoder = msgspec.json.Decoder(RouteToken)


@dataclass(frozen=True, slots=True)
class SharedClientToken:
    """A token as it was read."""

    token: RouteToken
    attempt: str
    """Id of the write, so that a newer one can be recognised."""
    left_seconds: float
    """Remaining lifetime."""


@dataclass(frozen=True, slots=True)
class ClientLockAttempt:
    """The outcome of `begin`: one of these kinds.

    - yours: The lock is acquired.
    - locked: Another request has it.
    - newer: There is a newer token, `shared`.
    - failed: The last request failed a moment ago, with the error code `failure`.
    """

    kind: Literal["yours", "locked", "newer", "failed"]
    shared: SharedClientToken | None = None
    failure: str = ""


class SharedClientTokens:
    """Reads and writes these tokens. Every method raises StoreUnavailable.

    Args:
        database: Holds the tokens.
        sealer: Seals the tokens, and hashes their names.
        client: Issuer and client id: a token of another client isn't found.
    """

    def __init__(self, database: Database, sealer: Sealer, client: tuple[str, str]) -> None:
        self._database = database
        self._keys = database.keys
        self._sealer = sealer
        self._client = client

    def read(self, rule_name: str) -> SharedClientToken | None:
        """The current token for this rule, in one round trip; None if there is none."""
        key = self._keys.client_token(self._named(rule_name))
        row, left = self._database.commands(("HMGET", key, "token", "attempt"), ("PTTL", key))
        return self._opened(rule_name, row[0], row[1], left) if row[0] else None

    def begin(
        self, rule_name: str, seen: str, owner: str, lock_seconds: float
    ) -> ClientLockAttempt:
        """Try to acquire the lock for requesting a new token.

        Args:
            rule_name: The token's rule.
            seen: `attempt` of the token that was read; empty if there was none.
            owner: A random id of this attempt.
            lock_seconds: The lock is released after this, if not before.
        """
        name = self._named(rule_name)
        keys = [
            self._keys.client_token(name),
            self._keys.client_lock(name),
            self._keys.client_failure(name),
        ]
        lock_ms = int(lock_seconds * 1000)
        reply = self._database.run(scripts.BEGIN_CLIENT_TOKEN, keys, owner, lock_ms, seen)
        kind: Any = reply[0].decode()
        if kind == "failed":
            return ClientLockAttempt(kind, failure=reply[1].decode())
        if kind == "newer":
            return ClientLockAttempt(kind, shared=self._opened(rule_name, *reply[1:]))
        return ClientLockAttempt(kind)

    def keep(
        self, rule_name: str, owner: str, token: RouteToken, left_seconds: float
    ) -> SharedClientToken:
        """Store a new token for all processes, and release the lock."""
        name = self._named(rule_name)
        sealed = self._sealer.seal(msgspec.json.encode(token), _context(rule_name))
        left_ms = max(1, int(left_seconds * 1000))
        keys = [self._keys.client_token(name), self._keys.client_lock(name)]
        self._database.run(scripts.KEEP_CLIENT_TOKEN, keys, owner, sealed, left_ms)
        return SharedClientToken(token, owner, left_seconds)

    def fail(self, rule_name: str, owner: str, failure: str, seconds: float) -> None:
        """Release the lock; store the *failure* for *seconds*."""
        name = self._named(rule_name)
        keys = [self._keys.client_lock(name), self._keys.client_failure(name)]
        self._database.run(scripts.END_REFRESH, keys, owner, failure, max(1, int(seconds * 1000)))

    def _opened(
        self, rule_name: str, sealed: bytes, attempt: bytes, left_milliseconds: int
    ) -> SharedClientToken:
        try:
            token = _decoder.decode(self._sealer.open(sealed, _context(rule_name)))
        except SealInvalid:
            # An expired token in its place makes the caller request a new one.
            nothing = RouteToken(name=rule_name, access_token="", expires_at=0, issued_at=0)
            return SharedClientToken(nothing, attempt.decode(), 0)
        return SharedClientToken(token, attempt.decode(), left_milliseconds / 1000)

    def _named(self, rule_name: str) -> str:
        return self._sealer.keyed_hash("client token", *self._client, rule_name)


def _context(rule_name: str) -> str:
    return f"client token {rule_name}"

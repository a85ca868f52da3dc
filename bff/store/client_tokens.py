"""Where is an access token of the BFF itself, which all sessions and all replicas share?

Sealed, under a keyed hash of what it is for, as long as it lives. Beside it are the lock of whoever
asks for a new one and the failure that somebody met a moment ago; the three share a hash slot. How
long it still lives is Redis's to say, so that no two processes compare their clocks.
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
    """A token as it was found."""

    token: RouteToken
    attempt: str
    """Names the write, so that a newer one is told from it."""
    left_seconds: float


@dataclass(frozen=True, slots=True)
class ClientTurn:
    """Whose turn is it to ask for a new one? The answer of `begin`."""

    kind: Literal["yours", "locked", "newer", "failed"]
    shared: SharedClientToken | None = None
    failure: str = ""


class SharedClientTokens:
    """Reads and writes them.

    Args:
        database: Where they are.
        sealer: Seals them, and names them.
        client: Issuer and client id: what belongs to another client is not found.
    """

    def __init__(self, database: Database, sealer: Sealer, client: tuple[str, str]) -> None:
        self._database = database
        self._keys = database.keys
        self._sealer = sealer
        self._client = client

    def read(self, rule_name: str) -> SharedClientToken | None:
        """The token that there is for this rule, in one round trip.

        Raises:
            StoreUnavailable: Redis is away.
        """
        key = self._keys.client_token(self._named(rule_name))
        row, left = self._database.commands(("HMGET", key, "token", "attempt"), ("PTTL", key))
        return self._opened(rule_name, row[0], row[1], left) if row[0] else None

    def begin(self, rule_name: str, seen: str, owner: str, lease_seconds: float) -> ClientTurn:
        """Ask for the lock, for who has seen the write *seen* (or none: empty)."""
        name = self._named(rule_name)
        keys = [
            self._keys.client_token(name),
            self._keys.client_lock(name),
            self._keys.client_failure(name),
        ]
        lease_ms = int(lease_seconds * 1000)
        answer = self._database.run(scripts.BEGIN_CLIENT_TOKEN, keys, owner, lease_ms, seen)
        kind: Any = answer[0].decode()
        if kind == "failed":
            return ClientTurn(kind, failure=answer[1].decode())
        if kind == "newer":
            return ClientTurn(kind, shared=self._opened(rule_name, *answer[1:]))
        return ClientTurn(kind)

    def keep(
        self, rule_name: str, owner: str, token: RouteToken, left_seconds: float
    ) -> SharedClientToken:
        """Write a new token for all, and give the lock back."""
        name = self._named(rule_name)
        sealed = self._sealer.seal(msgspec.json.encode(token), _context(rule_name))
        left_ms = max(1, int(left_seconds * 1000))
        keys = [self._keys.client_token(name), self._keys.client_lock(name)]
        self._database.run(scripts.KEEP_CLIENT_TOKEN, keys, owner, sealed, left_ms)
        return SharedClientToken(token, owner, left_seconds)

    def fail(self, rule_name: str, owner: str, failure: str, seconds: float) -> None:
        """Give the lock back; the failure is remembered for *seconds*."""
        name = self._named(rule_name)
        keys = [self._keys.client_lock(name), self._keys.client_failure(name)]
        self._database.run(scripts.END_REFRESH, keys, owner, failure, max(1, int(seconds * 1000)))

    def _opened(
        self, rule_name: str, sealed: bytes, attempt: bytes, left_milliseconds: int
    ) -> SharedClientToken:
        try:
            token = _decoder.decode(self._sealer.open(sealed, _context(rule_name)))
        except SealInvalid:
            # Whatever it is, it is of no use, and a new one takes its place.
            nothing = RouteToken(name=rule_name, access_token="", expires_at=0, issued_at=0)
            return SharedClientToken(nothing, attempt.decode(), 0)
        return SharedClientToken(token, attempt.decode(), left_milliseconds / 1000)

    def _named(self, rule_name: str) -> str:
        return self._sealer.keyed_hash("client token", *self._client, rule_name)


def _context(rule_name: str) -> str:
    return f"client token {rule_name}"

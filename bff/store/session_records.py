"""How is one session stored: its record and its tombstone?

The keys of one session carry the session's hash as hash tag, so they share a slot of a cluster.
Tokens and identity are sealed; the session's hash and the field's name are the associated data.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from bff.core.errors import SealInvalid
from bff.core.model import Identity, Session, Tokens
from bff.core.sealing import Sealer
from bff.store import scripts
from bff.store.connection import Database

SLIDE_SECONDS = 60
"""The idle end is moved at most this often, and four times within a shorter idle time."""
TOMBSTONE_EXTRA_SECONDS = 86_400
BLOCKED_SECONDS = 86_400
"""Longer than any process takes, or stalls, between writing a session's index and its record."""

_tokens_decoder = msgspec.json.Decoder(Tokens)
_identity_decoder = msgspec.json.Decoder(Identity)
_encode = msgspec.json.encode

Replaced = Literal["applied", "already", "superseded", "gone"]
DONE: frozenset[Replaced] = frozenset({"applied", "already"})
"""The answers of `replace_tokens` after which the record holds what was written."""


@dataclass(frozen=True, slots=True)
class Ended:
    """What an ended session left: sealed tokens and identity, as long as it is not confirmed."""

    kind: Literal["ended", "tomb", "over", "other", "gone"]
    sealed_tokens: bytes = b""
    sealed_identity: bytes = b""


class SessionRecords:
    """Reads and writes single sessions.

    Args:
        database: Where they are.
        sealer: Seals what is written.
        idle_seconds: How far a request moves the idle end.
        token_lifetime_seconds: How long a refresh token may live: records and tombstones outlast
            the session by it, so that nothing is dropped unrevoked.
    """

    def __init__(
        self, database: Database, sealer: Sealer, *, idle_seconds: int, token_lifetime_seconds: int
    ) -> None:
        self._database = database
        self.keys = database.keys
        self._sealer = sealer
        self._idle_seconds = idle_seconds
        self._slide_seconds = min(SLIDE_SECONDS, idle_seconds / 4)
        self._token_lifetime_seconds = token_lifetime_seconds

    def create(self, session: Session) -> bool:
        """Write a new record; false if this id has ended already."""
        fields: dict[str, str | bytes | int] = {
            "generation": session.generation,
            "tokens": self.seal_tokens(session.key, session.tokens),
            "identity": self._sealer.seal(
                _encode(session.identity), _context(session.key, "identity")
            ),
            "created_at": session.created_at,
            "last_seen_at": session.last_seen_at,
            "idle_ends_at": session.idle_ends_at,
            "absolute_ends_at": session.absolute_ends_at,
        }
        flat = [word for pair in fields.items() for word in pair]
        expire_at = session.absolute_ends_at + self._token_lifetime_seconds
        keys = [self.keys.session(session.key), self.keys.tombstone(session.key)]
        return bool(self._database.run(scripts.CREATE, keys, expire_at, *flat))

    def load(self, key: str, *, slide: bool) -> tuple[Session, bytes | None] | None:
        """The live session and the sealed data of `flask.session`, in one round trip.

        Raises:
            StoreUnavailable: Redis is away.
            SealInvalid: The record was sealed with a key that is gone, or was tampered with.
        """
        row = self._database.run(
            scripts.LOAD,
            [self.keys.session(key)],
            "1" if slide else "0",
            self._idle_seconds,
            self._slide_seconds,
        )
        return (self.opened(key, row), row[7]) if row else None

    def slides_at(self, session: Session) -> float:
        """From when on a `load` moves the idle end."""
        return session.last_seen_at + self._slide_seconds

    def exist(self, keys: list[str]) -> list[bool]:
        """Whether each of these sessions has a record, in one round trip."""
        names = [self.keys.session(key) for key in keys]
        return [bool(n) for n in self._database.commands(*(("EXISTS", name) for name in names))]

    def beginnings(self, keys: list[str]) -> list[tuple[int, int | None] | None]:
        """When each session began, in one round trip: by our clock, and the provider's `auth_time`.

        None without a record. A record that can't be opened has no `auth_time`.
        """
        rows = self._database.commands(
            *(("HMGET", self.keys.session(key), "created_at", "identity") for key in keys)
        )
        return [
            (int(row[0]), self._auth_time(key, row[1])) if row[0] else None
            for key, row in zip(keys, rows, strict=True)
        ]

    def _auth_time(self, key: str, sealed_identity: bytes) -> int | None:
        try:
            return self.open_identity(key, sealed_identity).auth_time
        except SealInvalid:
            return None

    def replace_tokens(
        self, key: str, generation: int, attempt: str, sealed_tokens: bytes
    ) -> Replaced:
        """Write *sealed_tokens* if the record exists and still has *generation*."""
        answer = self._database.run(
            scripts.REPLACE_TOKENS,
            [self.keys.session(key)],
            str(generation),
            attempt,
            sealed_tokens,
        )
        replaced: Replaced = answer.decode()
        return replaced

    def keep_refresh_tokens(self, key: str, refresh_tokens: tuple[str, ...]) -> bool:
        """Add refresh tokens that must be revoked with this session; false if it isn't live."""
        attempt = secrets.token_hex(8)
        while (found := self.load(key, slide=False)) is not None:
            session = found[0]
            missing = tuple(
                t for t in refresh_tokens if t not in session.tokens.all_refresh_tokens()
            )
            if not missing:
                return True
            kept = session.tokens.kept_refresh_tokens + missing
            tokens = msgspec.structs.replace(session.tokens, kept_refresh_tokens=kept)
            sealed = self.seal_tokens(key, tokens)
            # Another writer may come between; then its tokens are read and added to.
            if self.replace_tokens(key, session.generation, attempt, sealed) in DONE:
                return True
        return False

    def write_data(self, key: str, data: bytes) -> bool:
        """Write the data of `flask.session` if the session exists; false if it doesn't."""
        sealed = self._sealer.seal(data, _context(key, "data"))
        return bool(self._database.run(scripts.WRITE_DATA, [self.keys.session(key)], sealed))

    def open_data(self, key: str, sealed: bytes) -> bytes:
        """Open what `write_data` wrote."""
        return self._sealer.open(sealed, _context(key, "data"))

    def end_record(self, key: str, reason: str, generation: int | None = None) -> Ended:
        """Turn the record into a tombstone; from here on it is nobody's session (step 2 of end)."""
        return _ended(
            self._database.run_safely(scripts.END_RECORD, *self._end_call(key, reason, generation))
        )

    def end_records(self, keys: list[str], reason: str) -> list[Ended]:
        """`end_record` for many at once; an id without a record can't become a session any more."""
        calls = []
        for key in keys:
            names, *words = self._end_call(key, reason, None)
            calls.append((names, [*words[:-1], BLOCKED_SECONDS]))
        answers = self._database.run_many(scripts.END_RECORD, calls, safely=True)
        return [_ended(answer) for answer in answers]

    def _end_call(self, key: str, reason: str, generation: int | None) -> tuple[Any, ...]:
        names = [
            self.keys.session(key),
            self.keys.tombstone(key),
            self.keys.lock(key),
            self.keys.failure(key),
            self.keys.recently_ended(key),
        ]
        return (
            names,
            reason,
            self._token_lifetime_seconds + TOMBSTONE_EXTRA_SECONDS,
            "" if generation is None else str(generation),
            "",
        )

    def delete_tombstone(self, key: str, trace_milliseconds: int = 0) -> None:
        """Forget an ended session whose tokens are confirmed revoked, but for a passing trace."""
        keys = [self.keys.tombstone(key), self.keys.recently_ended(key)]
        self._database.run(scripts.FORGET, keys, trace_milliseconds)

    def deadline(self, key: str) -> tuple[Literal["live", "due"], float] | None:
        """Whether the session has run out, and its next deadline; None without a record."""
        answer = self._database.run(scripts.DEADLINE, [self.keys.session(key)])
        return (answer[0].decode(), float(answer[1])) if answer else None

    def seal_tokens(self, key: str, tokens: Tokens) -> bytes:
        """Tokens as they stand in the record."""
        return self._sealer.seal(_encode(tokens), _context(key, "tokens"))

    def open_tokens(self, key: str, sealed: bytes) -> Tokens:
        """Open what `seal_tokens` made; raises SealInvalid."""
        return _tokens_decoder.decode(self._sealer.open(sealed, _context(key, "tokens")))

    def open_identity(self, key: str, sealed: bytes) -> Identity:
        """Open the identity of a record or tombstone; raises SealInvalid."""
        return _identity_decoder.decode(self._sealer.open(sealed, _context(key, "identity")))

    def user_of(self, key: str, sealed_identity: bytes) -> tuple[str, str] | None:
        """Whose session it is or was, for the audit log; None if it can't be opened."""
        try:
            return self.open_identity(key, sealed_identity).user
        except SealInvalid:
            return None

    def opened(self, key: str, row: list[Any]) -> Session:
        """The session in a row of `scripts.LOAD`; raises SealInvalid."""
        return Session(
            key=key,
            generation=int(row[0]),
            tokens=self.open_tokens(key, row[1]),
            identity=self.open_identity(key, row[2]),
            created_at=int(row[3]),
            last_seen_at=int(row[4]),
            idle_ends_at=int(row[5]),
            absolute_ends_at=int(row[6]),
            read_at=float(row[8]),
        )


def _ended(answer: list[bytes]) -> Ended:
    kind: Any = answer[0].decode()
    return Ended(kind, answer[1], answer[2]) if len(answer) == 3 else Ended(kind)


def _context(key: str, field: str) -> str:
    return f"session {key} {field}"

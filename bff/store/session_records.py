"""How is a session stored: its record, and the tombstone that is left when it ends?

The keys of one session carry its hash as hash tag, so they share a slot of a cluster. Tokens,
identity and data are sealed, with the session's hash and the field's name as associated data.
"""

from __future__ import annotations

import contextlib
import secrets
from typing import Any

import msgspec

from bff.core.errors import SealInvalid
from bff.core.model import Identity, Session, Tokens
from bff.core.sealing import Sealer
from bff.store import scripts
from bff.store.clock_steps import SESSION_FROM_FUTURE_SECONDS
from bff.store.connection import Database, ScriptCall
from bff.store.record_results import DONE, Beginning, Deadline, EndedRecord, LoadedSession, Replaced
from bff.store.scripts import RecordRow

SLIDE_SECONDS = 60
"""The idle end is moved at most this often, or four times within a shorter idle time."""
LOADED_AT_ONCE = 100
"""In one round trip; a record has some kilobytes."""
TOMBSTONE_EXTRA_SECONDS = 86_400
BLOCKED_SECONDS = 86_400
"""Longer than a process can take, or stall, between writing a session's index and its record."""

_tokens_decoder = msgspec.json.Decoder(Tokens)
_identity_decoder = msgspec.json.Decoder(Identity)
_encode = msgspec.json.encode


class SessionRecords:
    """Reads and writes single sessions. Every method that does raises StoreUnavailable.

    Args:
        database: Holds the records.
        sealer: Seals what is written.
        idle_seconds: How far a request moves the idle end.
        token_lifetime_seconds: Upper bound for the lifetime of a refresh token: records and
            tombstones outlast the session by it, so that no token is dropped unrevoked.
    """

    def __init__(
        self, database: Database, sealer: Sealer, *, idle_seconds: int, token_lifetime_seconds: int
    ) -> None:
        self._database = database
        self.keys = database.keys
        self.servers = database.servers
        self._sealer = sealer
        self._idle_seconds = idle_seconds
        self._slide_seconds = min(SLIDE_SECONDS, idle_seconds / 4)
        self._token_lifetime_seconds = token_lifetime_seconds

    def create(self, session: Session) -> bool:
        """Write a new record; false if this session has been ended already."""
        fields: dict[str, str | bytes | int] = {
            "generation": session.generation,
            "tokens": self.seal_tokens(session.key, session.tokens),
            "identity": self.seal_identity(session.key, session.identity),
            "created_at": session.created_at,
            "last_seen_at": session.last_seen_at,
            "idle_ends_at": session.idle_ends_at,
            "absolute_ends_at": session.absolute_ends_at,
        }
        flat = [word for pair in fields.items() for word in pair]
        expire_at = session.absolute_ends_at + self._token_lifetime_seconds
        keys = [self.keys.session(session.key), self.keys.tombstone(session.key)]
        return bool(self._database.run(scripts.CREATE, keys, expire_at, *flat))

    def load(self, session_key: str, *, slide: bool) -> LoadedSession | None:
        """Read a session in one round trip; None if there is none, or it has expired.

        Args:
            session_key: SHA-256 of the cookie's id.
            slide: Move the idle end, if that is due.

        Raises:
            SealInvalid: The record was sealed with a key that is gone, or was tampered with.
        """
        keys, arguments = self._load_call(session_key, slide=slide)
        return self._loaded(session_key, self._database.run(scripts.LOAD, keys, *arguments))

    def load_all(self, session_keys: list[str]) -> list[Session]:
        """Those of these sessions that are valid and can be opened; none is extended."""
        found = []
        for start in range(0, len(session_keys), LOADED_AT_ONCE):
            batch = session_keys[start : start + LOADED_AT_ONCE]
            calls = [self._load_call(key, slide=False) for key in batch]
            replies = self._database.run_many(scripts.LOAD, calls)
            for key, reply in zip(batch, replies, strict=True):
                with contextlib.suppress(SealInvalid):
                    found.append(self._loaded(key, reply))
        return [loaded.session for loaded in found if loaded is not None]

    def _load_call(self, session_key: str, *, slide: bool) -> ScriptCall:
        slides = "1" if slide else "0"
        return [self.keys.session(session_key)], [slides, self._idle_seconds, self._slide_seconds]

    def _loaded(self, session_key: str, reply: list[bytes] | None) -> LoadedSession | None:
        row = RecordRow._make(reply) if reply else None
        if row is None or not self.is_vouched_for(row):
            return None
        session = self.open_row(session_key, row)
        # The script sees the other two ends; this one is sealed with the tokens.
        return LoadedSession(session, row.data) if session.read_at < session.ends_at else None

    def is_vouched_for(self, row: RecordRow) -> bool:
        """Whether the session began since Redis last lost something (`history_cut`)."""
        cut_at = self._database.history_cut_at
        if not cut_at:
            return True
        return cut_at <= int(row.created_at) <= float(row.read_at) + SESSION_FROM_FUTURE_SECONDS

    def undo_slide(self, session: Session) -> None:
        """Put the idle end back if loading *session* for the current request has moved it."""
        if session.last_seen_at != int(session.read_at):
            return
        keys = [self.keys.session(session.key)]
        self._database.run(scripts.UNDO_SLIDE, keys, str(session.last_seen_at))

    def open_row(self, session_key: str, row: RecordRow) -> Session:
        """Open the sealed fields of a record; raises SealInvalid."""
        return Session(
            key=session_key,
            generation=int(row.generation),
            tokens=self.open_tokens(session_key, row.tokens),
            identity=self.open_identity(session_key, row.identity),
            created_at=int(row.created_at),
            last_seen_at=int(row.last_seen_at),
            idle_ends_at=int(row.idle_ends_at),
            absolute_ends_at=int(row.absolute_ends_at),
            read_at=float(row.read_at),
            bound_at=int(row.bound_at) if row.bound_at else None,
        )

    def slides_at(self, session: Session) -> float:
        """The instant from which a `load` moves the idle end."""
        return session.last_seen_at + self._slide_seconds

    def exist(self, session_keys: list[str]) -> list[bool]:
        """Whether each of these sessions has a record, in one round trip."""
        names = [self.keys.session(key) for key in session_keys]
        return [bool(n) for n in self._database.commands(*(("EXISTS", name) for name in names))]

    def beginnings(self, session_keys: list[str]) -> list[Beginning | None]:
        """When each session began, in one round trip; None without a record."""
        rows = self._database.commands(
            *(("HMGET", self.keys.session(key), "created_at", "identity") for key in session_keys)
        )
        return [
            Beginning(int(row[0]), self._auth_time(key, row[1])) if row[0] else None
            for key, row in zip(session_keys, rows, strict=True)
        ]

    def _auth_time(self, session_key: str, sealed_identity: bytes) -> int | None:
        try:
            return self.open_identity(session_key, sealed_identity).auth_time
        except SealInvalid:
            return None

    def replace_tokens(
        self, session_key: str, generation: int, attempt: str, sealed_tokens: bytes
    ) -> Replaced:
        """Write *sealed_tokens* if the record exists and still has *generation*."""
        keys = [self.keys.session(session_key)]
        arguments = str(generation), attempt, sealed_tokens
        replaced: Replaced = self._database.run(scripts.REPLACE_TOKENS, keys, *arguments).decode()
        return replaced

    def keep_refresh_tokens(self, session_key: str, refresh_tokens: tuple[str, ...]) -> bool:
        """Add refresh tokens to revoke when this session ends; false if it isn't valid."""
        attempt = secrets.token_hex(8)
        while (found := self.load(session_key, slide=False)) is not None:
            session = found.session
            missing = tuple(
                t for t in refresh_tokens if t not in session.tokens.all_refresh_tokens()
            )
            if not missing:
                return True
            kept = session.tokens.kept_refresh_tokens + missing
            tokens = msgspec.structs.replace(session.tokens, kept_refresh_tokens=kept)
            sealed = self.seal_tokens(session_key, tokens)
            # After another writer's change, its tokens are read and added to.
            if self.replace_tokens(session_key, session.generation, attempt, sealed) in DONE:
                return True
        return False

    def write_data(self, session_key: str, data: bytes, *, replaces: bytes | None = None) -> bool:
        """Write `flask.session`, over the sealed *replaces* if given; false if that has changed."""
        # False, too, if the session is gone. Without data before, *replaces* is empty.
        sealed = self._sealer.seal(data, _context(session_key, "data"))
        arguments = [sealed] if replaces is None else [sealed, replaces]
        keys = [self.keys.session(session_key)]
        return bool(self._database.run(scripts.WRITE_DATA, keys, *arguments))

    def open_data(self, session_key: str, sealed: bytes) -> bytes:
        """Open what `write_data` wrote."""
        return self._sealer.open(sealed, _context(session_key, "data"))

    def end_record(
        self, session_key: str, reason: str, generation: int | None = None
    ) -> EndedRecord:
        """Turn the record into a tombstone; from here on no cookie names the session.

        Args:
            session_key: The session.
            reason: For the tombstone.
            generation: End it only if its record has this one.
        """
        keys, arguments = self._end_call(session_key, reason, generation=generation)
        return _ended_record(self._database.run_safely(scripts.END_RECORD, keys, *arguments))

    def end_records(self, session_keys: list[str], reason: str) -> list[EndedRecord]:
        """`end_record` for many in one round trip; also blocks those without a record.

        Such a session belongs to a sign-in that has written its index, but not yet its record.
        """
        calls = [self._end_call(key, reason, block_seconds=BLOCKED_SECONDS) for key in session_keys]
        replies = self._database.run_many(scripts.END_RECORD, calls, safely=True)
        return [_ended_record(reply) for reply in replies]

    def _end_call(
        self,
        session_key: str,
        reason: str,
        *,
        generation: int | None = None,
        block_seconds: int | None = None,
    ) -> ScriptCall:
        keys = [
            self.keys.session(session_key),
            self.keys.tombstone(session_key),
            self.keys.lock(session_key),
            self.keys.failure(session_key),
            self.keys.recently_ended(session_key),
        ]
        return keys, [
            reason,
            self._token_lifetime_seconds + TOMBSTONE_EXTRA_SECONDS,
            "" if generation is None else str(generation),
            "" if block_seconds is None else block_seconds,
        ]

    def delete_tombstone(self, session_key: str, recently_ended_milliseconds: int = 0) -> None:
        """Delete what is left of a session whose tokens are revoked.

        Args:
            session_key: The session.
            recently_ended_milliseconds: How long `end_record` still returns *over*.
        """
        keys = [self.keys.tombstone(session_key), self.keys.recently_ended(session_key)]
        self._database.run(scripts.FORGET, keys, recently_ended_milliseconds)

    def deadlines(self, session_keys: list[str]) -> list[Deadline | None]:
        """Whether each has expired, and its next deadline, in one round trip; None: no record."""
        calls: list[ScriptCall] = [([self.keys.session(key)], []) for key in session_keys]
        replies = self._database.run_many(scripts.DEADLINE, calls)
        return [Deadline(r[0].decode(), float(r[1])) if r else None for r in replies]

    def seal_tokens(self, session_key: str, tokens: Tokens) -> bytes:
        """Tokens as the record has them."""
        return self._sealer.seal(_encode(tokens), _context(session_key, "tokens"))

    def open_tokens(self, session_key: str, sealed: bytes) -> Tokens:
        """Open what `seal_tokens` made; raises SealInvalid."""
        return _tokens_decoder.decode(self._sealer.open(sealed, _context(session_key, "tokens")))

    def seal_identity(self, session_key: str, identity: Identity) -> bytes:
        """The identity as the record has it."""
        return self._sealer.seal(_encode(identity), _context(session_key, "identity"))

    def open_identity(self, session_key: str, sealed: bytes) -> Identity:
        """Open the identity in a record or tombstone; raises SealInvalid."""
        opened = self._sealer.open(sealed, _context(session_key, "identity"))
        return _identity_decoder.decode(opened)

    def user_of(self, session_key: str, sealed_identity: bytes) -> tuple[str, str] | None:
        """The session's user, for the audit log; None if the identity can't be opened."""
        try:
            return self.open_identity(session_key, sealed_identity).user
        except SealInvalid:
            return None


def _ended_record(reply: list[bytes]) -> EndedRecord:
    kind: Any = reply[0].decode()
    return EndedRecord(kind, reply[1], reply[2]) if len(reply) == 3 else EndedRecord(kind)


def _context(session_key: str, field: str) -> str:
    return f"session {session_key} {field}"

"""What must still be revoked at the provider, and when is it tried next?

An entry is written before its effect (the intent) and deleted after the provider has confirmed.
Until then it becomes due again and again; the process that claims it does the work. All keys share
one slot.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import msgspec

from bff.core.model import Tokens
from bff.core.sealing import Sealer
from bff.store import scripts
from bff.store.connection import Database

Kind = Literal["session", "tokens", "everyone"]

BATCH = 500
"""Entries read in one round trip."""

_tokens_decoder = msgspec.json.Decoder(Tokens)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One session to end (kind `session`), all of them (`everyone`), or tokens without a session to
    revoke (`tokens`).

    The session ends only with this `generation`, if there is one; the session `into`, if any, takes
    over its refresh tokens.
    """

    id: str
    kind: Kind
    reason: str
    session_key: str = ""
    generation: int | None = None
    into: str = ""
    sealed_tokens: bytes = b""
    created_at: float = 0
    attempts: int = 0
    last_error: str = ""


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits: how many entries, and how long ago the oldest was written."""

    waiting: int
    oldest_age_seconds: float


class Outbox:
    """Stores entries until they are confirmed. Every method raises StoreUnavailable."""

    def __init__(self, database: Database, sealer: Sealer) -> None:
        self._database = database
        self._sealer = sealer
        self._keys = database.keys
        self._due = self._keys.outbox_due()

    def add(self, entry: Entry, *, due_in_seconds: float) -> None:
        """Write an intent. An entry that already has this id stays as it is."""
        self.add_all([entry], due_in_seconds=due_in_seconds)

    def add_all(self, entries: list[Entry], *, due_in_seconds: float) -> None:
        """`add` for many in one round trip."""
        calls = []
        for entry in entries:
            fields: dict[str, str | bytes] = {
                "kind": entry.kind,
                "reason": entry.reason,
                "session_key": entry.session_key,
                "generation": "" if entry.generation is None else str(entry.generation),
                "into": entry.into,
                "sealed_tokens": entry.sealed_tokens,
            }
            words: list[str | bytes | float] = [entry.id, due_in_seconds]
            words += [word for pair in fields.items() for word in pair]
            calls.append(([self._due, self._keys.outbox_entry(entry.id)], words))
        self._database.run_many(scripts.OUTBOX_ADD, calls)

    def read(self, entry_id: str) -> Entry | None:
        """Read one entry; None if it is done."""
        raw = self._database.command("HGETALL", self._keys.outbox_entry(entry_id))
        return _from_redis(entry_id, raw) if raw else None

    def claim_due(self, claim_seconds: float, count: int) -> list[Entry]:
        """Claim entries that are due; no other caller gets them for *claim_seconds*."""
        due = self._database.run(scripts.CLAIM_DUE, [self._due], claim_seconds, count)
        ids = [raw_id.decode() for raw_id in due]
        entries = self._read_all(ids)
        if gone := {*ids} - {entry.id for entry in entries}:
            self._database.command("ZREM", self._due, *gone)
        return entries

    def waiting(self) -> list[Entry]:
        """All entries, the next due first; for tests."""
        return list(self.each_waiting())

    def each_waiting(self) -> Iterator[Entry]:
        """All entries, the next due first, read as they are taken: there may be many."""
        ids = [raw_id.decode() for raw_id in self._database.command("ZRANGE", self._due, 0, -1)]
        for start in range(0, len(ids), BATCH):
            yield from self._read_all(ids[start : start + BATCH])

    def backlog(self) -> Backlog:
        """How much waits; reads one short field of each entry."""
        now = self._database.now()
        ids = [raw_id.decode() for raw_id in self._database.command("ZRANGE", self._due, 0, -1)]
        written: list[float] = []
        for start in range(0, len(ids), BATCH):
            keys = map(self._keys.outbox_entry, ids[start : start + BATCH])
            replies = self._database.commands(*(("HGET", key, "created_at") for key in keys))
            written += [float(reply) for reply in replies if reply]
        return Backlog(len(written), max(0.0, now - min(written, default=now)))

    def _read_all(self, ids: list[str]) -> list[Entry]:
        if not ids:
            return []
        replies = self._database.commands(*(("HGETALL", self._keys.outbox_entry(i)) for i in ids))
        return [_from_redis(i, raw) for i, raw in zip(ids, replies, strict=True) if raw]

    def reschedule(self, entry: Entry, seconds: float, error: str) -> None:
        """Count a failed attempt, with a short code of its *error*; try again in *seconds*."""
        keys = [self._due, self._keys.outbox_entry(entry.id)]
        self._database.run(scripts.OUTBOX_RESCHEDULE, keys, entry.id, seconds, error)

    def age_seconds(self, entry: Entry) -> float:
        """How long ago the intent was written; 0 for an entry that wasn't read from Redis."""
        return self._database.now() - entry.created_at if entry.created_at else 0

    def make_due(self, entry_ids: list[str]) -> None:
        """Make entries due for the next drain of any process."""
        members: list[str | float] = [word for entry_id in entry_ids for word in (0, entry_id)]
        if members:
            self._database.command("ZADD", self._due, "XX", *members)

    def put_off(self, entry: Entry, seconds: float) -> None:
        """Postpone a claimed entry without counting a failed attempt."""
        self._database.command("ZADD", self._due, "XX", self._database.now() + seconds, entry.id)

    def done(self, entry_id: str) -> None:
        """Delete a confirmed entry."""
        self._database.commands(
            ("DEL", self._keys.outbox_entry(entry_id)), ("ZREM", self._due, entry_id)
        )

    def seal_tokens(self, entry_id: str, tokens: Tokens) -> bytes:
        """Seal tokens for an entry of kind `tokens`."""
        return self._sealer.seal(msgspec.json.encode(tokens), f"outbox {entry_id}")

    def open_tokens(self, entry: Entry) -> Tokens:
        """Open what `seal_tokens` made; raises SealInvalid."""
        return _tokens_decoder.decode(self._sealer.open(entry.sealed_tokens, f"outbox {entry.id}"))


def _from_redis(entry_id: str, raw: dict[bytes, bytes]) -> Entry:
    def text(name: str) -> str:
        return raw.get(name.encode(), b"").decode()

    kind = text("kind")
    return Entry(
        id=entry_id,
        kind=kind if kind in ("tokens", "everyone") else "session",  # type: ignore[arg-type]
        reason=text("reason"),
        session_key=text("session_key"),
        generation=int(text("generation")) if text("generation") else None,
        into=text("into"),
        sealed_tokens=raw.get(b"sealed_tokens", b""),
        created_at=float(text("created_at") or 0),
        attempts=int(text("attempts") or 0),
        last_error=text("last_error"),
    )

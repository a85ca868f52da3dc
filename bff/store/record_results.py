"""What do the operations on session records return?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from bff.core.model import Session

Replaced = Literal["applied", "already", "superseded", "gone"]
DONE: frozenset[Replaced] = frozenset({"applied", "already"})
"""The results of `replace_tokens` after which the record has the new tokens."""


class LoadedSession(NamedTuple):
    """A session that is still valid."""

    session: Session
    sealed_data: bytes | None
    """Of `flask.session`; `SessionRecords.open_data` opens it."""


class Beginning(NamedTuple):
    """When a session began."""

    created_at: int
    """By our own clock, which is Redis's."""
    auth_time: int | None
    """By the provider's; None if the ID token didn't say, or the record can't be opened."""


class Deadline(NamedTuple):
    """When a session must be checked for expiry."""

    state: Literal["live", "due"]
    at: float


@dataclass(frozen=True, slots=True)
class EndedRecord:
    """The outcome of `end_record`: one of these kinds.

    - ended: The record has become a tombstone.
    - tomb: It was one already.
    - over: The session ended, and its tombstone is gone, but a process may still cache it.
    - other: The record has another generation, so it stays.
    - gone: There is no such session.

    The first two come with sealed tokens and identity.
    """

    kind: Literal["ended", "tomb", "over", "other", "gone"]
    sealed_tokens: bytes = b""
    sealed_identity: bytes = b""

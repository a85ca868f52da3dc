"""Which sessions does a user have, which belong to a provider session, and which expire next?

Users, addresses and provider sessions are named by keyed hashes. The indexes are in other slots
than the records, so they may name sessions that are gone; readers check the record. The deadline
index holds a lower bound: a slide doesn't touch it, the sweep updates it.
"""

from __future__ import annotations

from bff.core.model import Group, Identity, Session, groups_of
from bff.core.sealing import Sealer
from bff.store import scripts
from bff.store.connection import Database
from bff.store.redis_cluster import Command


class Indexes:
    """Finds sessions by user, e-mail address, provider session (`sid`) and deadline."""

    def __init__(self, database: Database, sealer: Sealer) -> None:
        self._database = database
        self._sealer = sealer
        self._deadlines = database.keys.deadlines()

    def add(self, session: Session) -> int:
        """Add a session to its indexes; before its record, so that an end can't miss it.

        Returns:
            How many its user then has; some may have ended.
        """
        self.set_deadline(session.key, session.idle_ends_at)
        groups = groups_of(session.identity)
        counts = self.add_to(groups, session)
        return next(n for group, n in zip(groups, counts, strict=True) if group.kind == "user")

    def add_to(self, groups: list[Group], session: Session) -> list[int]:
        """Add a session to the indexes of *groups*; returns how many each then has."""
        return [
            self._database.run(
                scripts.INDEX_ADD, [self._names(group)[0]], session.absolute_ends_at, session.key
            )
            for group in groups
        ]

    def drop(self, key: str, groups: list[Group]) -> None:
        """Remove a session from the indexes of *groups* alone."""
        commands: list[Command] = [
            ("ZREM", name, key) for group in groups for name in self._names(group)
        ]
        if commands:
            self._database.commands(*commands)

    def remove(self, key: str, identity: Identity | None) -> None:
        """Remove a session from its indexes."""
        commands: list[Command] = [("ZREM", self._deadlines, key)]
        if identity is not None:
            names = [name for group in groups_of(identity) for name in self._names(group)]
            commands += [("ZREM", name, key) for name in names]
        self._database.commands(*commands)

    def members(self, group: Group) -> list[str]:
        """The hashes of the group's sessions; some may have ended. The oldest is the first one."""
        names = [self._deadlines] if group.kind == "everyone" else self._names(group)
        replies = self._database.commands(*(("ZRANGE", name, 0, -1) for name in names))
        return list(dict.fromkeys(m.decode() for members in reversed(replies) for m in members))

    def claim_due(self, claim_seconds: float, count: int) -> list[str]:
        """Claim sessions whose deadline may have passed; no other caller gets them meanwhile."""
        due = self._database.run(scripts.CLAIM_DUE, [self._deadlines], claim_seconds, count)
        return [member.decode() for member in due]

    def set_deadline(self, key: str, deadline_at: float) -> None:
        """Update a session in the deadline index."""
        self.set_deadlines({key: deadline_at})

    def set_deadlines(self, deadlines_at: dict[str, float]) -> None:
        """Update sessions in the deadline index."""
        words = [word for key, at in deadlines_at.items() for word in (at, key)]
        if words:
            self._database.command("ZADD", self._deadlines, *words)

    def forget_deadlines(self, keys: list[str]) -> None:
        """Remove sessions from the deadline index alone."""
        if keys:
            self._database.command("ZREM", self._deadlines, *keys)

    def _names(self, group: Group) -> list[str]:
        """Every key that the group's index may have, the newest first."""
        hashes = self._sealer.keyed_hashes(group.kind, *group.values)
        return [self._database.keys.index(group.kind, name) for name in hashes]

"""Which sessions does a user have, which belong to a session at the provider, which run out next?

Users and provider sessions are named by keyed hashes. The indexes live in other slots than the
records, so they may name sessions that are gone; readers check the record. The deadline index holds
a lower bound: a slide doesn't touch it, the sweep moves it on.
"""

from __future__ import annotations

from bff.model import Identity, Session
from bff.sealing import Sealer
from bff.store import scripts
from bff.store.connection import Database


class Indexes:
    """Finds sessions by user, by provider session (`sid`) and by deadline."""

    def __init__(self, database: Database, sealer: Sealer) -> None:
        self._database = database
        self._sealer = sealer
        self._deadlines = database.key("deadlines")

    def add(self, session: Session) -> None:
        """Write a session into its indexes; before its record, so that an end can't miss it."""
        self.set_deadline(session.key, session.idle_ends_at)
        for name in self._newest_names(session.identity):
            self._database.run(scripts.INDEX_ADD, [name], session.absolute_ends_at, session.key)

    def remove(self, key: str, identity: Identity | None) -> None:
        """Take a session out of its indexes."""
        commands: list[tuple[str | bytes | float, ...]] = [("ZREM", self._deadlines, key)]
        if identity is not None:
            commands += [("ZREM", name, key) for name in self._all_names(identity)]
        self._database.commands(*commands)

    def of_user(self, issuer: str, subject: str) -> list[str]:
        """The hashes of a user's sessions; some may have ended."""
        return self._members(self._sealer.keyed_hashes("user", issuer, subject), "user")

    def of_provider_session(self, issuer: str, sid: str) -> list[str]:
        """The hashes of the sessions that hang on the provider's session *sid*."""
        return self._members(self._sealer.keyed_hashes("sid", issuer, sid), "sid")

    def claim_due(self, lease_seconds: float, count: int) -> list[str]:
        """Sessions whose deadline may have passed; claimed by this caller for the lease."""
        due = self._database.run(scripts.CLAIM_DUE, [self._deadlines], lease_seconds, count)
        return [member.decode() for member in due]

    def set_deadline(self, key: str, deadline_at: float) -> None:
        """Move a session's place in the deadline index."""
        self._database.command("ZADD", self._deadlines, deadline_at, key)

    def _members(self, hashes: list[str], kind: str) -> list[str]:
        names = [self._database.key(kind, name) for name in hashes]
        answers = self._database.commands(*(("ZRANGE", name, 0, -1) for name in names))
        return list(dict.fromkeys(m.decode() for members in answers for m in members))

    def _newest_names(self, identity: Identity) -> list[str]:
        names = [("user", self._sealer.keyed_hash("user", identity.issuer, identity.subject))]
        if identity.sid:
            names.append(("sid", self._sealer.keyed_hash("sid", identity.issuer, identity.sid)))
        return [self._database.key(kind, name) for kind, name in names]

    def _all_names(self, identity: Identity) -> list[str]:
        hashes = self._sealer.keyed_hashes
        names = [("user", h) for h in hashes("user", identity.issuer, identity.subject)]
        if identity.sid:
            names += [("sid", h) for h in hashes("sid", identity.issuer, identity.sid)]
        return [self._database.key(kind, name) for kind, name in names]

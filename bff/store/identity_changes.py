"""How does the record of a living session follow the user's name and e-mail address?

The index comes first, then the watermark, then the record, then the old index: at each instant an
end by either address finds the session, or has raised the watermark that is read here. A kill in
between leaves it in both indexes, and an end by one of them costs the user a sign-in.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from bff.core.model import Group, Identity, Session, groups_of
from bff.store.connection import Database, Script
from bff.store.indexes import Indexes
from bff.store.session_records import SessionRecords
from bff.store.watermarks import Watermarks

Changed = Literal["applied", "superseded", "gone", "too_old"]

# KEYS: session. ARGV: generation that was read, sealed identity. A second run has the same effect.
REPLACE_IDENTITY = Script(
    """
local generation = redis.call('HGET', KEYS[1], 'generation')
if not generation then return 'gone' end
if generation ~= ARGV[1] then return 'superseded' end
redis.call('HSET', KEYS[1], 'identity', ARGV[2])
return 'applied'
"""
)


class IdentityChanges:
    """Writes changed claims. The caller has the session's refresh lock.

    Args:
        database: Holds the records.
        records: Seals and opens them.
        indexes: They follow.
        watermarks: Of the groups that the session comes to.
    """

    def __init__(
        self, database: Database, records: SessionRecords, indexes: Indexes, watermarks: Watermarks
    ) -> None:
        self._database = database
        self._records = records
        self._indexes = indexes
        self._watermarks = watermarks

    def write_claims(self, session_key: str, claims: dict[str, Any]) -> Changed:
        """Write *claims* over those of the session; the others stay.

        Returns:
            *too_old*: all sessions of the new address were ended since the user signed in, so this
            one has to end, too. *superseded*: the record has changed meanwhile; nothing is written.

        Raises:
            StoreUnavailable: Redis is down. The session is in its old groups in any case.
            SealInvalid: The record can't be opened.
        """
        found = self._records.load(session_key, slide=False)
        if found is None:
            return "gone"
        session, old = found.session, found.session.identity
        new = msgspec.structs.replace(old, claims=old.claims | claims)
        before, after = groups_of(old), groups_of(new)
        gained = [group for group in after if group not in before]
        self._indexes.add_to(gained, session)
        if self._is_too_old(session, gained):
            return "too_old"
        changed = self._replace(session, new)
        if changed == "applied":
            self._indexes.drop(session_key, [group for group in before if group not in after])
        elif changed == "gone":
            self._indexes.drop(session_key, gained)
        return changed

    def _replace(self, session: Session, identity: Identity) -> Changed:
        sealed = self._records.seal_identity(session.key, identity)
        keys = [self._records.keys.session(session.key)]
        reply = self._database.run(REPLACE_IDENTITY, keys, str(session.generation), sealed)
        changed: Changed = reply.decode()
        return changed

    def _is_too_old(self, session: Session, gained: list[Group]) -> bool:
        watermark_at = self._watermarks.newest_of(gained) if gained else None
        if watermark_at is None:
            return False
        at = session.identity.authenticated_at
        return (session.created_at if at is None else at) < watermark_at

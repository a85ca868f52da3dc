"""Which live session takes over the refresh tokens of one that is over?

At some providers (Keycloak) the revocation of one refresh token ends the provider's session for the
whole client, and the tokens of every session here that has the same `sid` with it. So as long as
such a session lives, it holds the token and has it revoked when it ends.
"""

from __future__ import annotations

from bff.core.errors import SealInvalid
from bff.core.model import Group, Identity, Session, Tokens
from bff.store import Entry, Stores

SIGN_OUTS = frozenset({"logout", "superseded", "deleted_by_application"})
"""Ends that are meant for the browser: only a session that began afterwards is no part of them."""
KEPT_MAX = 100
"""A session with so many refresh tokens takes no more: they are in the record of each request."""


class Heirs:
    """Finds live sessions with the same provider session.

    Args:
        stores: Sessions and their indexes.
    """

    def __init__(self, stores: Stores) -> None:
        self._records = stores.records
        self._indexes = stores.indexes

    def take_over(self, entry: Entry, tokens: Tokens, identity: Identity | None) -> bool:
        """Let a live session hold the refresh tokens in *tokens*; false if there is none.

        It can be repeated after a crash. The tokens then may be in two sessions with the same
        `sid`, of which the first that ends hands them to the other.

        Args:
            entry: Why they would be revoked, and since when.
            tokens: Of a session that is over, or of none.
            identity: Whose they are.

        Raises:
            StoreUnavailable: Redis is down; a session may have them already.
        """
        if identity is None or identity.sid is None or tokens.client_id is not None:
            return False
        is_sign_out = entry.reason in SIGN_OUTS
        if is_sign_out and not entry.created_at:
            return False  # It happens at this moment.
        group, tried = Group.of_sid(identity.issuer, identity.sid), {entry.session_key}
        # Again, until there is no other: a session that has just ended may have a successor.
        while untried := [key for key in self._indexes.members(group) if key not in tried]:
            tried.update(untried)
            for session in self._live(untried):
                if session.identity.user != identity.user:
                    continue
                if is_sign_out and session.identity.began_at <= entry.created_at:
                    continue
                if self._is_given(session, tokens):
                    return True
        return False

    def _live(self, keys: list[str]) -> list[Session]:
        """Those that are valid and can be opened, the newest first: it may live the longest."""
        exist = self._records.exist(keys)
        found = [self._readable(key) for key, is_there in zip(keys, exist, strict=True) if is_there]
        return sorted((s for s in found if s), key=lambda s: s.created_at, reverse=True)

    def _readable(self, key: str) -> Session | None:
        try:
            found = self._records.load(key, slide=False)
        except SealInvalid:
            return None
        return found.session if found else None

    def _is_given(self, session: Session, tokens: Tokens) -> bool:
        if len(session.tokens.kept_refresh_tokens) >= KEPT_MAX:
            return False
        return self._records.keep_refresh_tokens(session.key, tokens.all_refresh_tokens())

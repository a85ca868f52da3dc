"""How do a session's name, e-mail address and roles follow the provider while it lives?

After each refresh: from the ID token that came with it, and from UserInfo where `BFF_USERINFO` asks
for that. It comes after the new tokens are stored, so whatever fails here costs no token and no
session: the next refresh brings the same again.
"""

from __future__ import annotations

import logging
from typing import Any

from bff.core.dpop import sendable
from bff.core.errors import BFFError, SessionEnded
from bff.core.model import IssuedTokens, Session
from bff.provider.token_endpoint import TokenEndpoint
from bff.revocation.revocation import Revocation
from bff.store import Stores

log = logging.getLogger(__name__)


class ProfileFollowing:
    """Writes what a refresh tells of the user.

    Args:
        stores: Where the claims and the indexes are.
        endpoint: Asks UserInfo.
        revocation: Ends a session whose new address was ended since its sign-in.
        asks_userinfo: `BFF_USERINFO`.
    """

    def __init__(
        self,
        stores: Stores,
        endpoint: TokenEndpoint,
        revocation: Revocation,
        *,
        asks_userinfo: bool,
    ) -> None:
        self._changes = stores.identity_changes
        self._endpoint = endpoint
        self._revocation = revocation
        self._asks_userinfo = asks_userinfo

    def follow(self, session: Session, issued: IssuedTokens, *, is_own: bool) -> None:
        """Write what has changed; only a warning tells that it can't be found out or written.

        Args:
            session: Its refresh lock is ours.
            issued: What the refresh brought.
            is_own: Whether it is the session's own access token; UserInfo takes no other.

        Raises:
            SessionEnded: All sessions of the new address were ended since the user signed in.
        """
        try:
            claims = issued.claims | self._userinfo(session, issued, is_own)
            known = session.identity.claims
            if all(name in known and known[name] == value for name, value in claims.items()):
                return
            if self._changes.write_claims(session.key, claims) != "too_old":
                return
            self._revocation.end(session.key, "address_ended")
        except BFFError as error:
            log.warning("the profile of a session doesn't follow: %s", error.detail)
            return
        raise SessionEnded("all sessions of the user's new address were ended")

    def _userinfo(self, session: Session, issued: IssuedTokens, is_own: bool) -> dict[str, Any]:
        if not (self._asks_userinfo and is_own):
            return {}
        try:
            return self._endpoint.userinfo(sendable(issued), session.identity.subject)
        except BFFError as error:
            log.warning("UserInfo says nothing of a session's user: %s", error.detail)
            return {}

"""May this request use a route, and which access token does the upstream get?

Our own proxy and `/auth/verify` (for a proxy in front) ask here, and get the same decision.
"""

from __future__ import annotations

from bff.access import session_cookie
from bff.access.session_guard import SessionGuard
from bff.config.route import Route
from bff.core.errors import SessionEnded
from bff.sessions.lifecycle import Sessions
from bff.tokens.client_tokens import ClientTokens


class RouteAccess:
    """Decides about requests on routes.

    Args:
        guard: Refuses other sites, and finds the session.
        sessions: Has the access tokens of sessions.
        client_tokens: Has the BFF's own access tokens.
    """

    def __init__(
        self, guard: SessionGuard, sessions: Sessions, client_tokens: ClientTokens
    ) -> None:
        self._guard = guard
        self._sessions = sessions
        self._client_tokens = client_tokens

    def access_token(self, route: Route) -> str | None:
        """The access token for the upstream of *route*; None if it gets none.

        Raises:
            CrossSite, SessionMissing, SessionEnded, StoreUnavailable: As `SessionGuard.session`.
            StepUpRequired: The route requires a stronger or a more recent sign-in.
            RouteTokenRefused: The provider issues none for this route; the session stays.
            ProviderUnavailable, ProviderMisconfigured: The token must be renewed and can't be.
        """
        mode = route.token.mode
        if mode == "none":
            return None
        if mode == "optional":
            return self._if_signed_in(route)
        session = self._guard.api_session(route.step_up)
        if mode == "client":
            # A client token carries nothing of the user, but only a session may cause its use.
            return self._client_tokens.access_token(route.token)
        return self._sessions.access_token(session, route.token)

    def _if_signed_in(self, route: Route) -> str | None:
        """The user's token if there is a session; an ended session counts as none.

        A request with a cookie has to pass the same checks as on other routes: another site is
        refused, and an outage of Redis doesn't turn a signed-in user into an anonymous one.
        """
        browser = session_cookie.current()
        # The response depends on the cookie in any case, so caches must be told (`Vary`).
        browser.accessed = True
        if browser.session_key is None:
            return None
        try:
            return self._sessions.access_token(self._guard.api_session(), route.token)
        except SessionEnded:
            return None

    def session_key(self) -> str | None:
        """The session that the current request has used; None if it has used none."""
        return session_cookie.current().used_session_key

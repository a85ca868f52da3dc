"""Who may use a route, and which access token does its upstream get?

The proxy asks, and so does `/auth/verify` for a proxy in front of us: both get the same answer.
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
        guard: Refuses other sites and finds the session.
        sessions: Keeps the access tokens alive.
        client_tokens: Has the BFF's own tokens.
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
            StepUpRequired: The route wants a stronger or a fresher sign-in.
            RouteTokenRefused: The provider gives none for this route; the session stays.
            ProviderUnavailable, ProviderMisconfigured: The token is due and can't be renewed.
        """
        mode = route.token.mode
        if mode == "none":
            return None
        if mode == "optional":
            return self._if_signed_in(route)
        session = self._guard.api_session(route.step_up)
        if mode == "client":
            # Only who is signed in may have the BFF speak for itself; nothing of them goes along.
            return self._client_tokens.access_token(route.token)
        return self._sessions.access_token(session, route.token)

    def _if_signed_in(self, route: Route) -> str | None:
        """The user's token if there is a session; one that has ended counts as none.

        What comes with a cookie is held to the rules for what comes with a cookie: another site is
        refused, and while Redis is away nobody is taken for a stranger.
        """
        browser = session_cookie.current()
        # The answer hangs on the cookie in any case, so caches must be told (`Vary`).
        browser.accessed = True
        if browser.session_key is None:
            return None
        try:
            return self._sessions.access_token(self._guard.api_session(), route.token)
        except SessionEnded:
            return None

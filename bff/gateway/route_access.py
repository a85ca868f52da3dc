"""May this request use a route, and which access token does the upstream get?

Our own proxy and `/auth/verify` (for a proxy in front) ask here, and get the same decision.
"""

from __future__ import annotations

from flask import request

from bff.access import session_cookie
from bff.access.cookie_header import refuse_unreadable
from bff.access.session_guard import MEANT_FOR, SessionGuard
from bff.config.route import Route
from bff.core.errors import SessionEnded
from bff.tokens.access_tokens import AccessTokens


class RouteAccess:
    """Decides about requests on routes.

    Args:
        guard: Refuses other sites, and finds the session.
        tokens: Gets the access token that the route's rule names.
    """

    def __init__(self, guard: SessionGuard, tokens: AccessTokens) -> None:
        self._guard = guard
        self._tokens = tokens

    def access_token(self, route: Route) -> str | None:
        """The access token for the upstream of *route*; None if it gets none.

        Raises:
            CrossSite, SessionMissing, SessionEnded, SessionChanged, StoreUnavailable: As
                `SessionGuard.session`.
            StepUpRequired: The route requires a stronger or a more recent sign-in.
            RouteTokenRefused: The provider issues none for this route; the session stays.
            ProviderUnavailable, ProviderMisconfigured: The token must be renewed and can't be.
        """
        mode = route.token.mode
        if mode == "none":
            return None
        if mode == "optional":
            return self._if_signed_in(route)
        # The mode `client` requires a session, too, though nothing of it goes to the upstream.
        return self._tokens.for_route(route.token, self._guard.api_session(route.step_up))

    def _if_signed_in(self, route: Route) -> str | None:
        """The user's token if there is a session; an ended session counts as none.

        A request with a cookie has to pass the same checks as on other routes: another site is
        refused, and an outage of Redis doesn't turn a signed-in user into an anonymous one.
        """
        browser = session_cookie.current()
        # The response depends on the cookie in any case, so caches must be told (`Vary`).
        browser.accessed = True
        browser.report_repeated()
        # What is meant for a user's session isn't done anonymously.
        may_be_anonymous = MEANT_FOR not in request.environ
        if browser.session_key is None and may_be_anonymous:
            refuse_unreadable(request.environ)
            return None
        try:
            return self._tokens.for_route(route.token, self._guard.api_session())
        except SessionEnded:
            if may_be_anonymous:
                return None
            raise

    def session_key(self) -> str | None:
        """The session that the current request has used; None if it has used none."""
        return session_cookie.current().used_session_key

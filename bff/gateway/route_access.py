"""May this request use a route, and which access token does the upstream get?

Our own proxy and `/auth/verify` (for a proxy in front) ask here, and get the same decision.
"""

from __future__ import annotations

from bff.access import session_cookie
from bff.access.session_guard import SessionGuard
from bff.config.route import Route
from bff.core.dpop import BoundToken
from bff.core.errors import TokenNotBound
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

        A `BoundToken` goes upstream only with a proof (`api_proofs`).

        Raises:
            CrossSite, SessionMissing, SessionEnded, SessionChanged, StoreUnavailable: As
                `SessionGuard.session`.
            StepUpRequired: The route requires a stronger or a more recent sign-in.
            TokenNotBound: The route demands a bound token, and it is a bearer token.
            RouteTokenRefused: The provider issues none for this route; the session stays.
            ProviderUnavailable, ProviderMisconfigured: The token must be renewed and can't be.
        """
        mode = route.token.mode
        if mode == "none":
            return None
        if mode == "optional":
            session = self._guard.session_if_any(self._guard.api_session)
            if session is None:
                return None
        else:
            # The mode `client` requires a session, too, though nothing of it goes to the upstream.
            session = self._guard.api_session(route.step_up)
        token = self._tokens.for_route(route.token, session)
        if route.token.dpop == "required" and not isinstance(token, BoundToken):
            raise TokenNotBound(f'dpop = "required" on {route.prefix}, and a bearer token')
        return token

    def used_session(self) -> tuple[str | None, str | None]:
        """The key of the session that the current request has used, and its user; None twice, if
        it has used none."""
        session = session_cookie.current().loaded
        if session is None:
            return None, None
        return session.key, f"{session.identity.issuer} {session.identity.subject}"

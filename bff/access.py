"""Who may use a route, and which access token does its upstream get?

The proxy asks, and so does `/auth/verify` for a proxy in front of us: both get the same answer.
"""

from __future__ import annotations

from bff.guard import Guard
from bff.route import Route
from bff.sessions import Sessions


class Access:
    """Decides about requests on routes.

    Args:
        guard: Refuses other sites and finds the session.
        sessions: Keeps the access tokens alive.
    """

    def __init__(self, guard: Guard, sessions: Sessions) -> None:
        self._guard = guard
        self._sessions = sessions

    def access_token(self, route: Route) -> str | None:
        """The access token for the upstream of *route*; None if it gets none.

        Raises:
            CrossSite, SessionMissing, SessionEnded, StoreUnavailable: As `Guard.session`.
            ProviderUnavailable, ProviderMisconfigured: The token is due and can't be renewed.
        """
        if route.token.mode == "none":
            return None
        return self._sessions.access_token(self._guard.api_session())

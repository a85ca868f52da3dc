"""Who is the user of the current request, for a view of the application's own?"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from bff.access.own_routes import own_guard


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A signed-in user; names nobody outside of this application's provider.

    Attributes:
        issuer: The provider (`iss`).
        subject: The user's id there (`sub`), unique only together with the issuer.
        claims: What was kept of the ID token (`BFF_PROFILE_CLAIMS`).
        authenticated_at: When the user authenticated, as far as the provider says.
    """

    issuer: str
    subject: str
    claims: Mapping[str, Any]
    authenticated_at: int | None


def current_user() -> User | None:
    """The user of this request; None if nobody is signed in.

    Raises:
        RuntimeError: This is no request of `create_app`'s application, or it is on a machine route.
        CrossSite: Another site has caused the request, and it has the session's cookie.
        SessionChanged: It is meant for another session (`X-BFF-Session`).
        DeviceUnproven, DeviceUnbound, DeviceCheckUnavailable: The session is bound to a browser,
            and the request doesn't show that it comes from there.
        StoreUnavailable: Redis is away, so nobody knows.
    """
    guard = own_guard()
    session = guard.session_if_any(guard.session)
    if session is None:
        return None
    identity = session.identity
    # A copy: the session may be in the cache, and a view must not change it there.
    claims = MappingProxyType(deepcopy(identity.claims))
    return User(
        issuer=identity.issuer,
        subject=identity.subject,
        claims=claims,
        authenticated_at=identity.authenticated_at,
    )

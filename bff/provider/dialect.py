"""Where do providers differ, and what does the standard say there?

To add a provider's quirk, copy `auth0.py`, override the methods that differ, and choose the class
in `create.py`. Extensions of Auth0 that are harmless with any provider are accepted from every
provider, at the place that reads them; `grep -rn '# Auth0:' bff` lists those places.
"""

from __future__ import annotations

from typing import Any, Literal

import requests

from bff.config import Config
from bff.provider.jws import number
from bff.provider.retry_after import retry_after


class Dialect:
    """The standard; a subclass overrides what its provider does otherwise."""

    resource_parameter: Literal["audience", "resource"] = "resource"
    """Names the API in a request for an access token (RFC 8707, section 2)."""

    def retry_after_seconds(self, response: requests.Response, now: float) -> int | None:
        """How long *response* asks us to wait, if it does; *now* in UTC epoch seconds.

        Source: RFC 9110, section 10.2.3.
        """
        return retry_after(response.headers, now)

    def refuses_client(self, status: int, error: str) -> bool:
        """Whether an error response means that our secret or key was refused (RFC 6749, 5.2)."""
        # Auth0: a wrong secret gets a 401 with `access_denied`, at Keycloak `unauthorized_client`.
        told = status == 401 and error in ("access_denied", "unauthorized_client")
        return told or error == "invalid_client"

    def session_ends_at(self, claims: dict[str, Any]) -> int | None:
        """When the provider's own session ends, from the claims of an ID token.

        OpenID Connect has no such claim, so None is usual.
        """
        # Auth0: `session_expiry`.
        return number(claims.get("session_expiry"))

    def logout_parameters(self, config: Config) -> dict[str, str | None]:
        """Parameters for the logout at the provider, over those of the standard.

        One that is None is left out, also if the standard has it.
        """
        return {}

    def logout_url_without_endpoint(self, config: Config, state: str) -> str | None:
        """Where to sign out if the metadata has no `end_session_endpoint`; None for nowhere."""
        return None

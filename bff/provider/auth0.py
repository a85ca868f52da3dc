"""What does Auth0 do otherwise than the standard says?

Four things: an API is named by `audience` instead of `resource`, `federated` also signs the user
out of the identity provider behind the tenant, a tenant without `end_session_endpoint` has
`/v2/logout`, and a 429 may tell the end of the pause in `X-RateLimit-Reset`.
"""

from __future__ import annotations

from urllib.parse import urljoin

import requests

from bff.provider.endpoints import with_parameters
from bff.provider.oidc import Provider
from bff.provider.token_response import bounded_pause


class Auth0Provider(Provider):
    """An Auth0 tenant."""

    # Multi-resource refresh tokens, On-Behalf-Of and client credentials all name the API so.
    resource_parameter = "audience"

    def _more_logout_parameters(self) -> dict[str, str | None]:
        # Documented as a flag without a value; an empty value is how a query carries that.
        return {"federated": ""} if self._config.federated_logout else {}

    def _logout_url_without_endpoint(self, state: str) -> str | None:
        """`/v2/logout` takes no `state`, so the return address carries it.

        The registered address then has to allow it: Auth0 compares without the query here.
        """
        return_to = with_parameters(self._config.post_logout_redirect_uri, {"state": state})
        parameters = {"client_id": self._config.client_id, "returnTo": return_to}
        url = urljoin(self._config.issuer, "/v2/logout")
        return with_parameters(url, parameters | self._more_logout_parameters())

    def _retry_after_seconds(self, response: requests.Response) -> int | None:
        asked = super()._retry_after_seconds(response)
        reset_at = response.headers.get("X-RateLimit-Reset", "")
        if asked is None and response.status_code == 429 and reset_at.isdecimal():
            return bounded_pause(int(reset_at[:12]) - self._clock())
        return asked

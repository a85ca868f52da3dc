"""What does Auth0 do otherwise than the standard says?

Four things that the standard's way can't cover: an API is named by `audience` instead of
`resource`, `federated` also signs the user out of the identity provider behind the tenant, a tenant
without `end_session_endpoint` has `/v2/logout`, and a 429 may give the end of the pause in
`X-RateLimit-Reset`. What Auth0 adds to the standard is accepted from every provider where it is
read: `grep -rn '# Auth0:' bff`.
"""

from __future__ import annotations

from urllib.parse import urljoin

import requests

from bff.config import Config
from bff.provider.dialect import Dialect
from bff.provider.retry_after import bounded_pause
from bff.provider.url_parameters import with_parameters


class Auth0Dialect(Dialect):
    """An Auth0 tenant."""

    # Multi-resource refresh tokens, On-Behalf-Of and client credentials all name the API so.
    resource_parameter = "audience"

    def retry_after_seconds(self, response: requests.Response, now: float) -> int | None:
        """`Retry-After`, else for a 429 the time until `X-RateLimit-Reset`."""
        seconds = super().retry_after_seconds(response, now)
        reset_at = response.headers.get("X-RateLimit-Reset", "")
        if seconds is None and response.status_code == 429 and reset_at.isdecimal():
            return bounded_pause(int(reset_at[:12]) - now)
        return seconds

    def logout_parameters(self, config: Config) -> dict[str, str | None]:
        """`federated`; documented as a flag without a value, which is an empty one in a query."""
        return {"federated": ""} if config.federated_logout else {}

    def logout_url_without_endpoint(self, config: Config, state: str) -> str | None:
        """`/v2/logout`; it has no `state` of its own, so the return address carries it.

        The registered address has to allow that: Auth0 compares without the query here.
        """
        return_to = with_parameters(config.post_logout_redirect_uri, {"state": state})
        parameters = {"client_id": config.client_id, "returnTo": return_to}
        url = urljoin(config.issuer, "/v2/logout")
        return with_parameters(url, parameters | self.logout_parameters(config))

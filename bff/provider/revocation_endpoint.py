"""How is a refresh token revoked at the provider?

Built before `Provider`: a refresh token that comes with a rejected response is handed to the
outbox, and the outbox revokes here.
"""

from __future__ import annotations

from bff.core.errors import ProviderRejected
from bff.provider.endpoints import EndpointClient
from bff.provider.token_response import check_revoked


class RevocationEndpoint:
    """The provider's revocation endpoint (RFC 7009)."""

    def __init__(self, client: EndpointClient) -> None:
        self._client = client

    def revoke(self, refresh_token: str, *, client_id: str | None = None) -> None:
        """Revoke *refresh_token*; one that the provider doesn't know is a success.

        Args:
            refresh_token: As the provider issued it.
            client_id: The client that it was issued to, if not the one that signs users in.

        Raises:
            ProviderUnavailable: 5xx, 429 or no response: it may still be valid.
            ProviderRejected: Refused for good; the code is in `.error` (`invalid_client`, or
                `unsupported_revocation` if there is no such endpoint).

        Source: RFC 7009, sections 2.1 and 2.2.
        """
        client = self._client
        deadline = client.deadline()
        url = client.discovery.metadata(deadline).revocation_endpoint
        if url is None:
            raise ProviderRejected("unsupported_revocation", 404)
        response = client.revoke(url, refresh_token, deadline, client_id)
        check_revoked(response, client.dialect, client.clock())

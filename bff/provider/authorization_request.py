"""How does an authorization request get to the provider: in the URL, or pushed?

A pushed request (RFC 9126) goes from us to the provider directly, with client authentication. The
browser carries a reference only, so the request can't be read or changed on the way.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import requests

from bff.core.errors import ProviderMisconfigured, ProviderUnavailable
from bff.core.model import LoginTransaction
from bff.provider.dialect import Dialect
from bff.provider.endpoints import EndpointClient
from bff.provider.http_transport import Deadline
from bff.provider.metadata import Metadata
from bff.provider.token_response import json_object, refusal
from bff.provider.url_parameters import with_parameters, with_resources

_REQUEST_URI = re.compile(r"[\x21-\x7e]{1,1024}")


class AuthorizationRequests:
    """Builds authorization requests.

    Args:
        client: Pushes the request; its settings say whether to.
    """

    def __init__(self, client: EndpointClient) -> None:
        self._client = client
        self._config = client.config

    def url(
        self,
        metadata: Metadata,
        transaction: LoginTransaction,
        parameters: Mapping[str, str],
        resources: tuple[str, ...],
        deadline: Deadline,
    ) -> str:
        """Where to send the browser; for the arguments and the errors see `Provider`."""
        endpoint, push_to = metadata.authorization_endpoint, self._push_to(metadata)
        if push_to is None:
            return self._url_with_request(endpoint, transaction, parameters, resources)
        # The query of the endpoint itself belongs to the URL, not to the request.
        bare = urlsplit(endpoint)._replace(query="").geturl()
        url = self._url_with_request(bare, transaction, parameters, resources)
        request = parse_qsl(urlsplit(url).query, keep_blank_values=True)
        response = self._client.push(push_to, request, deadline)
        request_uri = request_uri_of(response, self._client.dialect, self._client.clock())
        return with_parameters(
            endpoint, {"client_id": self._config.client_id, "request_uri": request_uri}
        )

    def _url_with_request(
        self,
        endpoint: str,
        transaction: LoginTransaction,
        parameters: Mapping[str, str],
        resources: tuple[str, ...],
    ) -> str:
        """Source: OpenID Connect Core, 3.1.2.1; RFC 7636, 4.3; RFC 9449, 10."""
        more: dict[str, Any] = dict(parameters) | self._config.fixed_login_parameters
        # Auth0: `audience` names the API that the access token is for.
        more.update(
            nonce=transaction.nonce, scope=self._config.scope, audience=self._config.audience
        )
        if transaction.dpop_jkt:
            # In place of a proof at the endpoint for pushing: RFC 9449, section 10.1.
            more["dpop_jkt"] = transaction.dpop_jkt
        if transaction.max_age is not None:
            more["max_age"] = str(transaction.max_age)
        with self._client.session() as session:
            url, _ = session.create_authorization_url(
                endpoint, state=transaction.state, code_verifier=transaction.code_verifier, **more
            )
        return with_resources(str(url), resources)

    def _push_to(self, metadata: Metadata) -> str | None:
        """The endpoint to push to; None if the request goes in the URL.

        A failed push is never replaced by a request in the URL: an attacker who can make it fail
        could then read and change the request.
        """
        endpoint = metadata.pushed_authorization_request_endpoint
        if self._config.par == "required" and endpoint is None:
            raise ProviderMisconfigured(
                "BFF_PAR is required, and there is no pushed_authorization_request_endpoint"
            )
        return None if self._config.par == "off" else endpoint


def request_uri_of(response: requests.Response, dialect: Dialect, now: float) -> str:
    """The reference in the response to a push.

    Raises:
        ProviderUnavailable: 5xx, 429, or anything that can't be understood.
        ProviderMisconfigured: Our registration is at fault.
        ProviderRejected: The request was refused; the code is in `.error`.

    Source: RFC 9126, sections 2.2 and 2.3.
    """
    body = json_object(response)
    if response.status_code not in (200, 201) or (body is not None and "error" in body):
        raise refusal(response, dialect, now)
    request_uri = body.get("request_uri") if body is not None else None
    if not isinstance(request_uri, str) or not _REQUEST_URI.fullmatch(request_uri):
        raise ProviderUnavailable("the push was answered without a usable request_uri")
    return request_uri

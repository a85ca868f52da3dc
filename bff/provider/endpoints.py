"""How is one request to a token endpoint sent, and with which of our secrets or keys?

Authlib's `OAuth2Session` writes the request; `token_response` reads the response, since Authlib's
own reading loses `Retry-After` and fails on an invalid `expires_in`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple, TypeVar

import requests
from authlib.integrations.requests_client import OAuth2Session

from bff.config import Config
from bff.core.dpop import BoundToken, DPoPKey
from bff.core.errors import ClientRefused, ProviderRejected
from bff.provider import client_auth
from bff.provider.client_auth import ClientAuthentication
from bff.provider.client_secrets import Credential
from bff.provider.dialect import Dialect
from bff.provider.discovery import Discovery
from bff.provider.expected_token import BEARER, Expected
from bff.provider.http_transport import Deadline, ExchangeFailed, Transport
from bff.provider.sign_in_requests import SignInRequests
from bff.provider.token_proofs import TokenProofs
from bff.provider.token_response import (
    TokenResponse,
    check_client,
    read_token_response,
)

_T = TypeVar("_T")


class TokenRequest(NamedTuple):
    """Where a token is asked for, as which client, and with which proof."""

    url: str
    """The token endpoint."""
    client_id: str | None = None
    """A route's own client; None for the client that signs users in."""
    any_type: bool = False
    """Also accept a token that is no access token; the caller checks it."""
    key: DPoPKey | None = None
    """The key that the access token is to be bound to; None for a bearer token."""


class EndpointClient:
    """Our client at the provider: its connections, metadata, dialect and credentials.

    Args:
        config: The settings.
        dialect: What the provider does otherwise than the standard says.
        clock: UTC epoch seconds.
        monotonic: Seconds that never go back, for the age of what is cached.

    Raises:
        ConfigError: A file with our secrets or keys can't be used.
    """

    def __init__(
        self,
        config: Config,
        dialect: Dialect,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.config = config
        self.dialect = dialect
        self.clock = clock
        self._transport = Transport(config.trusted_cas, config.provider_proxy_url)
        self.discovery = Discovery(self._transport, config.issuer, monotonic)
        self._own = client_auth.configured(config)
        self._route_clients = client_auth.of_routes(config)
        self._sign_in_requests = SignInRequests()
        self.proofs = TokenProofs(config, self.discovery, clock)

    def close_idle(self) -> int:
        """As `Transport.close_idle`."""
        return self._transport.close_idle()

    def close(self) -> None:
        """Close idle connections."""
        self._transport.close()

    def deadline(self) -> Deadline:
        """The deadline of an operation that begins now (`BFF_PROVIDER_TIMEOUT_SECONDS`)."""
        return Deadline(self.config.provider_timeout_seconds)

    def exchange(
        self, request: TokenRequest, parameters: Mapping[str, str], deadline: Deadline
    ) -> TokenResponse:
        """Exchange an authorization code; raises as `read_token_response`, or Overloaded."""
        arguments = {"grant_type": "authorization_code", **parameters}
        with self._sign_in_requests.place():
            return self._token_response("fetch_token", request, deadline, arguments)

    def refresh(
        self,
        request: TokenRequest,
        refresh_token: str,
        parameters: Mapping[str, str],
        deadline: Deadline,
    ) -> TokenResponse:
        """Spend a refresh token; raises as `read_token_response`."""
        arguments = {"refresh_token": refresh_token, **parameters}
        return self._token_response("refresh_token", request, deadline, arguments)

    def grant(
        self, request: TokenRequest, parameters: Mapping[str, str], deadline: Deadline
    ) -> TokenResponse:
        """Request a token by any other grant; raises as `read_token_response`.

        Args:
            request: As which client.
            parameters: `grant_type` and what belongs to it; those without a value are left out.
            deadline: When the operation must be over.
        """
        return self._token_response("fetch_token", request, deadline, parameters)

    def revoke(
        self, url: str, refresh_token: str, deadline: Deadline, client_id: str | None = None
    ) -> requests.Response:
        """Request a revocation; of the response, only an error about our client is read here.

        Raises:
            ProviderUnavailable: There is no response.
            ProviderRejected: Our secret or key is refused, or no route has *client_id* any more.
        """

        address = self._address(url, client_id)

        def ask(session: _Session) -> requests.Response:
            response: requests.Response = session.revoke_token(
                address, token=refresh_token, token_type_hint="refresh_token",  # noqa: S106
                timeout=deadline.remaining_seconds(), allow_redirects=False,
            )  # fmt: skip
            check_client(response, self.dialect)
            return response

        try:
            return self._as_client(client_id, ask)
        except ClientRefused as error:
            # No page can show it: the token stays in the outbox, which reports it.
            raise ProviderRejected(error.error, error.provider_status) from error

    def push(
        self, url: str, parameters: list[tuple[str, str]], deadline: Deadline
    ) -> requests.Response:
        """Push an authorization request; of the response, only an error about our client is read.

        Raises:
            ProviderUnavailable: There is no response.
            ProviderMisconfigured: Our secret or key is refused.
            Overloaded: Too many sign-ins wait for the provider.

        Source: RFC 9126, section 2.1.
        """

        address = self._address(url, None)

        def ask(session: _Session) -> requests.Response:
            method = session.token_endpoint_auth_method
            # Authlib adds the client's id to the secret; it must not come twice (RFC 6749, 3.1).
            is_twice = method in ("client_secret_post", "none")
            sent = [pair for pair in parameters if not is_twice or pair[0] != "client_id"]
            response: requests.Response = session.post(
                address, data=sent, auth=session.client_auth(method),
                timeout=deadline.remaining_seconds(), allow_redirects=False,
            )  # fmt: skip
            check_client(response, self.dialect)
            return response

        with self._sign_in_requests.place():
            return self._as_client(None, ask)

    def userinfo(self, url: str, access_token: str, deadline: Deadline) -> Any:
        """What UserInfo answers, of any JSON type; raises ProviderUnavailable (Core, 5.3.1)."""
        if isinstance(access_token, BoundToken):
            return self.proofs.get_json(self._transport, url, access_token, deadline)
        return self._transport.get_json(url, deadline, Authorization=f"Bearer {access_token}")

    def page(self, url: str, deadline: Deadline) -> requests.Response:
        """What a browser without a cookie gets at *url*; raises ProviderUnavailable."""
        return self._transport.get(url, deadline)

    def session(self) -> _Session:
        """A session that sends nothing; it writes an authorization request."""
        return self._session(self._own, self._own.credentials.to_try()[0])

    def _as_client(self, client_id: str | None, ask: Callable[[_Session], _T]) -> _T:
        """What *ask* returns, with the first of our secrets or keys that the provider accepts.

        Raises:
            ClientRefused: It accepts none. The request had no effect then, so it may be repeated.
            ProviderUnavailable: There is no response.
        """
        authentication = self._own if client_id is None else self._route_client(client_id)
        refused: ClientRefused | None = None
        for credential in authentication.credentials.to_try():
            try:
                with self._session(authentication, credential) as session:
                    result = ask(session)
            except ExchangeFailed as error:
                raise error.as_unavailable() from error
            except ClientRefused as error:
                refused = refused or error
                continue
            except ProviderRejected:
                authentication.credentials.note_accepted(credential)
                raise
            authentication.credentials.note_accepted(credential)
            return result
        raise refused or ProviderRejected("no_credential", 0)

    def _session(self, authentication: ClientAuthentication, credential: Credential) -> _Session:
        """A new session; cheap, as the connections are shared."""
        follows = authentication.follows_metadata
        metadata = self.discovery.metadata(self.deadline(), any_age=True) if follows else None
        session = _Session(
            self.dialect,
            self.clock,
            self.proofs,
            redirect_uri=self.config.redirect_uri,
            code_challenge_method="S256",
            **authentication.session_arguments(credential, metadata),
        )
        self._transport.prepare(session)
        authentication.register(session, credential)
        return session

    def _route_client(self, client_id: str) -> ClientAuthentication:
        if client_id not in self._route_clients:
            raise ProviderRejected("unknown_client", 0, "no route has this client any more")
        return self._route_clients[client_id]

    def _address(self, url: str, client_id: str | None) -> str:
        """Where a request to *url* goes: a client with a certificate may have to go elsewhere."""
        if client_id is not None or not self._own.by_certificate:
            return url
        return self.discovery.metadata(self.deadline(), any_age=True).mtls_alias(url)

    def _token_response(
        self,
        method: str,
        request: TokenRequest,
        deadline: Deadline,
        arguments: Mapping[str, str],
    ) -> TokenResponse:
        url, client_id, any_type, key = request
        address = self._address(url, client_id)

        def ask(session: _Session) -> TokenResponse:
            if key is not None:
                session.headers["DPoP"] = self.proofs.at_token_endpoint(key, address)
            session.expected = self.proofs.expected(key, any_type=any_type)
            getattr(session, method)(
                address, timeout=deadline.remaining_seconds(), allow_redirects=False, **arguments
            )
            return session.token_response

        if key is None:
            return self._as_client(client_id, ask)
        return self.proofs.with_nonce(partial(self._as_client, client_id, ask))


class _Session(OAuth2Session):  # type: ignore[misc]  # Authlib has no types.
    """Authlib's session, with our own reading of token responses."""

    token_response: TokenResponse
    expected: Expected = BEARER

    def __init__(
        self,
        dialect: Dialect,
        clock: Callable[[], float],
        proofs: TokenProofs,
        **arguments: Any,
    ) -> None:
        super().__init__(**arguments)
        self._proofs = proofs
        self._dialect = dialect
        self._clock = clock

    def close(self) -> None:
        """Nothing to close: all sessions share the connections."""

    def parse_response_token(self, response: requests.Response) -> dict[str, str]:
        """Authlib wants a dictionary; the response that counts is `token_response`."""
        if self.expected.jkt:
            self._proofs.note_nonce(response)
        self.token_response = read_token_response(
            response, self._dialect, self._clock(), self.expected
        )
        self._proofs.note_downgrade(self.expected, self.token_response)
        self.token = {"access_token": self.token_response.access_token, "token_type": "Bearer"}
        return dict(self.token)

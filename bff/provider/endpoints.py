"""How does one call to the token or revocation endpoint go?

Authlib's `OAuth2Session` writes the request; the answer is read by `answers`, since Authlib's own
reading loses `Retry-After` and trips over a rubbish `expires_in`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import requests
from authlib.common.urls import add_params_to_uri
from authlib.integrations.requests_client import OAuth2Session

from bff.config import Config
from bff.core.errors import ClientRefused, ProviderRejected
from bff.provider import client_auth, token_response
from bff.provider.client_auth import ClientAuthentication
from bff.provider.client_secrets import Credential
from bff.provider.http_transport import CallFailed, Deadline, Transport

_T = TypeVar("_T")

RetryAfter = Callable[[requests.Response], int | None]
"""Reads the pause that an answer asks for, in seconds."""


class EndpointClient:
    """Makes the calls.

    Args:
        config: Client id, redirect URI and the way we authenticate.
        transport: The shared connections.
        retry_after: Reads the pause that an answer asks for.

    Raises:
        ConfigError: A file with our secrets or keys can't be used.
    """

    def __init__(self, config: Config, transport: Transport, retry_after: RetryAfter) -> None:
        self._config = config
        self._transport = transport
        self._retry_after = retry_after
        self._own = client_auth.configured(config)
        self._others: dict[str, ClientAuthentication] = {}

    def know_client(self, client_id: str, client_secret: str) -> None:
        """Learn of another client that calls may be made as, with a secret or several."""
        self._others[client_id] = client_auth.other_client(self._config, client_id, client_secret)

    def exchange(
        self, url: str, parameters: Mapping[str, str], deadline: Deadline
    ) -> token_response.TokenResponse:
        """Trade an authorization code; raises like `answers.granted`."""
        arguments = {"grant_type": "authorization_code", **parameters}
        return self._granted("fetch_token", url, deadline, arguments)

    def refresh(
        self, url: str, refresh_token: str, parameters: Mapping[str, str], deadline: Deadline
    ) -> token_response.TokenResponse:
        """Spend a refresh token; raises like `answers.granted`."""
        arguments = {"refresh_token": refresh_token, **parameters}
        return self._granted("refresh_token", url, deadline, arguments)

    def grant(
        self,
        url: str,
        parameters: Mapping[str, str],
        deadline: Deadline,
        *,
        client_id: str | None = None,
        any_type: bool = False,
    ) -> token_response.TokenResponse:
        """Ask for a token by any other grant, as another client if so; raises as the others.

        Args:
            url: The token endpoint.
            parameters: `grant_type` and what belongs to it; those without a value are left out.
            deadline: When it must be over.
            client_id: Who asks, if it isn't the client that signs people in.
            any_type: Also take a token that is no Bearer access token; the caller looks.
        """
        return self._granted("fetch_token", url, deadline, parameters, client_id, any_type)

    def revoke(
        self, url: str, refresh_token: str, deadline: Deadline, client_id: str | None = None
    ) -> requests.Response:
        """Ask for a revocation; the answer is not looked at here.

        Raises:
            ProviderUnavailable: There is no answer.
            ProviderRejected: It was given to another client, which no route has any more.
        """

        def ask(session: _Session) -> requests.Response:
            response: requests.Response = session.revoke_token(
                url, token=refresh_token, token_type_hint="refresh_token",  # noqa: S106
                timeout=deadline.remaining_seconds(), allow_redirects=False,
            )  # fmt: skip
            token_response.check_client(response)
            return response

        try:
            return self._as_client(client_id, ask)
        except ClientRefused as error:
            # Nobody is at the page to be told: it stays in the outbox and is reported there.
            raise ProviderRejected(error.error, error.provider_status) from error

    def push(
        self, url: str, parameters: list[tuple[str, str]], deadline: Deadline
    ) -> requests.Response:
        """Push an authorization request; the answer is only looked at for who we are.

        Raises:
            ProviderUnavailable: There is no answer.
            ProviderMisconfigured: The provider doesn't take our secret or key.

        Source: RFC 9126, section 2.1.
        """
        if self._config.client_auth == "client_secret_post":
            # Authlib writes the client's id beside the secret, and once is enough (RFC 6749, 3.1).
            parameters = [pair for pair in parameters if pair[0] != "client_id"]

        def ask(session: _Session) -> requests.Response:
            response: requests.Response = session.post(
                url, data=parameters, auth=session.client_auth(self._config.client_auth),
                timeout=deadline.remaining_seconds(), allow_redirects=False,
            )  # fmt: skip
            token_response.check_client(response)
            return response

        return self._as_client(None, ask)

    def session(self) -> _Session:
        """A session that makes no call, but writes an authorization request."""
        return self._session(self._own, self._own.credentials.to_try()[0])

    def _as_client(self, client_id: str | None, ask: Callable[[_Session], _T]) -> _T:
        """What *ask* gets from the provider, with the first secret or key that is taken there.

        Raises:
            ClientRefused: None was. Nothing has come of the request then, so it may be repeated.
            ProviderUnavailable: There is no answer.
        """
        authentication = self._own if client_id is None else self._other(client_id)
        refused: ClientRefused | None = None
        for credential in authentication.credentials.to_try():
            try:
                with self._session(authentication, credential) as session:
                    result = ask(session)
            except CallFailed as error:
                raise error.as_unavailable() from error
            except ClientRefused as error:
                refused = refused or error
                continue
            except ProviderRejected:
                authentication.credentials.note_taken(credential)
                raise
            authentication.credentials.note_taken(credential)
            return result
        raise refused or ProviderRejected("no_credential", 0)

    def _session(self, authentication: ClientAuthentication, credential: Credential) -> _Session:
        """A new session; cheap, as the connections are shared."""
        session = _Session(
            self._retry_after,
            redirect_uri=self._config.redirect_uri,
            code_challenge_method="S256",
            **authentication.session_arguments(credential),
        )
        self._transport.prepare(session)
        authentication.register(session, credential)
        return session

    def _other(self, client_id: str) -> ClientAuthentication:
        if client_id not in self._others:
            raise ProviderRejected("unknown_client", 0, "no route has this client any more")
        return self._others[client_id]

    def _granted(
        self,
        method: str,
        url: str,
        deadline: Deadline,
        arguments: Mapping[str, str],
        client_id: str | None = None,
        any_type: bool = False,
    ) -> token_response.TokenResponse:
        def ask(session: _Session) -> token_response.TokenResponse:
            session.any_type = any_type
            getattr(session, method)(
                url, timeout=deadline.remaining_seconds(), allow_redirects=False, **arguments
            )
            return session.granted

        return self._as_client(client_id, ask)


class _Session(OAuth2Session):  # type: ignore[misc]  # Authlib has no types.
    """Authlib's session, with our own reading of token answers."""

    granted: token_response.TokenResponse
    any_type = False

    def __init__(self, retry_after: RetryAfter, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._retry_after = retry_after

    def close(self) -> None:
        """Nothing to close: the connections belong to all."""

    def parse_response_token(self, response: requests.Response) -> dict[str, str]:
        """Authlib asks for a dictionary; what counts is in `granted`."""
        self.granted = token_response.granted(
            response, self._retry_after(response), any_type=self.any_type
        )
        self.token = {"access_token": self.granted.access_token, "token_type": "Bearer"}
        return dict(self.token)


def with_resources(url: str, resources: Iterable[str]) -> str:
    """*url* with one `resource` for each of *resources* (RFC 8707, section 2.1)."""
    named = [("resource", one) for one in resources]
    return str(add_params_to_uri(url, named)) if named else url


def with_parameters(url: str, parameters: Mapping[str, str | None]) -> str:
    """*url* with those of *parameters* that have a value."""
    return str(add_params_to_uri(url, [(n, v) for n, v in parameters.items() if v is not None]))

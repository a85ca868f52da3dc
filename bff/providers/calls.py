"""How does one call to the token or revocation endpoint go?

Authlib's `OAuth2Session` writes the request; the answer is read by `answers`, since Authlib's own
reading loses `Retry-After` and trips over a rubbish `expires_in`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import requests
from authlib.common.urls import add_params_to_uri
from authlib.integrations.requests_client import OAuth2Session

from bff.config import Config
from bff.errors import ProviderRejected
from bff.providers import answers
from bff.providers.client_auth import ClientAuthentication, encoded_basic
from bff.providers.http import CallFailed, Deadline, Transport

RetryAfter = Callable[[requests.Response], int | None]
"""Reads the pause that an answer asks for, in seconds."""


class Calls:
    """Makes the calls.

    Args:
        config: Client id, redirect URI and the way we authenticate.
        transport: The shared connections.
        retry_after: Reads the pause that an answer asks for.

    Raises:
        ConfigError: The key file of `private_key_jwt` can't be used.
    """

    def __init__(self, config: Config, transport: Transport, retry_after: RetryAfter) -> None:
        self._config = config
        self._transport = transport
        self._retry_after = retry_after
        self._authentication = ClientAuthentication(config)
        self._others: dict[str, OtherClient] = {}

    def know_client(self, client_id: str, client_secret: str) -> None:
        """Learn of another client that calls may be made as."""
        self._others[client_id] = OtherClient(
            client_id, client_secret, basic=self._config.client_auth == "client_secret_basic"
        )

    def exchange(
        self, url: str, parameters: Mapping[str, str], deadline: Deadline
    ) -> answers.Granted:
        """Trade an authorization code; raises like `answers.granted`."""
        arguments = {"grant_type": "authorization_code", **parameters}
        return self._granted("fetch_token", url, deadline, arguments)

    def refresh(
        self, url: str, refresh_token: str, parameters: Mapping[str, str], deadline: Deadline
    ) -> answers.Granted:
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
    ) -> answers.Granted:
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
        with self.session(client_id) as session:
            try:
                response: requests.Response = session.revoke_token(
                    url, token=refresh_token, token_type_hint="refresh_token",  # noqa: S106
                    timeout=deadline.remaining_seconds(), allow_redirects=False,
                )  # fmt: skip
            except CallFailed as error:
                raise error.as_unavailable() from error
        return response

    def session(self, client_id: str | None = None) -> _Session:
        """A new session, of another client if so; cheap, as the connections are shared."""
        authentication = self._authentication if client_id is None else self._other(client_id)
        session = _Session(
            self._retry_after,
            redirect_uri=self._config.redirect_uri,
            code_challenge_method="S256",
            **authentication.session_arguments(),
        )
        self._transport.prepare(session)
        authentication.register(session)
        return session

    def _other(self, client_id: str) -> OtherClient:
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
    ) -> answers.Granted:
        with self.session(client_id) as session:
            session.any_type = any_type
            try:
                getattr(session, method)(
                    url, timeout=deadline.remaining_seconds(), allow_redirects=False, **arguments
                )
            except CallFailed as error:
                raise error.as_unavailable() from error
            granted: answers.Granted = session.granted
        return granted


class OtherClient:
    """A client with a secret, beside the one that signs people in."""

    def __init__(self, client_id: str, client_secret: str, *, basic: bool) -> None:
        self._client_id = client_id
        self._client_secret = client_secret
        self._method = "client_secret_basic" if basic else "client_secret_post"

    def session_arguments(self) -> dict[str, Any]:
        """What an `OAuth2Session` must be made with."""
        return {
            "client_id": self._client_id,
            "client_secret": self._client_secret,
            "token_endpoint_auth_method": self._method,
            "revocation_endpoint_auth_method": self._method,
        }

    def register(self, session: OAuth2Session) -> None:
        """Teach *session* what Authlib does otherwise."""
        session.register_client_auth_method(("client_secret_basic", encoded_basic))


class _Session(OAuth2Session):  # type: ignore[misc]  # Authlib has no types.
    """Authlib's session, with our own reading of token answers."""

    granted: answers.Granted
    any_type = False

    def __init__(self, retry_after: RetryAfter, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._retry_after = retry_after

    def close(self) -> None:
        """Nothing to close: the connections belong to all."""

    def parse_response_token(self, response: requests.Response) -> dict[str, str]:
        """Authlib asks for a dictionary; what counts is in `granted`."""
        self.granted = answers.granted(
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

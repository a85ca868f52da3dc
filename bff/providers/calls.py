"""How does one call to the token or revocation endpoint go?

Authlib's `OAuth2Session` writes the request; the answer is read by `answers`, since Authlib's own
reading loses `Retry-After` and trips over a rubbish `expires_in`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import requests
from authlib.common.urls import add_params_to_uri
from authlib.integrations.requests_client import OAuth2Session

from bff.config import Config
from bff.providers import answers
from bff.providers.client_auth import ClientAuthentication
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

    def exchange(
        self, url: str, code: str, code_verifier: str, deadline: Deadline
    ) -> answers.Granted:
        """Trade an authorization code; raises like `answers.granted`."""
        return self._granted("fetch_token", url, deadline, grant_type="authorization_code",
                             code=code, code_verifier=code_verifier)  # fmt: skip

    def refresh(self, url: str, refresh_token: str, deadline: Deadline) -> answers.Granted:
        """Spend a refresh token; raises like `answers.granted`."""
        return self._granted("refresh_token", url, deadline, refresh_token=refresh_token)

    def revoke(self, url: str, refresh_token: str, deadline: Deadline) -> requests.Response:
        """Ask for a revocation; the answer is not looked at here.

        Raises:
            ProviderUnavailable: There is no answer.
        """
        with self.session() as session:
            try:
                response: requests.Response = session.revoke_token(
                    url, token=refresh_token, token_type_hint="refresh_token",  # noqa: S106
                    timeout=deadline.remaining_seconds(), allow_redirects=False,
                )  # fmt: skip
            except CallFailed as error:
                raise error.as_unavailable() from error
        return response

    def session(self) -> _Session:
        """A new session; cheap, as the connections are shared."""
        session = _Session(
            self._retry_after,
            redirect_uri=self._config.redirect_uri,
            code_challenge_method="S256",
            **self._authentication.session_arguments(),
        )
        self._transport.prepare(session)
        self._authentication.register(session)
        return session

    def _granted(
        self, method: str, url: str, deadline: Deadline, **arguments: Any
    ) -> answers.Granted:
        with self.session() as session:
            try:
                getattr(session, method)(
                    url, timeout=deadline.remaining_seconds(), allow_redirects=False, **arguments
                )
            except CallFailed as error:
                raise error.as_unavailable() from error
            granted: answers.Granted = session.granted
        return granted


class _Session(OAuth2Session):  # type: ignore[misc]  # Authlib has no types.
    """Authlib's session, with our own reading of token answers."""

    granted: answers.Granted

    def __init__(self, retry_after: RetryAfter, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._retry_after = retry_after

    def close(self) -> None:
        """Nothing to close: the connections belong to all."""

    def parse_response_token(self, response: requests.Response) -> dict[str, str]:
        """Authlib asks for a dictionary; what counts is in `granted`."""
        self.granted = answers.granted(response, self._retry_after(response))
        self.token = {"access_token": self.granted.access_token, "token_type": "Bearer"}
        return dict(self.token)


def with_parameters(url: str, parameters: Mapping[str, str | None]) -> str:
    """*url* with those of *parameters* that have a value."""
    return str(add_params_to_uri(url, [(n, v) for n, v in parameters.items() if v is not None]))

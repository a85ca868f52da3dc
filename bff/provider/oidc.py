"""What do we ask of an OpenID provider, and what comes back?

Every operation has one deadline, whatever it needs on the way (metadata, keys, the call itself).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, Literal

import requests

from bff.config import Config
from bff.config.route import TokenRule
from bff.core.errors import (
    BFFError,
    IDTokenInvalid,
    IssuerMismatch,
    ProviderError,
    ProviderRejected,
    TokenResponseUnusable,
)
from bff.core.model import IssuedTokens, LoginTransaction, SignIn
from bff.provider import token_response
from bff.provider.authorization_request import AuthorizationRequests
from bff.provider.discovery import Discovery
from bff.provider.endpoints import EndpointClient, with_parameters
from bff.provider.http_transport import Deadline, Transport
from bff.provider.id_tokens import IDTokens
from bff.provider.kept import identity_of, refreshed_tokens_of, session_end_of, tokens_of
from bff.provider.route_grants import RouteGrants

log = logging.getLogger("bff.provider")


class Provider:
    """The configured OpenID provider; safe to use from several threads.

    Args:
        config: The settings.
        clock: UTC epoch seconds.
        monotonic: Seconds that never go back, for the age of what is cached.

    Raises:
        ConfigError: A file with our secrets or keys can't be used.
    """

    resource_parameter: Literal["audience", "resource"] = "resource"
    """How an API is named when a token for it is asked for (RFC 8707)."""

    def __init__(
        self,
        config: Config,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config = config
        self._clock = clock
        self._transport = Transport(config.trusted_cas, config.provider_proxy_url)
        self.discovery = Discovery(self._transport, config.issuer, monotonic)
        """Its keys are also for tokens that reach us in other ways."""
        self._id_tokens = IDTokens(config, self.discovery, clock)
        self._calls = EndpointClient(config, self._transport, self._retry_after_seconds)
        self._requests = AuthorizationRequests(config, self._calls, self._retry_after_seconds)
        parameter = config.resource_parameter or self.resource_parameter
        self.grants = RouteGrants(
            config, self._calls, self.discovery, clock, parameter, self._revoke_quietly
        )
        """Asks for the tokens that routes want of their own."""
        self.discard: Callable[[str], None] = self._revoke_quietly
        """Takes a refresh token that came with an answer we refuse. It is revoked at once; the
        wiring puts the outbox here, so that it isn't forgotten if that fails (promise 3)."""

    # ------------------------------------------------------------ readiness
    @property
    def ready(self) -> bool:
        """Whether metadata and keys were loaded once."""
        return self.discovery.loaded

    def warm_up(self) -> None:
        """Load metadata and keys.

        Raises:
            ProviderUnavailable: They can't be had at the moment.
            ProviderMisconfigured: The provider goes by another issuer than the configured one.
        """
        self.discovery.load(self._deadline())

    def close(self) -> None:
        """Close idle connections."""
        self._transport.close()

    # ------------------------------------------------------------ signing in
    def authorization_url(self, pending: LoginTransaction, parameters: Mapping[str, str]) -> str:
        """Where to send the browser to sign in.

        Args:
            pending: The transaction; its verifier stays here, the provider gets its hash.
            parameters: More parameters, from an allow-list; they never replace one of ours.

        Raises:
            ProviderError: The metadata can't be had, or the request can't be pushed.

        Source: OpenID Connect Core, 3.1.2.1; RFC 7636, 4.3; RFC 9126.
        """
        deadline = self._deadline()
        metadata = self.discovery.metadata(deadline)
        return self._requests.url(metadata, pending, parameters, self.grants.resources, deadline)

    def check_issuer_parameter(self, iss: str | None) -> None:
        """Check the `iss` of an authorization response, of a refusal too.

        Raises:
            IssuerMismatch: It names another provider, or is missing though it was announced.
            ProviderError: The metadata can't be had.

        Source: RFC 9207, section 2.4 (simple string comparison).
        """
        metadata = self.discovery.metadata(self._deadline())
        if iss is None and metadata.authorization_response_iss_parameter_supported:
            raise IssuerMismatch("iss is missing, though the provider announces it")
        if iss is not None and iss != self._config.issuer:
            raise IssuerMismatch("iss names another provider")

    def exchange_code(self, code: str, pending: LoginTransaction) -> SignIn:
        """Trade the authorization code for tokens, and check the ID token.

        Raises:
            ProviderError: See `answers.granted`.
            IDTokenInvalid: There is none, or it failed a check; the tokens are discarded.

        Source: OpenID Connect Core, 3.1.3; RFC 7636, 4.5.
        """
        deadline = self._deadline()
        # Before the code is spent: without keys that would be for nothing.
        self.discovery.load(deadline)
        issued_at = int(self._clock())
        url = self.discovery.metadata(deadline).token_endpoint
        parameters = {"code": code, "code_verifier": pending.code_verifier, **self.grants.own}
        answer = self._kept(self._calls.exchange, url, parameters, deadline)
        try:
            claims = self._id_tokens.claims(
                answer,
                deadline,
                nonce=pending.nonce,
                authenticated_after=_authenticated_after(pending),
                organization=pending.organization,
            )
        except BFFError:
            self._discard(answer.refresh_token)
            raise
        return SignIn(
            identity=identity_of(claims, self._config),
            tokens=tokens_of(answer, issued_at, self._config),
            session_ends_at=session_end_of(claims),
        )

    # ------------------------------------------------------------ afterwards
    def refresh(
        self, refresh_token: str, *, subject: str | None = None, rule: TokenRule | None = None
    ) -> IssuedTokens:
        """Spend *refresh_token*, in one attempt.

        Args:
            refresh_token: As the provider issued it.
            subject: The session's user; an ID token of another user is refused.
            rule: What the access token is to be for; None for the session's own.

        Raises:
            ProviderUnavailable: No usable answer; `maybe_acted` if the request had been sent.
            ProviderRejected: Refused; the code is in `.error`, such as `invalid_grant`.
            ProviderMisconfigured: `invalid_client` and its like.
            IDTokenInvalid: It was spent, but the ID token that came is not acceptable; the new
                refresh token is discarded. The session can't go on.

        Source: RFC 6749, section 6; OpenID Connect Core, 12.
        """
        deadline = self._deadline()
        # Before the token is spent: an ID token may come, and must be checked.
        self.discovery.load(deadline)
        issued_at = int(self._clock())
        url = self.discovery.metadata(deadline).token_endpoint
        wanted = self.grants.wanted(rule) if rule else self.grants.own
        answer = self._kept(self._calls.refresh, url, refresh_token, wanted, deadline)
        try:
            answer = self._id_tokens.refreshed(answer, subject, deadline)
        except IDTokenInvalid:
            self._discard(answer.refresh_token)
            raise
        return refreshed_tokens_of(answer, issued_at, self._config)

    def revoke(self, refresh_token: str, *, client_id: str | None = None) -> None:
        """Revoke *refresh_token* at the provider; that it is unknown there counts as done.

        Args:
            refresh_token: As the provider issued it.
            client_id: Whom it was given to, if it wasn't the client that signs people in.

        Raises:
            ProviderUnavailable: 5xx, 429 or no answer: it may still live.
            ProviderRejected: Refused for good; the code is in `.error` (`invalid_client`, or
                `unsupported_revocation` if there is no such endpoint).

        Source: RFC 7009, sections 2.1 and 2.2.
        """
        deadline = self._deadline()
        url = self.discovery.metadata(deadline).revocation_endpoint
        if url is None:
            raise ProviderRejected("unsupported_revocation", 404)
        response = self._calls.revoke(url, refresh_token, deadline, client_id)
        token_response.check_revoked(response, self._retry_after_seconds(response))

    def logout_url(self, *, sid: str | None, id_token: str | None, state: str) -> str | None:
        """Where to send the browser so that the provider ends its own session.

        The `sid` goes as `logout_hint`, so that no token reaches the browser; a provider that
        doesn't know the hint asks the user. None if the provider has no such endpoint, or if
        nothing is known of it: a logout never fails because the provider does.

        Source: OpenID Connect RP-Initiated Logout 1.0, section 2.
        """
        try:
            metadata = self.discovery.metadata(self._deadline(), any_age=True)
        except ProviderError as error:
            log.warning("no logout at the provider: %s", error.detail)
            return None
        if metadata.end_session_endpoint is None:
            return self._logout_url_without_endpoint(state)
        parameters = {
            "client_id": self._config.client_id,
            "post_logout_redirect_uri": self._config.post_logout_redirect_uri,
            "state": state,
            "logout_hint": sid,
            "id_token_hint": id_token if self._config.id_token_hint else None,
        } | self._more_logout_parameters()
        return with_parameters(metadata.end_session_endpoint, parameters)

    # ------------------------------------------------------------ what a dialect may change
    def _logout_url_without_endpoint(self, state: str) -> str | None:
        return None

    def _more_logout_parameters(self) -> dict[str, str | None]:
        return {}

    def _retry_after_seconds(self, response: requests.Response) -> int | None:
        return token_response.retry_after(response.headers, self._clock())

    # ------------------------------------------------------------ inside
    def _deadline(self) -> Deadline:
        return Deadline(self._config.provider_timeout_seconds)

    def _kept(
        self, call: Callable[..., token_response.TokenResponse], *arguments: Any
    ) -> token_response.TokenResponse:
        """Make *call*; a refresh token in an answer that can't be used is discarded."""
        try:
            return call(*arguments)
        except TokenResponseUnusable as error:
            self._discard(error.refresh_token)
            raise

    def _discard(self, refresh_token: str | None) -> None:
        if refresh_token is not None:
            self.discard(refresh_token)

    def _revoke_quietly(self, refresh_token: str, client_id: str | None = None) -> None:
        try:
            self.revoke(refresh_token, client_id=client_id)
        except ProviderError as error:
            log.error("a refresh token could not be revoked and is given up: %s", error.detail)


def _authenticated_after(pending: LoginTransaction) -> float | None:
    """Counted from the start of the sign-in: the user may take their time over the form."""
    return None if pending.max_age is None else pending.started_at - pending.max_age

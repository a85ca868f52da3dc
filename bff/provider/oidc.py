"""Which requests do we send to an OpenID provider, and what do they return?

Every operation has one deadline for all that it needs: metadata, keys and the request itself.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import msgspec

from bff.config.route import TokenRule
from bff.core.dpop import sendable
from bff.core.errors import (
    IssuerMismatch,
    ProviderError,
    TokenResponseUnusable,
)
from bff.core.model import Identity, IssuedTokens, LoginTransaction, SignIn
from bff.core.unverified_claims import unverified_claims
from bff.provider import products
from bff.provider.authorization_request import AuthorizationRequests
from bff.provider.endpoints import EndpointClient, TokenRequest
from bff.provider.id_token import IDTokens, identity_of
from bff.provider.jws import is_unicode, text
from bff.provider.kept_claims import KeepClaims, with_kept
from bff.provider.route_grants import RouteGrants
from bff.provider.token_endpoint import RefreshTokenSink
from bff.provider.token_response import TokenResponse, refreshed_tokens_of, tokens_of
from bff.provider.url_parameters import with_parameters
from bff.provider.userinfo import followed, userinfo

log = logging.getLogger("bff.provider")


class Provider:
    """The configured OpenID provider; safe to use from several threads.

    Args:
        client: Sends the requests; has the settings, the metadata and the dialect.
        discard: Takes a refresh token that came with a response we reject. It is the outbox, so
            that the token is revoked even if the provider is down now (promise 3).
        keep_claims: What the application keeps of a sign-in.
    """

    def __init__(
        self,
        client: EndpointClient,
        discard: RefreshTokenSink,
        keep_claims: KeepClaims | None = None,
    ) -> None:
        self._keep_claims = keep_claims
        self._client = client
        self._config = client.config
        self._sink = discard
        self.discovery = client.discovery
        """Metadata and keys; logout tokens and access tokens are checked with the keys, too."""
        self.proofs = client.proofs
        self._id_tokens = IDTokens(client.config, client.discovery, client.clock)
        self._requests = AuthorizationRequests(client)
        self._grants = RouteGrants(client, discard)
        self._warned = False

    # ------------------------------------------------------------ readiness
    @property
    def ready(self) -> bool:
        """Whether metadata and keys were loaded once."""
        return self.discovery.loaded

    def warm_up(self) -> None:
        """Load metadata and keys.

        Raises:
            ProviderUnavailable: They can't be loaded at the moment.
            ProviderMisconfigured: The provider's issuer is not the configured one.
        """
        self.discovery.load(self._client.deadline())

    def close_idle_connections(self) -> int:
        """Close connections that wait in vain; returns how many."""
        return self._client.close_idle()

    def warm_up_once(self) -> None:
        """Load metadata and keys unless they were loaded already; raises as `warm_up`.

        The first time, warnings about settings that don't fit the provider are logged.
        """
        if not self.ready:
            self.warm_up()
        if not self._warned:
            self._warned = True
            metadata = self.discovery.metadata(self._client.deadline(), any_age=True)
            for warning in products.warnings(metadata, self._config):
                log.warning("%s", warning)

    def close(self) -> None:
        """Close idle connections."""
        self._client.close()

    # ------------------------------------------------------------ signing in
    def authorization_url(
        self, transaction: LoginTransaction, parameters: Mapping[str, str]
    ) -> str:
        """Where to send the browser to sign in.

        Args:
            transaction: Its code verifier stays here; the provider gets the hash.
            parameters: More parameters, from an allow-list; they never replace one of ours.

        Raises:
            ProviderError: The metadata can't be loaded, or the request can't be pushed.

        Source: OpenID Connect Core, 3.1.2.1; RFC 7636, 4.3; RFC 9126.
        """
        deadline = self._client.deadline()
        metadata = self.discovery.metadata(deadline)
        resources = self._grants.consent_resources
        return self._requests.url(metadata, transaction, parameters, resources, deadline)

    def check_issuer_parameter(self, iss: str | None) -> None:
        """Check the `iss` of an authorization response, which may be an error response.

        Raises:
            IssuerMismatch: It names another provider, or is missing although the metadata
                announces it.
            ProviderError: The metadata can't be loaded.

        Source: RFC 9207, section 2.4 (simple string comparison).
        """
        metadata = self.discovery.metadata(self._client.deadline())
        if iss is None and metadata.authorization_response_iss_parameter_supported:
            raise IssuerMismatch("iss is missing, though the provider announces it")
        if iss is not None and iss != self._config.issuer:
            raise IssuerMismatch("iss names another provider")

    def exchange_code(self, code: str, transaction: LoginTransaction) -> SignIn:
        """Exchange the authorization code for tokens, and check the ID token.

        Raises:
            ProviderError: As `read_token_response`, or UserInfo says nothing (`BFF_USERINFO`).
            IDTokenInvalid: It is missing or failed a check, or UserInfo is of another user; the
                tokens are discarded.
            AuthTimeMissing: It doesn't prove the new authentication that was asked for.

        Source: OpenID Connect Core, 3.1.3; RFC 7636, 4.5.
        """
        deadline = self._client.deadline()
        # First the keys: without them the code would be spent in vain.
        self.discovery.load(deadline)
        issued_at = int(self._client.clock())
        url = self.discovery.metadata(deadline).token_endpoint
        proof = {"code": code, "code_verifier": transaction.code_verifier}
        parameters = proof | self._grants.session_parameters
        request = TokenRequest(url, key=self.proofs.key_of_code(transaction.dpop_jkt))
        response = self._received(self._client.exchange, request, parameters, deadline)
        iat_suffices = transaction.prompt_login and self._config.accept_iat_for_auth_time
        with self._discarding(response):
            claims = self._id_tokens.claims(
                response,
                deadline,
                nonce=transaction.nonce,
                authenticated_after=_authenticated_after(transaction),
                iat_suffices=iat_suffices,
                organization=transaction.organization,
            )
            identity = identity_of(claims, self._config, iat_suffices=iat_suffices)
            if self._config.userinfo:
                more = userinfo(self._client, sendable(response), identity.subject, deadline)
                identity = msgspec.structs.replace(identity, claims=identity.claims | more)
                claims |= more
            return SignIn(
                identity=with_kept(identity, claims, self._keep_claims, self._config),
                tokens=tokens_of(response, issued_at, self._config),
                session_ends_at=self._client.dialect.session_ends_at(claims),
            )

    # ------------------------------------------------------------ afterwards
    def refresh(
        self, refresh_token: str, *, subject: str | None = None, rule: TokenRule | None = None
    ) -> IssuedTokens:
        """Spend *refresh_token*, in one attempt.

        Args:
            refresh_token: As the provider issued it.
            subject: The session's user; an ID token of another user is rejected.
            rule: Which access token to request; None for the session's own.

        Raises:
            ProviderUnavailable: No usable response; `maybe_acted` if the request was sent.
            ProviderRejected: Refused; the code is in `.error`, such as `invalid_grant`.
            ProviderMisconfigured: `invalid_client` and its like.
            IDTokenInvalid: The refresh token was spent, but the new ID token failed a check; the
                new refresh token is discarded, and the session can't go on.

        Source: RFC 6749, section 6; OpenID Connect Core, 12.
        """
        deadline = self._client.deadline()
        # First the keys: the response may bring an ID token, which must be checked.
        self.discovery.load(deadline)
        issued_at = int(self._client.clock())
        url = self.discovery.metadata(deadline).token_endpoint
        grants = self._grants
        wanted = grants.parameters_for(rule) if rule else grants.session_parameters
        request = TokenRequest(url, key=self.proofs.key(rule))
        response = self._received(
            self._client.refresh, request, refresh_token, wanted, deadline, sent=refresh_token
        )
        with self._discarding(response):
            response, claims = self._id_tokens.refreshed(response, subject, deadline)
            issued = refreshed_tokens_of(response, issued_at, self._config)
            return msgspec.structs.replace(issued, claims=followed(claims, self._config))

    def userinfo(self, access_token: str, subject: str) -> dict[str, Any]:
        """What the profile shows of the user *subject* now; raises as `userinfo.userinfo`."""
        return userinfo(self._client, access_token, subject, self._client.deadline())

    def exchange(self, access_token: str, rule: TokenRule) -> IssuedTokens:
        """Exchange a user's access token for one that fits *rule*; see `RouteGrants`."""
        return self._grants.exchange(access_token, rule)

    def client_token(self, rule: TokenRule) -> IssuedTokens:
        """Get an access token by client credentials; see `RouteGrants`."""
        return self._grants.client_token(rule)

    def logout_url(self, *, sid: str | None, id_token: str | None, state: str) -> str | None:
        """Where to send the browser so that the provider ends its own session.

        The `sid` is sent as `logout_hint`, so that no token reaches the browser; a provider that
        doesn't know the hint asks the user. None if the provider has no such endpoint, or if its
        metadata was never loaded: an outage of the provider doesn't make a logout fail.

        Source: OpenID Connect RP-Initiated Logout 1.0, section 2.
        """
        try:
            metadata = self.discovery.metadata(self._client.deadline(), any_age=True)
        except ProviderError as error:
            log.warning("no logout at the provider: %s", error.detail)
            return None
        if metadata.end_session_endpoint is None:
            return self._client.dialect.logout_url_without_endpoint(self._config, state)
        hint = id_token if self._config.id_token_hint else None
        if hint is None and products.is_hydra(metadata):
            # With an address to return to it would refuse the logout.
            return metadata.end_session_endpoint
        parameters = {
            "client_id": self._config.client_id,
            "post_logout_redirect_uri": self._config.post_logout_redirect_uri,
            "state": state,
            "logout_hint": sid,
            "id_token_hint": hint,
        } | self._client.dialect.logout_parameters(self._config)
        return with_parameters(metadata.end_session_endpoint, parameters)

    # ------------------------------------------------------------ inside
    def _received(
        self, request: Callable[..., TokenResponse], *arguments: Any, sent: str | None = None
    ) -> TokenResponse:
        """The response to *request*; refresh tokens in it that are not used are discarded.

        Not the one that was *sent*: a provider without rotation repeats it; the session goes on.
        """
        try:
            response = request(*arguments)
        except TokenResponseUnusable as error:
            self._discard(error.refresh_tokens, None, sent)
            raise
        self._discard(response.unused_refresh_tokens, self._owner_of(response.id_token), sent)
        return response

    @contextmanager
    def _discarding(self, response: TokenResponse) -> Iterator[None]:
        """Discard its refresh token if what follows fails, also by a fault of our own."""
        try:
            yield
        except Exception:
            self._discard([response.refresh_token], self._owner_of(response.id_token))
            raise

    def _discard(
        self, refresh_tokens: Iterable[str | None], owner: Identity | None, sent: str | None = None
    ) -> None:
        for refresh_token in refresh_tokens:
            if refresh_token is not None and refresh_token != sent:
                self._sink.discard(refresh_token, None, owner)

    def _owner_of(self, id_token: str | None) -> Identity | None:
        """Whose tokens came with *id_token*, perhaps an invalid one; it is from the provider."""
        claims = unverified_claims(id_token or "")
        subject, sid = text(claims.get("sub")), text(claims.get("sid"))
        if subject is None or sid is None or not is_unicode(subject + sid):
            return None
        return Identity(issuer=self._config.issuer, subject=subject, sid=sid)


def _authenticated_after(transaction: LoginTransaction) -> float | None:
    """Counted from the start of the sign-in, so that the user has time for the form."""
    return None if transaction.max_age is None else transaction.started_at - transaction.max_age

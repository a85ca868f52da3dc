"""A provider without an outbox: a refresh token that it discards is revoked at once."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

from bff.config import Config
from bff.config.route import Route, TokenRule
from bff.core.errors import ProviderError
from bff.core.model import Identity
from bff.provider.endpoints import EndpointClient
from bff.provider.oidc import Provider
from bff.provider.revocation_endpoint import RevocationEndpoint
from bff.provider.token_endpoint import RefreshTokenSink


class StandaloneProvider(Provider):
    """A `Provider` together with its revocation endpoint."""

    def __init__(self, client: EndpointClient, discard: RefreshTokenSink | None = None) -> None:
        self.revocation_endpoint = RevocationEndpoint(client)
        super().__init__(client, discard=discard or RevokingSink(self.revocation_endpoint))

    def revoke(self, refresh_token: str, *, client_id: str | None = None) -> None:
        self.revocation_endpoint.revoke(refresh_token, client_id=client_id)


class RevokingSink:
    """Revokes at once, and gives up if that fails."""

    def __init__(self, endpoint: RevocationEndpoint) -> None:
        self._endpoint = endpoint

    def discard(
        self, refresh_token: str, client_id: str | None, owner: Identity | None = None
    ) -> None:
        with contextlib.suppress(ProviderError):
            self._endpoint.revoke(refresh_token, client_id=client_id)


class ListingSink:
    """Only notes what is discarded."""

    def __init__(self) -> None:
        self.discarded: list[tuple[str, str | None]] = []

    def discard(
        self, refresh_token: str, client_id: str | None, owner: Identity | None = None
    ) -> None:
        self.discarded.append((refresh_token, client_id))


def with_rules(config: Config, rules: Iterable[TokenRule]) -> Config:
    """*config* with one route for each of *rules*."""
    routes = [
        Route(prefix=f"/route-{number}", upstream_urls=("http://127.0.0.1:9",), token=rule)
        for number, rule in enumerate(rules)
    ]
    return config.with_routes(tuple(routes), frozenset())

"""How does a test get the services below the endpoints? On a real Redis, with a stub provider."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from bff.app.services import build_services
from bff.config import Config, load
from bff.config.route import TokenRule
from bff.core.background import Background
from bff.core.model import Identity, IssuedTokens, Session, SignIn, Tokens
from bff.sessions.expiry import ExpirySweep
from bff.sessions.lifecycle import session_key
from bff.tokens.merge import refreshed
from tests.support.redis_server import RedisServer

SECRET = "s" * 40
USER_AGENT = "Firefox on Linux"


def config_for(server: RedisServer, prefix: str, **changes: str) -> Config:
    """Settings of a BFF on this Redis."""
    usual = {
        "OIDC_ISSUER": "https://provider.example/",
        "AUTH0_CLIENT_ID": "client",
        "AUTH0_CLIENT_SECRET": "client-secret",
        "AUTH0_SECRET": SECRET,
        "APP_BASE_URL": "https://app.example.com",
        "BFF_API_URL": "http://api.example.com",
        "REDIS_URL": server.url,
        # A machine that stalls for a moment must not look like an outage.
        "BFF_REDIS_TIMEOUT_SECONDS": "10",
        "BFF_REDIS_PREFIX": prefix,
        # No process caches sessions unless a test says so, and no end waits for one.
        "BFF_SESSION_LEASE_MILLISECONDS": "0",
    }
    return load(usual | changes)


def _unexpected(*_: object) -> IssuedTokens:
    raise AssertionError("the test expects no such call")


def _unexpected_userinfo(*_: object) -> dict[str, Any]:
    raise AssertionError("the test expects no such call")


class StubProvider:
    """The provider's endpoints: a test sets the responses here, and finds the requests."""

    def __init__(self) -> None:
        self.refreshed: list[str] = []
        self.revoked: list[str] = []
        self.on_refresh: Callable[[str], IssuedTokens] = lambda token: token_response(
            len(self.refreshed)
        )
        self.exchanged: list[str] = []
        self.client_tokens = 0
        self.on_audience: Callable[[str, TokenRule], IssuedTokens] = _unexpected
        self.on_exchange: Callable[[str, TokenRule], IssuedTokens] = _unexpected
        self.on_client_token: Callable[[TokenRule], IssuedTokens] = _unexpected
        self.on_revoke: Callable[[str], None] = lambda token: None
        self.on_userinfo: Callable[[str, str], dict[str, Any]] = _unexpected_userinfo

    def refresh(
        self, refresh_token: str, *, subject: str | None = None, rule: TokenRule | None = None
    ) -> IssuedTokens:
        self.refreshed.append(refresh_token)
        if rule is not None:
            return self.on_audience(refresh_token, rule)
        return self.on_refresh(refresh_token)

    def userinfo(self, access_token: str, subject: str) -> dict[str, Any]:
        return self.on_userinfo(access_token, subject)

    def exchange(self, access_token: str, rule: TokenRule) -> IssuedTokens:
        self.exchanged.append(access_token)
        return self.on_exchange(access_token, rule)

    def client_token(self, rule: TokenRule) -> IssuedTokens:
        self.client_tokens += 1
        return self.on_client_token(rule)

    def revoke(self, refresh_token: str, *, client_id: str | None = None) -> None:
        self.on_revoke(refresh_token)
        self.revoked.append(refresh_token)


def token_response(number: int, *, seconds: int = 300, now: int = 0) -> IssuedTokens:
    """The response of a provider that rotates to the *number*th refresh."""
    return IssuedTokens(
        access_token=f"access-{number}",
        issued_at=now,
        expires_at=now + seconds,
        refresh_token=f"refresh-{number}",
    )


class Bench:
    """The services of one process, as `build_services` makes them, with a stub provider."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.provider = StubProvider()
        self.services = build_services(config, token_endpoint=self.provider, revoker=self.provider)
        self.sealer = self.services.sealer
        self.stores = self.services.stores
        self.database = self.stores.database
        self.records = self.stores.records
        self.refresh_lock = self.stores.refresh_lock
        self.indexes = self.stores.indexes
        self.outbox = self.stores.outbox
        self.deny_list = self.stores.deny_list
        self.watermarks = self.stores.watermarks
        self.revocation = self.services.revocation
        self.pending_writes = self.services.pending_writes
        self.sessions = self.services.sessions
        self.sweep = ExpirySweep(self.stores, self.revocation, Background())

    def access_token(self, session: Session, rule: TokenRule | None = None) -> str:
        """The token that a request of *session* gets for a route with *rule*."""
        return self.services.tokens.for_route(rule or TokenRule(), session)

    def now(self) -> int:
        return int(self.database.now())

    def sign_in(
        self,
        *,
        subject: str = "auth0|dana",
        access_seconds: int = 300,
        refresh: str = "refresh-0",
        sid: str | None = "provider-sid",
    ) -> SignIn:
        now = self.now()
        return SignIn(
            identity=Identity(
                issuer="https://provider.example/",
                subject=subject,
                sid=sid,
                claims={"sub": subject, "name": "Dana Demo", "email": "dana@example.com"},
            ),
            tokens=Tokens(
                access_token="access-0",
                issued_at=now - 300 + access_seconds,
                expires_at=now + access_seconds,
                refresh_token=refresh,
            ),
        )

    def start(self, **options: object) -> str:
        """Start a session; its key."""
        key = session_key(self.sessions.start(self.sign_in(**options)))  # type: ignore[arg-type]
        assert key
        return key

    def load(self, key: str) -> Session:
        found = self.sessions.load(key)
        assert found, "the session is gone"
        return found[0]

    def merged(self, session: Session, new: IssuedTokens) -> Tokens:
        """The session's tokens after a refresh with the token response *new*."""
        return refreshed(session.tokens, new, session.read_at, self.deny_list)

    def stored(self) -> list[str]:
        pattern = f"{self.config.redis_prefix}:*"
        return sorted(key.decode() for key in self.database.client.scan_iter(pattern, count=1000))


@pytest.fixture
def bench(redis_server: RedisServer, redis_prefix: str) -> Iterator[Bench]:
    """A bench on the shared Redis with a prefix of its own."""
    made = Bench(config_for(redis_server, redis_prefix))
    yield made
    made.database.client.close()


MakeBench = Callable[..., Bench]


@pytest.fixture
def make_bench(redis_server: RedisServer, redis_prefix: str) -> Iterator[MakeBench]:
    """Makes benches over the same keys: other processes, perhaps with other settings."""
    made: list[Bench] = []

    def make(**changes: str) -> Bench:
        made.append(Bench(config_for(redis_server, redis_prefix, **changes)))
        return made[-1]

    yield make
    for one in made:
        one.database.client.close()

"""How does a test send forged messages to a BFF, and check which sessions they end?

The whole application in this process, on the shared Redis, with a provider whose keys the test has.
Sessions are started without the routes, so that hundreds of them are cheap.
"""

from __future__ import annotations

from typing import Any

import msgspec
from flask.testing import FlaskClient

from bff.app.factory import create_app
from bff.app.services import Services
from bff.core.model import Identity, SignIn, Tokens
from bff.sessions.lifecycle import session_key
from tests.support.application import stop
from tests.support.fake_provider import FakeProvider
from tests.support.redis_server import RedisServer


class Receiver:
    """One application, as the machine API shows it."""

    def __init__(
        self, fake: FakeProvider, server: RedisServer, prefix: str, **settings: str
    ) -> None:
        self.fake = fake
        self.config = fake.config(REDIS_URL=server.url, BFF_REDIS_PREFIX=prefix, **settings)
        self.app = create_app(self.config)
        self.services: Services = self.app.extensions["bff"]
        self.client: FlaskClient = self.app.test_client()
        self._started = 0

    def close(self) -> None:
        """Stop the background work."""
        stop(self.app)

    def sign_in(self, **identity: Any) -> SignIn:
        """A finished sign-in of Dana, with another *identity*."""
        self._started += 1
        now = int(self.services.stores.database.now())
        usual = Identity(
            issuer=self.fake.issuer, subject="auth0|demo", sid="sid-one", auth_time=now,
            claims={"email": "dana@example.com"},
        )  # fmt: skip
        tokens = Tokens(
            access_token=f"access-{self._started}",
            issued_at=now,
            expires_at=now + 300,
            refresh_token=f"refresh-{self._started}",
        )
        return SignIn(identity=msgspec.structs.replace(usual, **identity), tokens=tokens)

    def start(self, **identity: Any) -> str:
        """Start a session; returns its key."""
        key = session_key(self.services.sessions.start(self.sign_in(**identity)))
        assert key
        return key

    def start_earlier(self, seconds: int, **identity: Any) -> str:
        """Start a session that began *seconds* ago; returns its key."""
        began_at = int(self.services.stores.database.now()) - seconds
        key = self.start(**({"auth_time": began_at} | identity))
        name = f"{self.config.redis_prefix}:session:{{{key}}}"
        self.services.stores.database.command("HSET", name, "created_at", began_at)
        return key

    def has_session(self, key: str) -> bool:
        """Whether a request would find the session."""
        return self.services.sessions.load(key, slide=False) is not None

    def names(self, kind: str) -> set[str]:
        """The names of all keys in Redis of one kind."""
        pattern = f"{self.config.redis_prefix}:{kind}:*"
        client = self.services.stores.database.client
        return {name.decode() for name in client.scan_iter(pattern, count=1000)}

    def revoked(self) -> set[str]:
        """The refresh tokens that the provider was asked to revoke."""
        return {a.form["token"] for a in self.fake.asked if a.path == "/oauth/revoke"}

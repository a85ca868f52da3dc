"""Which requests does a Flask API accept, with one import and one decorator?"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from bff.core.model import Tokens
from bff.core.sealing import Sealer
from bff.resource_server import TokenGuard
from bff.store import Database, DenyList, HistoryStart
from tests.support.issuer import AUDIENCE, ISSUER, REFUSED, Issuer, token
from tests.support.redis_server import RedisServer

NOW = int(time.time())
SEALER = Sealer(["s" * 40])
DENY_KEY = SEALER.revoked_token_names.as_text()


def guard_of(issuer: Issuer, **options: Any) -> TokenGuard:
    return TokenGuard(issuer=ISSUER, audience=AUDIENCE, keys=issuer.keys(), **options)


def patient(database: Database) -> dict[str, Any]:
    """Options of a guard that waits for Redis, or for a connection, on a machine under load."""
    return {"redis_prefix": database.prefix, "deny_key": DENY_KEY, "redis_timeout_seconds": 10}


def client_of(guard: TokenGuard) -> FlaskClient:
    app = Flask(__name__)

    @app.get("/items")
    @guard.required(scope="read:items")
    def items() -> dict[str, Any]:
        return {"of": guard.claims["sub"]}

    @app.post("/items/<int:item_id>")
    @guard.required("write:items")
    def write(item_id: int) -> tuple[str, int]:
        return "", 204

    @app.get("/open")
    def unguarded() -> str:
        return "open"

    return app.test_client()


def bearer(access_token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {access_token}"}


@pytest.fixture
def database(redis_server: RedisServer, redis_prefix: str) -> Iterator[Database]:
    database = Database(redis_server.client(), redis_prefix)
    database.command("SET", HistoryStart(database, SEALER)._keys[0], 1)
    yield database
    database.client.close()


@pytest.fixture
def api(redis_server: RedisServer, database: Database) -> FlaskClient:
    return client_of(guard_of(Issuer(), redis_url=redis_server.url, **patient(database)))


def test_a_valid_token_is_accepted_and_its_claims_are_available(api: FlaskClient) -> None:
    response = api.get("/items", headers=bearer(token()))
    assert (response.status_code, response.json) == (200, {"of": "alice"})
    assert api.get("/open").text == "open"


def test_a_copied_token_is_refused_after_it_was_denied(
    api: FlaskClient, database: Database
) -> None:
    copied = token()
    assert api.get("/items", headers=bearer(copied)).status_code == 200
    deny_list = DenyList(database, SEALER, 10)
    deny_list.add([deny_list.entry(Tokens(access_token=copied, issued_at=NOW, expires_at=0))])
    response = api.get("/items", headers=bearer(copied))
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == 'Bearer realm="api", error="invalid_token"'
    assert response.headers["Cache-Control"] == "no-store"
    assert response.mimetype == "application/problem+json"
    # Responses for a revoked and for a forged token are the same.
    forged = api.get("/items", headers=bearer(REFUSED["expired"]()))
    assert (forged.data, forged.headers) == (response.data, response.headers)


def test_a_missing_scope_is_403_and_named(api: FlaskClient) -> None:
    response = api.post("/items/7", headers=bearer(token()))
    assert response.status_code == 403
    assert response.headers["WWW-Authenticate"] == (
        'Bearer realm="api", error="insufficient_scope", scope="write:items"'
    )
    allowed = bearer(token(scope="write:items"))
    assert api.post("/items/7", headers=allowed).status_code == 204


@pytest.mark.parametrize(
    ("header", "code"),
    [
        (None, "token_missing"), ("", "token_missing"), ("Bearer", "token_missing"),
        ("Bearer ", "token_missing"), ("Basic dXNlcjpwYXNz", "token_missing"),
        ("Bearer a b", "invalid_token"), ("Bearer a, Bearer b", "invalid_token"),
        ("Bearer é", "invalid_token"), ("Bearer a\"b", "invalid_token"),
        ("Bearer " + "x" * 100_000, "invalid_token"),
    ],
)  # fmt: skip
def test_headers_without_a_usable_token(api: FlaskClient, header: str | None, code: str) -> None:
    response = api.get("/items", headers={} if header is None else {"Authorization": header})
    assert response.status_code == 401
    assert response.get_json()["code"] == code
    assert ("error=" in response.headers["WWW-Authenticate"]) == (code == "invalid_token")


@pytest.mark.parametrize("make", REFUSED.values(), ids=REFUSED.keys())
def test_forgeries(api: FlaskClient, make: Any) -> None:
    assert api.get("/items", headers=bearer(make())).status_code == 401


def test_redis_away_is_503_with_retry_after(redis_prefix: str) -> None:
    with RedisServer() as server:
        guard = guard_of(
            Issuer(), redis_url=server.url, redis_prefix=redis_prefix, deny_key=DENY_KEY
        )
        api = client_of(guard)
        # There is no history start here: that looks like a wrong key.
        assert api.get("/items", headers=bearer(token())).status_code == 503
        server.stop()
        response = api.get("/items", headers=bearer(token()))
        assert (response.status_code, response.get_json()["code"]) == (503, "store_unavailable")
        assert response.headers["Retry-After"] == "2"
        # A malformed token is rejected without Redis.
        assert api.get("/items", headers=bearer("garbage")).status_code == 401


def test_a_redis_that_hangs_is_503_in_time(redis_prefix: str) -> None:
    with RedisServer() as server:
        guard = guard_of(
            Issuer(), redis_url=server.url, redis_prefix=redis_prefix, deny_key=DENY_KEY,
            redis_timeout_seconds=0.2,
        )  # fmt: skip
        server.pause()
        response = client_of(guard).get("/items", headers=bearer(token()))
        server.resume()
    assert response.status_code == 503


def test_a_crowd_shares_a_few_connections(redis_server: RedisServer, database: Database) -> None:
    """200 concurrent requests: all succeed, over few connections."""
    url = f"{redis_server.url}?client_name=crowd-{database.prefix}"
    api = client_of(guard_of(Issuer(), redis_url=url, **patient(database)))
    headers = bearer(token())
    with ThreadPoolExecutor(200) as crowd:
        responses = list(
            crowd.map(lambda _: api.application.test_client().get("/items", headers=headers),
                      range(400))
        )  # fmt: skip
    assert Counter(a.status_code for a in responses) == {200: 400}
    connected = database.client.client_list()
    assert 1 <= sum(c["name"] == f"crowd-{database.prefix}" for c in connected) <= 16


def test_keys_away_is_503() -> None:
    issuer = Issuer()
    issuer.broken = True
    guard = TokenGuard.without_deny_list(issuer=ISSUER, audience=AUDIENCE, keys=issuer.keys())
    response = client_of(guard).get("/items", headers=bearer(token()))
    assert (response.status_code, response.get_json()["code"]) == (503, "keys_unavailable")


def test_permission_to_read_redis_is_enough(redis_server: RedisServer, database: Database) -> None:
    """The permissions in docs/apis.md are sufficient."""
    user, password = f"reader-{database.prefix}", "p" * 20
    prefix = database.prefix
    patterns = [f"~{prefix}:{kind}:*" for kind in ("deny", "watermark", "{born_at}")]
    commands = ["+get", "+exists", "+hello"]
    database.command(
        "ACL", "SETUSER", user, "on", f">{password}", "resetkeys", *patterns, "-@all", *commands
    )
    url = redis_server.url.replace("redis://", f"redis://{user}:{password}@")
    guard = guard_of(Issuer(), redis_url=url, redis_prefix=prefix, deny_key=DENY_KEY)
    assert client_of(guard).get("/items", headers=bearer(token())).status_code == 200
    database.command("ACL", "DELUSER", user)


@pytest.mark.parametrize(
    "options",
    [
        {}, {"redis_url": "redis://x"}, {"deny_key": DENY_KEY},
        {"redis_url": "", "deny_key": DENY_KEY}, {"redis_url": "redis://x", "deny_key": ""},
        {"redis_url": "redis://x", "deny_key": "short"},
        {"redis_url": "redis://x", "deny_key": "ab" * 31},
        {"redis_url": "redis://x", "deny_key": f"{DENY_KEY},"},
    ],
)  # fmt: skip
def test_an_empty_setting_is_an_error(options: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"needed|hex"):
        guard_of(Issuer(), **options)


@pytest.mark.parametrize("audience", ["", None])
def test_a_guard_without_an_audience_is_not_made(audience: Any) -> None:
    """An unset variable would make it accept any token of the provider."""
    with pytest.raises(ValueError, match="audience"):
        TokenGuard.without_deny_list(issuer=ISSUER, audience=audience, keys=Issuer().keys())

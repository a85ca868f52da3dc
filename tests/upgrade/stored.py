"""What does a version store in Redis and in cookies? Written to a file for later versions.

`python -m tests.upgrade.stored > tests/upgrade/stored_by_X_Y_Z.json` stores one of everything with
a fixed secret, by the version that is checked out. Once released, such a file never changes.
"""

from __future__ import annotations

import base64
import json
import sys
from typing import Any

import msgspec
from flask import Flask, Response

from bff.app.services import Services, build_services
from bff.config import Config
from bff.core.model import (
    Group,
    Identity,
    LoginTransaction,
    RevokedAccessToken,
    RouteToken,
    Session,
    Tokens,
)
from bff.sessions.lifecycle import session_key
from bff.store.client_tokens import SharedClientTokens
from bff.store.outbox import Entry
from bff.web.login_transaction import LoginTransactions
from bff.web.logout import STATE_CONTEXT
from tests.support.bench import config_for
from tests.support.redis_server import RedisServer

SETTINGS = {"BFF_LOG_STREAM_KEY": "log-stream-key-of-32-characters!!"}
PREFIX = "stored"
FAR_AT = 4_102_444_800
"""The year 2100, so that nothing here expires."""
COOKIE_IDS = {"live": "L" * 43, "ended": "E" * 43}
USER = ("https://provider.example/", "auth0|dana")
SID = "provider-sid"
DENIED = "access-token-that-is-denied"
RULE = "client https://orders.example read"
STARTED_AT = 1_800_000_000
IDENTITY = Identity(
    issuer=USER[0], subject=USER[1], sid=SID, auth_time=STARTED_AT, acr="silver",
    amr=("pwd", "otp"),
    claims={"sub": USER[1], "name": "Dana Düsentrieb", "email": "Dana@example.com"},
    browser="Firefox on Linux",
)  # fmt: skip
ROUTE_TOKEN = RouteToken(
    name="audience https://orders.example", access_token="route-access", expires_at=FAR_AT,
    issued_at=STARTED_AT, scope="read",
)  # fmt: skip
TOKENS = Tokens(
    access_token="access", expires_at=FAR_AT, issued_at=STARTED_AT, scope="openid email",
    refresh_token="refresh", kept_refresh_tokens=("kept-1", "kept-2"),
    replaced=(RevokedAccessToken(deny_id="d" * 64, expires_at=FAR_AT),),
    id_token="id-token", route_tokens=(ROUTE_TOKEN,), client_id=None,
)  # fmt: skip
CLIENT_TOKEN = RouteToken(
    name=RULE, access_token="client-access", expires_at=FAR_AT, issued_at=STARTED_AT
)
FORGOTTEN = Tokens(
    access_token="", expires_at=0, issued_at=0, refresh_token="forgotten", client_id="other-client"
)
LOGIN = LoginTransaction(
    state="state", nonce="nonce", code_verifier="verifier", return_to="/ü?a=b#c",
    started_at=STARTED_AT, silent=True, max_age=0, organization="org_1", acr_values="gold",
    repeated=True, old_session_key="0" * 64,
)  # fmt: skip


def session(name: str) -> Session:
    """The session whose cookie is called *name*."""
    key = session_key(COOKIE_IDS[name])
    assert key
    return Session(
        key=key, generation=3, tokens=TOKENS, identity=IDENTITY, created_at=STARTED_AT,
        last_seen_at=STARTED_AT, idle_ends_at=FAR_AT, absolute_ends_at=FAR_AT, read_at=0,
    )  # fmt: skip


def shared_client_tokens(services: Services) -> SharedClientTokens:
    """The store of the BFF's own tokens."""
    config = services.config
    return SharedClientTokens(
        services.stores.database, services.sealer, (config.issuer, config.client_id)
    )


def login_transactions(config: Config, services: Services) -> LoginTransactions:
    """The login transactions of a browser at the instant when `LOGIN` began."""
    return LoginTransactions(config, services.sealer, clock=lambda: STARTED_AT)


def write(config: Config, services: Services) -> dict[str, str]:
    """Write one of everything to Redis; returns what is stored elsewhere, by name."""
    records = services.stores.records
    for name in COOKIE_IDS:
        assert records.create(session(name))
        services.stores.indexes.add(session(name))
    records.write_data(session("live").key, b'{"theme":"dark"}')
    records.end_record(session("ended").key, "logout")
    services.stores.outbox.add(
        Entry(id="end-one", kind="session", reason="logout", session_key=session("ended").key),
        due_in_seconds=FAR_AT,
    )
    sealed = services.stores.outbox.seal_tokens("tokens-one", FORGOTTEN)
    services.stores.outbox.add(
        Entry(id="tokens-one", kind="tokens", reason="answer_refused", sealed_tokens=sealed),
        due_in_seconds=FAR_AT,
    )
    denied = msgspec.structs.replace(TOKENS, access_token=DENIED)
    services.stores.deny_list.add([services.stores.deny_list.entry(denied)])
    services.stores.watermarks.rise(Group.of_user(*USER))
    services.stores.seen_messages.add("logout token", USER[0], "jti-1", until=FAR_AT)
    assert services.stores.sent_revocations
    services.stores.sent_revocations.note(SID)
    shared_client_tokens(services).keep(RULE, "attempt-1", CLIENT_TOKEN, FAR_AT)
    services.stores.history_start.begin()
    return texts(config, services)


def texts(config: Config, services: Services) -> dict[str, str]:
    """What is stored elsewhere: sealed for the browser, or a name that others have."""
    logins = login_transactions(config, services)
    response = Response()
    with Flask(__name__).test_request_context():
        logins.set_cookie(response, LOGIN, {})
    name, _, rest = response.headers["Set-Cookie"].partition("=")
    sealer = services.sealer
    return {
        "login cookie name": name,
        "login cookie": rest.partition(";")[0],
        "logout state": sealer.seal_text(msgspec.json.encode("/bye"), STATE_CONTEXT),
        "public id": services.sessions.public_id(session("live")),
        "audit user": sealer.keyed_hash("audit user", *USER)[:16],
        "logout form": sealer.keyed_hash("logout form", "value"),
        "deny-list key": sealer.revoked_token_names.as_text(),
    }


def in_base64(value: bytes) -> str:
    """*value* for JSON."""
    return base64.b64encode(value).decode()


def from_base64(value: str) -> bytes:
    """What `in_base64` was given."""
    return base64.b64decode(value)


def dump(services: Services, prefix: str = PREFIX) -> dict[str, dict[str, Any]]:
    """Every key with *prefix*, without it, with its type and content."""
    client, found = services.stores.database.client, {}
    for name in sorted(client.scan_iter(f"{prefix}:*")):
        kind = client.type(name).decode()
        content: Any
        if kind == "hash":
            content = {k.decode(): in_base64(v) for k, v in client.hgetall(name).items()}
        elif kind == "zset":
            content = {
                k.decode(): score for k, score in client.zrange(name, 0, -1, withscores=True)
            }
        else:
            content = in_base64(client.get(name))
        found[name.decode().removeprefix(f"{prefix}:")] = {"type": kind, "content": content}
    return found


def restore(keys: dict[str, dict[str, Any]], services: Services, prefix: str) -> None:
    """Write what `dump` returned, with another prefix."""
    client = services.stores.database.client
    for name, key in keys.items():
        full, content = f"{prefix}:{name}", key["content"]
        if key["type"] == "hash":
            client.hset(full, mapping={k: from_base64(v) for k, v in content.items()})
        elif key["type"] == "zset":
            client.zadd(full, content)
        else:
            client.set(full, from_base64(content))


def main() -> None:
    """Print what this version stores."""
    with RedisServer() as server:
        config = config_for(server, PREFIX, **SETTINGS)
        services = build_services(config)
        written = write(config, services)
        json.dump({"texts": written, "keys": dump(services)}, sys.stdout, indent=1)


if __name__ == "__main__":
    main()

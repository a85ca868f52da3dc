"""Nothing that stands in a claim is a 500: it is replaced where it is shown, or refused clearly.

In each place one value is replaced by one that JSON can express and UTF-8, Redis or a header can't,
such as half an emoji. The whole application runs, and a signed-in browser then uses its pages.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.machine_api.test_shared_signals import CHANGED, REVOKED
from tests.support.fake_provider import CLIENT_ID, FakeProvider
from tests.support.fixtures import MakeReceiver
from tests.support.logout_tokens import EVENT
from tests.support.receiver import Receiver
from tests.support.redis_server import RedisServer

pytestmark = pytest.mark.usefixtures("ends_answer_at_once")

HALF = "\ud83d"
ODD: dict[str, Any] = {
    "half": f"a{HALF}",
    "half in a list": [HALF, 1],
    "half in a name": {HALF: {"a": HALF}},
    "too large": 2**70,
    "too small": -(2**70),
    "no number": float("nan"),
    "infinite": float("-inf"),
    "a control character": "a\r\nb\0",
}
OURS = "http://localhost:8000"
SSF = "https://transmitter.example/"
AUDIENCE = "https://api.example"
KEY = "k" * 40
PAGE = {"Sec-Fetch-Dest": "document", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "none"}
FETCH = {"Sec-Fetch-Site": "same-origin", "X-CSRF": "1"}
BEARER = {"Authorization": f"Bearer {KEY}"}
IDENTIFIERS = {"iss", "sub", "aud", "azp", "exp", "iat", "nbf", "nonce", "sid", "at_hash", "jti"}
CLAIMS = sorted(
    IDENTIFIERS
    | {"auth_time", "acr", "amr", "org_id", "org_name", "name", "nickname", "email", "locale"}
    | {"email_verified", "picture", "session_expiry", "events", "anything"}
)


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeProvider]:
    provider = FakeProvider()
    yield provider
    provider.stop()


@pytest.fixture(scope="module")
def bff(redis_server: RedisServer, fake: FakeProvider) -> Iterator[Receiver]:
    """One for all values: to start it costs more than a sign-in."""
    made = Receiver(
        fake,
        redis_server,
        "odd-claims",
        AUTH0_AUDIENCE=AUDIENCE,
        BFF_ADMIN_KEY=KEY,
        BFF_ADMIN_AUDIENCE=AUDIENCE,
        BFF_ADMIN_SCOPE="admin",
        BFF_AUDIT_USER="id",
        BFF_INTROSPECTION_CLIENTS=f"api:{KEY}",
        BFF_SESSION_LEASE_MILLISECONDS="0",
        BFF_SSF_ISSUER=SSF,
        BFF_SSF_JWKS_URL=f"{fake.issuer}jwks",
    )
    yield made
    made.close()


@pytest.fixture(autouse=True)
def _every_line_is_readable(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    yield
    for record in caplog.get_records("call"):
        record.getMessage().encode()
        assert "unexpected_error" not in record.getMessage()


def changed(tree: Any) -> Iterator[tuple[str, Any]]:
    """Each place of *tree* with each odd value, and what it is called."""

    def places(part: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
        if not isinstance(part, dict | list):
            return
        for name in part if isinstance(part, dict) else range(len(part)):
            yield (*way, name)
            yield from places(part[name], (*way, name))

    for way in list(places(tree)):
        for kind, value in ODD.items():
            copy = json.loads(json.dumps(tree))
            parent = copy
            for name in way[:-1]:
                parent = parent[name]
            parent[way[-1]] = value
            yield f"{way} {kind}", copy


def assert_clear(response: TestResponse, what: str) -> None:
    assert response.status_code < 500, f"{what}: {response.status_code} {response.text}"
    if response.is_json and response.data:
        json.loads(response.data, parse_constant=lambda name: pytest.fail(f"{what}: {name}"))


def sign_in(bff: Receiver, **claims: Any) -> tuple[FlaskClient, TestResponse]:
    browser = bff.app.test_client()
    started = browser.get("/auth/login", base_url=OURS, headers=PAGE)
    query = parse_qs(urlsplit(started.headers["Location"]).query)
    id_token = bff.fake.id_token(**({"nonce": query["nonce"][0]} | claims))
    bff.fake.token(bff.fake.grant(id_token=id_token))
    state = query["state"][0]
    address = f"/auth/callback?code=x&state={state}"
    return browser, browser.get(address, base_url=OURS, headers=PAGE | {"Accept": "text/html"})


@pytest.mark.parametrize("name", CLAIMS)
@pytest.mark.parametrize("kind", ODD)
def test_an_id_token_signs_in_or_is_refused_with_its_code(
    bff: Receiver, name: str, kind: str
) -> None:
    browser, response = sign_in(bff, **{name: ODD[kind]})
    if response.status_code != 303:
        assert name in IDENTIFIERS, response.text
        assert (response.status_code, "id_token_invalid" in response.text) == (502, True)
        return
    for address, headers in (
        ("/auth/profile", FETCH),
        ("/auth/devices", FETCH),
        ("/admin/sessions?sub=auth0%7Cdemo", BEARER),
    ):
        assert_clear(browser.get(address, base_url=OURS, headers=headers), address)
    assert_clear(browser.post("/auth/logout", base_url=OURS, headers=FETCH), "logout")


@pytest.mark.parametrize("kind", ODD)
def test_a_refresh_goes_on_or_ends_clearly(bff: Receiver, fake: FakeProvider, kind: str) -> None:
    def answer(**changes: Any) -> dict[str, Any]:
        return fake.grant(id_token=None) | changes

    answers = {
        name: answer(id_token=fake.id_token(**({"nonce": None} | {name: ODD[kind]})))
        for name in CLAIMS
    } | {
        f"token answer {name}": answer(**{name: ODD[kind]})
        for name in (
            "expires_in",
            "refresh_token_expires_in",
            "refresh_expires_in",
            "scope",
            "token_type",
            "refresh_token",
            "id_token",
            "error",
        )
    }
    for what, body in answers.items():
        usual = bff.sign_in()
        expired = msgspec.structs.replace(usual.tokens, expires_at=1)
        cookie = bff.services.sessions.start(msgspec.structs.replace(usual, tokens=expired))
        browser = bff.app.test_client()
        browser.set_cookie("session", cookie, domain="localhost")
        fake.token(body)
        for _ in range(2):
            response = browser.get("/api/items", base_url=OURS, headers=FETCH)
            codes = {"upstream_unreachable", "session_ended", "provider_unavailable"}
            assert response.get_json()["code"] in codes, f"{what}: {response.text}"


Requests = Iterator[tuple[str, str, dict[str, Any]]]
"""What is odd, the address, and the rest of the request."""


def logout_tokens(fake: FakeProvider) -> Requests:
    now = int(time.time())
    claims = {
        "iss": fake.issuer, "sub": "auth0|demo", "aud": [CLIENT_ID], "iat": now, "exp": now + 60,
        "nbf": now, "jti": "one", "sid": "sid-one", "events": {EVENT: {}, "more": True},
        "trace_id": "x",
    }  # fmt: skip
    for what, odd in changed(claims):
        token = fake.sign(odd if "jti" in what else odd | {"jti": what}, {"typ": "JWT"})
        yield what, "/auth/backchannel-logout", {"method": "POST", "data": {"logout_token": token}}


def security_events(fake: FakeProvider) -> Requests:
    now = int(time.time())
    user = {"format": "iss_sub", "iss": fake.issuer, "sub": "auth0|demo"}
    session = {"format": "opaque", "id": "sid-one"}
    events = {
        REVOKED: {"event_timestamp": now, "reason_admin": {"en": "x"}},
        CHANGED: {"change_type": "update", "event_timestamp": now},
    }
    for number, subject in enumerate(
        (
            session,
            {"format": "email", "email": "dana@example.com"},
            {"format": "complex", "user": user},
            {"format": "complex", "user": user, "session": session},
        )
    ):
        claims = {"iss": SSF, "aud": OURS, "iat": now, "jti": "one", "sub_id": subject}
        for what, odd in changed(claims | {"events": events, "txn": "x"}):
            new = odd if "jti" in what else odd | {"jti": f"{number} {what}"[:255]}
            token = fake.sign(new, {"typ": "secevent+jwt"})
            pushed = {"data": token, "content_type": "application/secevent+jwt"}
            yield what, "/webhooks/ssf", {"method": "POST", **pushed}


def access_tokens(fake: FakeProvider) -> Requests:
    now = int(time.time())
    claims = {
        "iss": fake.issuer, "sub": "a", "aud": [AUDIENCE], "iat": now, "exp": now + 60, "nbf": now,
        "scope": "admin", "permissions": ["a"], "jti": "x", "client_id": "c", "azp": "c",
    }  # fmt: skip
    basic = {"Authorization": "Basic " + base64.b64encode(f"api:{KEY}".encode()).decode()}
    for what, odd in changed(claims):
        token = fake.sign(odd, {"typ": "at+jwt"})
        asked = {"method": "POST", "data": {"token": token}, "headers": basic}
        yield what, "/auth/introspect", asked
        for address in ("/auth/check-token", "/admin/sessions?sub=a"):
            yield what, address, {"headers": {"Authorization": f"Bearer {token}"}}


@pytest.mark.parametrize("made", [logout_tokens, security_events, access_tokens])
def test_a_token_of_a_program_is_taken_or_refused(
    bff: Receiver, fake: FakeProvider, made: Callable[[FakeProvider], Requests]
) -> None:
    """The audit log, which names users by id here, can be written, too."""
    for what, address, asked in made(fake):
        assert_clear(bff.client.open(address, **asked), f"{address} {what}")


@pytest.mark.parametrize(
    "url", [f"https://a.example/{HALF}", f"https://{HALF}.example/", "https://\uff0a.example/"]
)
def test_an_endpoint_that_is_no_url_is_refused_before_it_is_used(
    receiver_for: MakeReceiver, fake: FakeProvider, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setitem(fake.metadata, "authorization_endpoint", url)
    client = receiver_for().client
    response = client.get("/auth/login", base_url=OURS, headers=PAGE | {"Accept": "text/html"})
    assert response.status_code == 502
    assert "provider_misconfigured" in response.text

"""The provider says that a session is over: believed only if every check of 2.6 has passed."""

from __future__ import annotations

import base64
import hmac
import json
import secrets
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
from joserfc.jwk import ECKey, RSAKey
from werkzeug.test import TestResponse

from bff.errors import StoreUnavailable
from bff.sessions import session_key
from tests.providers.fake import CLIENT_ID, CLIENT_SECRET, KEY, OTHER_KEY, FakeProvider, Says
from tests.support.receiver import Receiver
from tests.support.redis_server import RedisServer
from tests.support.waiting import wait_for

FORM = "application/x-www-form-urlencoded"
EVENT = "http://schemas.openid.net/event/backchannel-logout"
DAY = 86_400


@pytest.fixture
def fake() -> Iterator[FakeProvider]:
    provider = FakeProvider()
    yield provider
    provider.stop()


MakeReceiver = Callable[..., Receiver]


@pytest.fixture
def receiver_for(
    fake: FakeProvider, redis_server: RedisServer, redis_prefix: str
) -> Iterator[MakeReceiver]:
    made: list[Receiver] = []

    def make(**settings: str) -> Receiver:
        made.append(Receiver(fake, redis_server, redis_prefix, **settings))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def bff(receiver_for: MakeReceiver) -> Receiver:
    return receiver_for()


def post(bff: Receiver, token: str, **more: str) -> TestResponse:
    return send(bff, urlencode({"logout_token": token} | more))


def send(bff: Receiver, body: str | bytes, content_type: str = FORM) -> TestResponse:
    return bff.client.post("/auth/backchannel-logout", data=body, content_type=content_type)


def assert_refused(bff: Receiver, answer: TestResponse) -> str:
    """400 as in 2.8, and nothing is left of the attempt; what was said."""
    assert answer.status_code == 400, answer.text
    told = answer.get_json()
    assert told["error"] == "invalid_request"
    assert answer.headers["Cache-Control"] == "no-store"
    assert bff.names("watermark") == bff.names("seen") == set()
    return str(told["error_description"])


# ---------------------------------------------------------------- what it ends
def test_a_sid_ends_what_hangs_on_it_and_nothing_else(bff: Receiver, fake: FakeProvider) -> None:
    mine, twice = bff.start(), bff.start()
    elsewhere, stranger = bff.start(sid="sid-two"), bff.start(subject="auth0|eve", sid="sid-eve")
    answer = post(bff, fake.logout_token())
    assert (answer.status_code, answer.data) == (200, b"")
    assert answer.headers["Cache-Control"] == "no-store"
    assert "Set-Cookie" not in answer.headers
    assert [bff.lives(key) for key in (mine, twice, elsewhere, stranger)] == [0, 0, 1, 1]
    wait_for(lambda: bff.revoked() == {"refresh-1", "refresh-2"}, "their tokens are revoked")


def test_a_sub_alone_ends_all_of_the_users_sessions(bff: Receiver, fake: FakeProvider) -> None:
    mine = [bff.start(), bff.start(sid="sid-two"), bff.start(sid=None)]
    stranger = bff.start(subject="auth0|eve", sid="sid-eve")
    assert post(bff, fake.logout_token(sid=None)).status_code == 200
    assert not any(bff.lives(key) for key in mine)
    assert bff.lives(stranger)


def test_a_sid_alone_is_enough(bff: Receiver, fake: FakeProvider) -> None:
    mine = bff.start()
    assert post(bff, fake.logout_token(sub=None)).status_code == 200
    assert not bff.lives(mine)


def test_the_refresh_tokens_are_revoked_at_once(bff: Receiver, fake: FakeProvider) -> None:
    """The drain is woken; by itself it would come every other second."""
    for _ in range(3):
        bff.start()
        revoked = len(bff.revoked())
        assert post(bff, fake.logout_token()).status_code == 200
        wait_for(lambda: len(bff.revoked()) > revoked, "revoked", timeout_seconds=1)  # noqa: B023
        wait_for(lambda: not bff.names("{outbox}:entry"), "nothing waits", timeout_seconds=1)


@pytest.mark.parametrize(
    "changes",
    [{"sid": "unknown"}, {"sid": "unknown", "sub": None}, {"sid": None, "sub": "auth0|nobody"}],
    ids=str,
)
def test_unknown_sessions_are_answered_with_200(
    bff: Receiver, fake: FakeProvider, changes: dict[str, Any]
) -> None:
    """2.7: a user who has signed out here already counts as success."""
    mine = bff.start()
    assert post(bff, fake.logout_token(**changes)).status_code == 200
    assert bff.lives(mine)


def test_a_sub_that_contradicts_the_sid_ends_nothing(bff: Receiver, fake: FakeProvider) -> None:
    mine, eves = bff.start(), bff.start(subject="auth0|eve", sid="sid-eve")
    told = assert_refused(bff, post(bff, fake.logout_token(sub="auth0|eve")))
    assert "different users" in told
    assert bff.lives(mine)
    assert bff.lives(eves)


def test_a_user_whose_sign_in_is_under_way_does_not_slip_through(
    bff: Receiver, fake: FakeProvider
) -> None:
    sign_in = bff.sign_in(auth_time=int(time.time()) - 5)
    assert post(bff, fake.logout_token()).status_code == 200
    with pytest.raises(Exception, match="older than the end"):
        bff.parts.sessions.start(sign_in)
    after = bff.sign_in(sid="sid-new", auth_time=int(time.time()) - 5)
    assert bff.parts.sessions.start(after), "another session at the provider goes on"


GOOD: dict[str, dict[str, Any]] = {
    "Auth0's": {},
    "typ logout+jwt": {"header": {"typ": "logout+jwt"}},
    "typ in capitals": {"header": {"typ": "LOGOUT+JWT"}},
    "typ as a whole media type": {"header": {"typ": "application/logout+jwt"}},
    "several audiences": {"aud": ["another", CLIENT_ID]},
    "another event beside it": {"events": {EVENT: {}, "https://example.com/more": {"a": 1}}},
    "an event with something in it": {"events": {EVENT: {"reason": "because"}}},
    "a clock that is 5 s ahead": {"iat": 5},
    "a clock that is 5 s behind": {"iat": -125, "exp": -5},
    "an unknown header and claim": {"header": {"x": 1}, "more": [None, {"a": "b"}]},
    "an elliptic key": {"key": ECKey.generate_key("P-256", {"kid": "ec"}), "alg": "ES256"},
}


@pytest.mark.parametrize("changes", GOOD.values(), ids=GOOD)
def test_a_good_token_is_taken(bff: Receiver, fake: FakeProvider, changes: dict[str, Any]) -> None:
    if "key" in changes:
        fake.keys.append(changes["key"].as_dict(private=False))
    mine = bff.start()
    assert post(bff, fake.logout_token(**from_now(changes))).status_code == 200
    assert not bff.lives(mine)


def test_other_values_of_the_form_are_passed_over(bff: Receiver, fake: FakeProvider) -> None:
    """2.5. Parameters of the content type too."""
    mine = bff.start()
    body = urlencode({"a": "", "logout_token": fake.logout_token(), "sid": "x"})
    assert send(bff, body, f"{FORM}; charset=UTF-8").status_code == 200
    assert not bff.lives(mine)


def test_which_typ_is_taken_can_be_narrowed(receiver_for: MakeReceiver, fake: FakeProvider) -> None:
    strict = receiver_for(BFF_LOGOUT_TOKEN_TYPES="logout+jwt")
    mine = strict.start()
    assert_refused(strict, post(strict, fake.logout_token()))
    assert strict.lives(mine)
    assert post(strict, fake.logout_token(header={"typ": "logout+jwt"})).status_code == 200


# ---------------------------------------------------------------- forgeries
def from_now(changes: dict[str, Any]) -> dict[str, Any]:
    """Times that are small numbers count from now."""
    now = int(time.time())
    return {
        name: now + value
        if name in ("iat", "exp", "nbf") and type(value) in (int, float) and abs(value) < 1e8
        else value
        for name, value in changes.items()
    }


WRONG_CLAIMS: dict[str, dict[str, Any]] = {
    "another issuer": {"iss": "https://evil.example/"},
    "an issuer in a list": {"iss": ["ISSUER"]},
    "no issuer": {"iss": None},
    "another audience": {"aud": "another"},
    "no audience": {"aud": None},
    "an audience that only contains ours": {"aud": f"{CLIENT_ID}-two"},
    "a list with an object for audience": {"aud": [CLIENT_ID, {}]},
    "no iat": {"iat": None},
    "an iat that is text": {"iat": "1"},
    "an iat that is true": {"iat": True},
    "an iat that lies ahead": {"iat": 60},
    "an iat of yesterday": {"iat": -DAY, "exp": DAY},
    "an iat of no size": {"iat": float("inf")},
    "no exp": {"exp": None},
    "expired": {"exp": -60},
    "an exp that is text": {"exp": "2999"},
    "an exp that is no number": {"exp": float("nan")},
    "not yet valid": {"nbf": 60},
    "no jti": {"jti": None},
    "an empty jti": {"jti": ""},
    "a jti that is a number": {"jti": 7},
    "an endless jti": {"jti": "x" * 5000},
    "a jti that is half a character": {"jti": "\ud800"},
    "no events": {"events": None},
    "events that is a list": {"events": [EVENT]},
    "events that is a text": {"events": EVENT},
    "no event in events": {"events": {}},
    "another event": {"events": {"https://example.com/backchannel-logout": {}}},
    "the event in capitals": {"events": {EVENT.upper(): {}}},
    "the event with https": {"events": {EVENT.replace("http:", "https:"): {}}},
    "an event that is no object": {"events": {EVENT: True}},
    "an event that is null": {"events": {EVENT: None}},
    "a nonce": {"nonce": "the-nonce"},
    "an empty nonce": {"nonce": ""},
    "neither sub nor sid": {"sub": None, "sid": None},
    "an empty sid": {"sid": ""},
    "a sid that is a list": {"sid": ["sid-one"]},
    "a sub that is a number": {"sub": 7, "sid": None},
    "a sub that is half a character": {"sub": "\udfff", "sid": None},
    "an endless sub": {"sub": "x" * 5000, "sid": None},
}
WRONG_HEADERS: dict[str, dict[str, Any]] = {
    "no typ": {"typ": None},
    "the typ of an access token": {"typ": "at+jwt"},
    "the typ of a security event": {"typ": "secevent+jwt"},
    "a typ of two types": {"typ": "application/x/logout+jwt"},
    "a typ that is a list": {"typ": ["JWT"]},
    "an unknown kid": {"kid": "three"},
    "a kid that is a path": {"kid": "../../etc/passwd"},
    "a kid that is a number": {"kid": 1},
    "a critical header": {"crit": ["bork"], "bork": True},
}


@pytest.mark.parametrize("changes", WRONG_CLAIMS.values(), ids=WRONG_CLAIMS)
def test_a_wrong_claim_ends_nothing(
    bff: Receiver, fake: FakeProvider, changes: dict[str, Any]
) -> None:
    mine = bff.start()
    changes = from_now(changes)
    if changes.get("iss") == ["ISSUER"]:
        changes["iss"] = [fake.issuer]
    assert_refused(bff, post(bff, fake.logout_token(**changes)))
    assert bff.lives(mine)


@pytest.mark.parametrize("header", WRONG_HEADERS.values(), ids=WRONG_HEADERS)
def test_a_wrong_header_ends_nothing(
    bff: Receiver, fake: FakeProvider, header: dict[str, Any]
) -> None:
    mine = bff.start()
    assert_refused(bff, post(bff, fake.logout_token(header=header)))
    assert bff.lives(mine)


def encoded(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def with_header(token: str, **header: Any) -> str:
    """The claims of a good token under another header, still to be signed."""
    return f"{encoded(header)}.{token.split('.')[1]}"


def mac(signed: str, secret: bytes) -> str:
    digest = hmac.digest(secret, signed.encode(), "sha256")
    return f"{signed}.{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"


def with_rs512(fake: FakeProvider, _: str) -> str:
    """A good signature of a listed key that would serve any algorithm; this one isn't allowed."""
    key = RSAKey.generate_key(2048, {"kid": "any"})
    fake.keys.append(key.as_dict(private=False))
    return fake.logout_token(key, "RS512")


PUBLIC = OTHER_KEY.as_dict(private=False)
FORGED: dict[str, Callable[[FakeProvider, str], str]] = {
    "no signature": lambda f, t: t.rpartition(".")[0] + ".",
    "two parts": lambda f, t: t.rpartition(".")[0],
    "alg none": lambda f, t: with_header(t, alg="none", typ="JWT") + ".",
    "alg nOnE": lambda f, t: with_header(t, alg="nOnE", typ="JWT") + ".",
    "no alg": lambda f, t: with_header(t, typ="JWT", kid="one") + "." + t.split(".")[2],
    "HS256 with the public key": lambda f, t: mac(
        with_header(t, alg="HS256", typ="JWT", kid="one"), KEY.as_pem(private=False)
    ),
    "HS256 with the client secret": lambda f, t: mac(
        with_header(t, alg="HS256", typ="JWT"), CLIENT_SECRET.encode()
    ),
    "an algorithm that is not allowed": with_rs512,
    "another key": lambda f, t: f.logout_token(OTHER_KEY),
    "another key under our kid": lambda f, t: f.logout_token(OTHER_KEY, header={"kid": "one"}),
    "a key in the token": lambda f, t: f.logout_token(
        OTHER_KEY, header={"kid": None, "jwk": PUBLIC}
    ),
    "a key at an address": lambda f, t: f.logout_token(
        OTHER_KEY, header={"jku": f"{f.issuer}evil", "x5u": f"{f.issuer}evil"}
    ),
    "other claims": lambda f, t: ".".join(
        (t.split(".")[0], encoded({"sub": "auth0|demo"}), t.split(".")[2])
    ),
    "a changed signature": lambda f, t: t[:-8] + "AAAAAAAA",
    "an ID token": lambda f, t: f.id_token(nonce=None, header={"typ": "JWT"}),
    "an ID token with its nonce": lambda f, t: f.id_token(header={"typ": "JWT"}),
    "an encrypted token's form": lambda f, t: f"{t}.x.y",
    "no JSON in it": lambda f, t: "e30.e30.e30",
    "claims that are a list": lambda f, t: f"{t.split('.')[0]}.{encoded([])}.{t.split('.')[2]}",
    "rubbish": lambda f, t: "é.é.é",
    "a null byte": lambda f, t: t + "\0",
    "a header of 20 KB": lambda f, t: f.logout_token(header={"x": "x" * 20_000}),
    "nested a thousand times": lambda f, t: "e30." + encoded(1) * 5000 + ".e30",
    "empty": lambda f, t: "",
}


@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED)
def test_a_forged_token_ends_nothing(
    bff: Receiver, fake: FakeProvider, forge: Callable[[FakeProvider, str], str]
) -> None:
    mine = bff.start()
    assert_refused(bff, post(bff, forge(fake, fake.logout_token())))
    assert bff.lives(mine)
    assert not [asked for asked in fake.asked if asked.path == "/evil"]


BODIES: dict[str, Callable[[str], tuple[str | bytes, str]]] = {
    "JSON": lambda t: (json.dumps({"logout_token": t}), "application/json"),
    "JSON called a form": lambda t: (json.dumps({"logout_token": t}), FORM),
    "the bare token": lambda t: (t, "application/jwt"),
    "a form of several parts": lambda t: (
        f'--x\r\nContent-Disposition: form-data; name="logout_token"\r\n\r\n{t}\r\n--x--',
        "multipart/form-data; boundary=x",
    ),
    "no content type": lambda t: (f"logout_token={t}", ""),
    "two tokens": lambda t: (f"logout_token={t}&logout_token={t}", FORM),
    "a good one and a bad one": lambda t: (f"logout_token={t}&logout_token=x", FORM),
    "another name": lambda t: (f"Logout_token={t}", FORM),
    "no token": lambda t: ("a=b", FORM),
    "nothing": lambda t: ("", FORM),
    "oversized": lambda t: (f"logout_token={t}&a={'x' * 70_000}", FORM),
    "many values": lambda t: (f"logout_token={t}" + "&a" * 100, FORM),
    "no text": lambda t: (f"logout_token={t}&a=".encode() + b"\xff\xfe\x00", FORM),
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_a_body_of_another_form_ends_nothing(
    bff: Receiver, fake: FakeProvider, body: Callable[[str], tuple[str | bytes, str]]
) -> None:
    mine = bff.start()
    assert_refused(bff, send(bff, *body(fake.logout_token())))
    assert bff.lives(mine)


def test_a_token_in_the_address_or_by_get_ends_nothing(bff: Receiver, fake: FakeProvider) -> None:
    mine, query = bff.start(), urlencode({"logout_token": fake.logout_token()})
    path = f"/auth/backchannel-logout?{query}"
    assert bff.client.post(path, content_type=FORM).status_code == 400
    assert bff.client.get(path).status_code in (404, 405)
    assert bff.lives(mine)


def test_forged_tokens_are_no_storm_at_the_provider(bff: Receiver, fake: FakeProvider) -> None:
    post(bff, fake.logout_token(header={"kid": "unknown"}))
    asked = fake.count("/jwks")
    for number in range(20):
        post(bff, fake.logout_token(header={"kid": f"unknown-{number}"}))
    assert fake.count("/jwks") <= asked + 1


# ---------------------------------------------------------------- replays and failures
def test_a_replay_is_refused(bff: Receiver, fake: FakeProvider) -> None:
    token = fake.logout_token()
    assert post(bff, token).status_code == 200
    later = bff.start(auth_time=int(time.time()) + 1)
    answer = post(bff, token)
    assert (answer.status_code, answer.get_json()["error"]) == (400, "invalid_request")
    assert bff.lives(later)


def test_a_replay_is_refused_at_another_replica_and_after_a_rotation_of_the_keys(
    receiver_for: MakeReceiver, fake: FakeProvider
) -> None:
    here, token = receiver_for(), fake.logout_token()
    assert post(here, token).status_code == 200
    [name] = here.names("seen")
    assert 3600 <= here.parts.database.command("TTL", name) <= 3700
    assert "sid-one" not in name
    old = here.config.secrets[0].get_secret_value()
    there = receiver_for(AUTH0_SECRET=f"{secrets.token_hex(32)},{old}")
    assert post(there, token).status_code == 400


@pytest.mark.parametrize("step", ["rise", "members", "entomb_all", "deny", "remember"])
def test_a_failure_in_the_middle_is_no_use_of_the_token(
    bff: Receiver, fake: FakeProvider, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """503, and the same token ends the rest when it comes again."""
    mine, token = [bff.start(), bff.start()], fake.logout_token(sid=None)

    def away(*_: Any, **__: Any) -> None:
        raise StoreUnavailable("away")

    groups: Any = bff.parts.sessions._revocation._groups
    parts = {
        "rise": (bff.parts.watermarks, "rise"),
        "members": (groups._indexes, "members"),
        "entomb_all": (groups._records, "entomb_all"),
        "deny": (bff.parts.deny_list, "add"),
        "remember": (bff.parts.replays, "add"),
    }
    with monkeypatch.context() as broken:
        broken.setattr(*parts[step], away)
        answer = post(bff, token)
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "2"
    assert answer.headers["Cache-Control"] == "no-store"
    assert post(bff, token).status_code == 200
    assert not any(bff.lives(key) for key in mine)
    wait_for(lambda: bff.revoked() == {"refresh-1", "refresh-2"}, "revoked")
    assert post(bff, token).status_code == 400


def test_redis_away_is_503_and_a_retry_afterwards_succeeds(fake: FakeProvider) -> None:
    with RedisServer() as server:
        bff = Receiver(fake, server, "outage")
        try:
            mine, token = bff.start(), fake.logout_token()
            server.stop()
            assert post(bff, token).status_code == 503
            server.start_again()
            assert bff.lives(mine)
            assert post(bff, token).status_code == 200
            assert not bff.lives(mine)
        finally:
            bff.close()


def test_a_provider_whose_keys_are_away_is_503(receiver_for: MakeReceiver) -> None:
    fake = FakeProvider()
    try:
        fake.says("/jwks", lambda: Says(b"", 503))
        fake.says("/.well-known/openid-configuration", lambda: Says(b"", 503))
        receiver = receiver_for(OIDC_ISSUER=fake.issuer)
        mine = receiver.start()
        answer = post(receiver, fake.logout_token())
        assert answer.status_code == 503
        assert answer.get_json()["error"] == "temporarily_unavailable"
        assert receiver.lives(mine)
    finally:
        fake.stop()


def test_a_thousand_sessions_end_within_the_senders_patience(
    bff: Receiver, fake: FakeProvider
) -> None:
    mine = [bff.start() for _ in range(1000)]
    began_at = time.monotonic()
    assert post(bff, fake.logout_token(sid=None)).status_code == 200
    assert time.monotonic() - began_at < 5
    assert not any(bff.lives(key) for key in mine)


def test_a_session_key_is_what_the_cookie_hashes_to(bff: Receiver) -> None:
    """So that `lives` above means what a request would meet."""
    cookie = bff.parts.sessions.start(bff.sign_in())
    key = session_key(cookie)
    assert key
    assert bff.lives(key)

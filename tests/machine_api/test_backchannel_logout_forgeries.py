"""A logout token that fails a check of Back-Channel Logout 2.6 ends and stores nothing."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest
from joserfc.jwk import RSAKey

from bff.core.unknown_keys import ANYONE_BURST
from tests.support.fake_provider import CLIENT_ID, CLIENT_SECRET, KEY, NULL, OTHER_KEY, FakeProvider
from tests.support.fixtures import MakeReceiver
from tests.support.logout_tokens import EVENT, FORM, assert_refused, from_now, post, send
from tests.support.receiver import Receiver

DAY = 86_400


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
    "no exp and an iat of yesterday": {"iat": -DAY, "exp": None},
    "no exp and no iat": {"iat": None, "exp": None},
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
    "another event beside it that is no object": {"events": {EVENT: True, "another": {}}},
    "a nonce": {"nonce": "the-nonce"},
    "an empty nonce": {"nonce": ""},
    "neither sub nor sid": {"sub": None, "sid": None},
    "sub and sid that are null": {"sub": NULL, "sid": NULL},
    "a jti that is null": {"jti": NULL},
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
    assert bff.has_session(mine)


@pytest.mark.parametrize("header", WRONG_HEADERS.values(), ids=WRONG_HEADERS)
def test_a_wrong_header_ends_nothing(
    bff: Receiver, fake: FakeProvider, header: dict[str, Any]
) -> None:
    mine = bff.start()
    assert_refused(bff, post(bff, fake.logout_token(header=header)))
    assert bff.has_session(mine)


def encoded(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def with_header(token: str, **header: Any) -> str:
    """The claims of a valid token under another header, not yet signed."""
    return f"{encoded(header)}.{token.split('.')[1]}"


def mac(signed: str, secret: bytes) -> str:
    digest = hmac.digest(secret, signed.encode(), "sha256")
    return f"{signed}.{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"


def with_rs512(fake: FakeProvider, _: str) -> str:
    """A valid signature with a listed key, by an algorithm that is not allowed."""
    key = RSAKey.generate_key(2048, {"kid": "any"})
    fake.keys.append(key.as_dict(private=False))
    return fake.logout_token(key, "RS512")


PUBLIC = OTHER_KEY.as_dict(private=False)
FORGED: dict[str, Callable[[FakeProvider, str], str]] = {
    "no signature": lambda f, t: t.rpartition(".")[0] + ".",
    "two services": lambda f, t: t.rpartition(".")[0],
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
    receiver_for: MakeReceiver, fake: FakeProvider, forge: Callable[[FakeProvider, str], str]
) -> None:
    forged = forge(fake, fake.logout_token())
    bff = receiver_for()
    mine = bff.start()
    assert_refused(bff, post(bff, forged))
    assert bff.has_session(mine)
    assert not [r for r in fake.asked if r.path == "/evil"]


BODIES: dict[str, Callable[[str], tuple[str | bytes, str]]] = {
    "JSON": lambda t: (json.dumps({"logout_token": t}), "application/json"),
    "JSON called a form": lambda t: (json.dumps({"logout_token": t}), FORM),
    "the bare token": lambda t: (t, "application/jwt"),
    "a form of several services": lambda t: (
        f'--x\r\nContent-Disposition: form-data; name="logout_token"\r\n\r\n{t}\r\n--x--',
        "multipart/form-data; boundary=x",
    ),
    "no content type": lambda t: (f"logout_token={t}", ""),
    "two tokens": lambda t: (f"logout_token={t}&logout_token={t}", FORM),
    "a valid one and another": lambda t: (f"logout_token={t}&logout_token=x", FORM),
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
    assert bff.has_session(mine)


def test_a_token_in_the_address_or_by_get_ends_nothing(bff: Receiver, fake: FakeProvider) -> None:
    mine, query = bff.start(), urlencode({"logout_token": fake.logout_token()})
    path = f"/auth/backchannel-logout?{query}"
    assert bff.client.post(path, content_type=FORM).status_code == 400
    assert bff.client.get(path).status_code in (404, 405)
    assert bff.has_session(mine)


def test_forged_tokens_cause_few_requests_for_keys(bff: Receiver, fake: FakeProvider) -> None:
    """The others are told to come again: one of their keys may be a new one."""
    for _ in range(10):
        assert post(bff, fake.logout_token(header={"kid": "unknown"})).status_code == 400
    fetched = fake.count("/jwks")
    statuses = [
        post(bff, fake.logout_token(header={"kid": f"unknown-{number}"})).status_code
        for number in range(20)
    ]
    assert fake.count("/jwks") <= fetched + ANYONE_BURST
    assert statuses[-1] == 503

"""Which access tokens the demo API accepts, and where its keys come from."""

import threading
import time
from typing import Any

import pytest
import requests
from werkzeug.serving import BaseWSGIServer, make_server

from bff.demo.api.tokens import (
    IssuerKeys,
    KeysUnavailable,
    TokenInvalid,
    TokenValidator,
    fetch_json,
)
from tests.demo.api_client import (
    AUDIENCE,
    ISSUER,
    KEY,
    NEXT_KEY,
    OTHER_KEY,
    Clock,
    Issuer,
    hmac_token,
    token,
    unsigned_token,
)

# ---------------------------------------------------------------- tokens: refused

REFUSED = {
    "alg_none": unsigned_token,
    "hs256_with_the_public_key": hmac_token,
    "other_rsa_algorithm": lambda: token(header={"alg": "RS512"}),
    "another_key_of_the_same_name": lambda: token(OTHER_KEY),
    "unknown_kid": lambda: token(NEXT_KEY, {"kid": "k2"}),
    "no_kid": lambda: token(header={"kid": ""}),
    "other_type": lambda: token(header={"typ": "logout+jwt"}),
    "wrong_issuer": lambda: token(iss="https://issuer.test"),
    "no_issuer": lambda: token(iss=None),
    "wrong_audience": lambda: token(aud="client-id"),
    "wrong_audience_list": lambda: token(aud=["a", "b"]),
    "no_audience": lambda: token(aud=None),
    "expired": lambda: token(exp=int(time.time()) - 1),
    "no_expiry": lambda: token(exp=None),
    "expiry_is_text": lambda: token(exp="tomorrow"),
    "not_yet_valid": lambda: token(nbf=int(time.time()) + 60),
    "no_subject": lambda: token(sub=None),
    "changed_payload": lambda: ".".join(
        [token().split(".")[0], token(sub="mallory").split(".")[1], token().split(".")[2]]
    ),
    "no_jwt_at_all": lambda: "opaque",
    "header_is_a_list": lambda: "W10.W10.W10",
    "not_ascii": lambda: "é.é.é",
    "five_parts": lambda: f"{token()}.x.y",
}


@pytest.mark.parametrize("make", REFUSED.values(), ids=REFUSED.keys())
def test_refused_tokens(validator: TokenValidator, make: Any) -> None:
    with pytest.raises(TokenInvalid) as refusal:
        validator.validate(make())
    assert str(refusal.value)


@pytest.mark.parametrize(
    "make",
    [
        lambda: token(),
        lambda: token(header={"typ": "at+jwt"}, jti="1", client_id="c"),
        lambda: token(header={"typ": "application/at+jwt"}),
        lambda: token(aud=["https://issuer.test/userinfo", AUDIENCE]),
    ],
    ids=["auth0_dialect", "rfc9068_dialect", "rfc9068_long_type", "audience_list"],
)
def test_accepted_tokens(validator: TokenValidator, make: Any) -> None:
    assert validator.validate(make())["sub"] == "alice"


# ---------------------------------------------------------------- keys


def test_an_unknown_kid_refetches_once_per_pause(issuer: Issuer) -> None:
    clock = Clock()
    keys = IssuerKeys(ISSUER, issuer.fetch, clock)
    keys.containing("k1")
    issuer.keys = [KEY, NEXT_KEY]
    with pytest.raises(TokenInvalid):
        keys.containing("k2")
    assert len(issuer.fetched) == 2
    clock.now += 11
    keys.containing("k2")
    assert len(issuer.fetched) == 4
    for number in range(20):
        with pytest.raises(TokenInvalid):
            keys.containing(f"made-up-{number}")
    assert len(issuer.fetched) == 4


def test_keys_survive_an_outage_of_the_issuer(issuer: Issuer) -> None:
    clock = Clock()
    keys = IssuerKeys(ISSUER, issuer.fetch, clock)
    keys.containing("k1")
    issuer.broken = True
    clock.now += 3600
    assert keys.containing("k1")


def test_no_keys_is_not_a_refused_token(issuer: Issuer, validator: TokenValidator) -> None:
    issuer.broken = True
    with pytest.raises(KeysUnavailable):
        validator.validate(token())
    issuer.broken = False
    assert validator.validate(token())


def test_discovery_of_another_issuer_is_not_used(issuer: Issuer, validator: TokenValidator) -> None:
    issuer.discovery_issuer = "https://evil.test/"
    with pytest.raises(KeysUnavailable):
        validator.validate(token())


def test_discovery_over_http_and_no_redirects() -> None:
    """The default fetch follows no redirect and takes nothing but a 200."""
    answers = {
        "/ok": (200, b'{"a": 1}', ""),
        "/moved": (302, b"", "/ok"),
        "/gone": (404, b"{}", ""),
    }

    def app(environ: Any, start_response: Any) -> list[bytes]:
        status, body, location = answers[environ["PATH_INFO"]]
        start_response(f"{status} X", [("Location", location)] if location else [])
        return [body]

    site: BaseWSGIServer = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=site.serve_forever)
    thread.start()
    try:
        base = f"http://127.0.0.1:{site.server_port}"
        assert fetch_json(f"{base}/ok") == {"a": 1}
        for path in ("/moved", "/gone"):
            with pytest.raises(requests.HTTPError):
                fetch_json(f"{base}{path}")
    finally:
        site.shutdown()
        thread.join(5)
        site.server_close()

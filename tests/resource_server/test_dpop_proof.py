"""Which proofs of possession are valid? Against a table of forgeries (RFC 9449, 4.3)."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from joserfc.jwk import Key

from bff.core.errors import ProofInvalid, TokenInvalid
from bff.resource_server.dpop_proof import (
    KEY_OF_ALGORITHM,
    PresentedProof,
    bound_key,
    checked_proof,
    thumbprint,
)
from bff.resource_server.used_proofs import UsedProofs
from tests.support.dpop_proofs import (
    KEY,
    KEYS,
    METHOD,
    OTHER_KEY,
    URL,
    bound_token,
    claims,
    header,
    proof,
    public,
    signed_text,
)
from tests.support.forged_proofs import ED448, FORGED, P521, SECP256K1, WEAK_RSA, Forge, now
from tests.support.issuer import Clock

TOKEN = bound_token()
JKT = thumbprint(public(KEY))


def check(*fields: str, jkt: str = JKT, method: str = METHOD, url: str = URL) -> str:
    """The `jti` of a valid proof for `TOKEN`."""
    presented = PresentedProof(fields=fields, method=method, url=url)
    checked_by, key, jti = checked_proof(presented, TOKEN, jkt, time.time())
    assert (checked_by, key) == ("api", jkt)
    return jti


@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED.keys())
def test_a_forged_proof_is_refused(forge: Forge) -> None:
    with pytest.raises(ProofInvalid) as refused:
        check(*forge(TOKEN))
    assert refused.value.detail
    assert TOKEN not in refused.value.detail


def test_a_proof_is_refused_for_its_own_fault() -> None:
    """The token and the key of the table are good, so that nothing else is what refuses."""
    assert len(FORGED) > 100
    assert check(proof(TOKEN, jti="an-id")) == "an-id"


@pytest.mark.parametrize("alg", KEY_OF_ALGORITHM)
def test_every_algorithm_is_taken_with_its_key(alg: str) -> None:
    jkt = thumbprint(public(KEYS[alg]))
    assert check(proof(TOKEN, KEYS[alg], {"alg": alg}), jkt=jkt)
    with pytest.raises(ProofInvalid, match="another key"):
        check(proof(TOKEN, KEYS[alg], {"alg": alg}), jkt=thumbprint(public(OTHER_KEY)))


SIGNED = {"none": "ES256", "HS256": "ES256"}
WEAK: dict[str, Key] = {
    "RS256": WEAK_RSA, "ES512": P521, "ES256K": SECP256K1, "Ed448": ED448, "EdDSA": ED448,
    "RS512": KEYS["RS256"], "none": KEY, "HS256": KEY,
}  # fmt: skip


@pytest.mark.parametrize("alg", WEAK)
def test_a_key_that_isnt_acceptable_is_refused_though_the_token_is_bound_to_it(alg: str) -> None:
    key = WEAK[alg]
    shown = signed_text(
        json.dumps(header(key, alg=alg)), json.dumps(claims(TOKEN)), key, SIGNED.get(alg, alg)
    )
    with pytest.raises(ProofInvalid, match="alg|size|isn't one"):
        check(shown, jkt=thumbprint(public(key)))


@pytest.mark.parametrize(
    "changes",
    [
        {"y": public(OTHER_KEY)["y"]}, {"x": "A" * 43, "y": "A" * 43}, {"x": "A"}, {"x": "AAAA"},
        {"x": public(KEY)["x"] + "AAAA"}, {"crv": "P-384"}, {"x": "A" * 4000},
    ],
)  # fmt: skip
def test_a_point_that_is_none_is_refused_though_the_token_is_bound_to_it(
    changes: dict[str, str],
) -> None:
    jwk = public(KEY) | changes
    shown = signed_text(json.dumps(header(jwk=jwk)), json.dumps(claims(TOKEN)))
    with pytest.raises(ProofInvalid):
        check(shown, jkt=thumbprint(jwk))


@pytest.mark.parametrize(
    "changes",
    [{"e": "____________"}, {"e": "AQ"}, {"e": "AA"}, {"e": "A"}, {"n": "AQAB"}, {"n": "_" * 900}],
)
def test_an_rsa_key_that_is_none_is_refused_though_the_token_is_bound_to_it(
    changes: dict[str, str],
) -> None:
    """Long numbers would make the check of a signature slow."""
    key = KEYS["RS256"]
    jwk = public(key) | changes
    head = json.dumps(header(key, alg="RS256", jwk=jwk))
    with pytest.raises(ProofInvalid):
        check(signed_text(head, json.dumps(claims(TOKEN)), key, "RS256"), jkt=thumbprint(jwk))


@pytest.mark.parametrize(
    ("head", "changes"),
    [
        ({"kid": "whatever"}, {}),
        ({"jku": "https://evil.example/keys", "x5c": ["x"]}, {}),
        ({"jwk": public(KEY) | {"use": "sig", "kid": "x", "ext": True, "key_ops": ["verify"]}}, {}),
        ({"jwk": public(KEY) | {"alg": "ES256", "of-the-client": {"x": [1]}}}, {}),
        ({"cty": "x", "of-the-client": 1}, {}),
        ({}, {"nonce": "a nonce that nobody asked for"}),
        ({}, {"jti": "j" * 256}),
        ({}, {"jti": "ö \u2028 '\""}),
        ({}, {"iat": time.time()}),
        ({}, {"iat": now() - 30}),
        ({}, {"iat": now() + 50}),
        ({}, {"exp": now() + 90, "nbf": now() - 5}),
    ],
)
def test_what_a_proof_may_have_besides(head: dict[str, Any], changes: dict[str, Any]) -> None:
    assert check(proof(TOKEN, KEY, head, **changes))


SAME = [
    ("https://api.test/items", "https://api.test/items?page=2#top"),
    ("https://api.test/items?page=3", "https://api.test/items?page=2"),
    ("https://api.test:443/items", URL),
    ("https://api.test:/items", URL),
    ("HTTPS://API.Test/items", URL),
    ("https://api.test", "https://api.test/"),
    ("https://api.test?x=1", "https://api.test/"),
    ("http://api.test:80/", "http://API.test"),
    ("http://api.test:08080/a", "http://api.test:8080/a"),
    ("https://api.test/%69tems", URL),
    ("https://api.test/a%2fb", "https://api.test/a%2Fb"),
    ("https://api.test/~dana", "https://api.test/%7Edana"),
    ("https://api.test/a/./b/../items", "https://api.test/a/items"),
    ("https://api.test/x/%2e%2e/items", URL),
    ("https://[::1]:8443/items", "https://[0:0:0:0:0:0:0:1]:8443/items"),
    ("https://[2001:DB8::A]/", "https://[2001:db8:0::a]:443"),
    ("https://127.0.0.1:5000/items", "https://127.0.0.1:5000/items"),
    ("https://xn--bcher-kva.example/", "https://XN--BCHER-KVA.example/"),
    ("https://api.test/auth0%7C12", "https://api.test/auth0|12"),
    ("https://api_1.internal:8000/items", "https://api_1.internal:8000/items"),
]


@pytest.mark.parametrize(("htu", "url"), SAME)
def test_urls_that_are_equal(htu: str, url: str) -> None:
    assert check(proof(TOKEN, htu=htu), url=url)


@pytest.mark.parametrize(
    ("htu", "url"),
    [
        ("https://api.test/a/b", "https://api.test/a%2Fb"),
        ("https://api.test/items", "https://api.test/items;v=1"),
        ("https://api.test/a%252Fb", "https://api.test/a%2Fb"),
        ("https://api.test/a", "https://api.test/b/../../c"),
        ("https://[::1]/", "https://[::2]/"),
        ("https://[::1%25eth0]/", "https://[::1]/"),
        ("https://[::1/", "https://[::1]/"),
        ("https://127.0.0.1/", "https://127.1/"),
        ("https://api.test./items", URL),
        ("https://api.test/%C3%A9", "https://api.test/%c3%a8"),
        ("https://api.test/items%00", URL),
        ("https://api.test/items", ""),
        ("/items", "/items"),
        ("", ""),
    ],
)
def test_urls_that_are_not_equal(htu: str, url: str) -> None:
    with pytest.raises(ProofInvalid):
        check(proof(TOKEN, htu=htu), url=url)


def test_the_log_says_what_a_proxy_has_changed() -> None:
    with pytest.raises(ProofInvalid) as refused:
        check(proof(TOKEN), url="http://10.0.0.7:8080/items")
    assert refused.value.detail == (
        "htu is at https://api.test:443, and this API takes itself for http://10.0.0.7:8080"
    )


@pytest.mark.parametrize(
    ("cnf", "found"),
    [
        (None, None), ({}, None), ({"x5t#S256": "x"}, None), ({"jkt": "abc"}, "abc"),
        ({"jkt": "abc", "x5t#S256": "x"}, "abc"),
    ],
)  # fmt: skip
def test_what_a_token_is_bound_to(cnf: object, found: str | None) -> None:
    assert bound_key({"cnf": cnf}) == found
    assert bound_key({}) is None


@pytest.mark.parametrize("cnf", ["jkt", ["jkt"], 7, True, {"jkt": None}, {"jkt": ""}, {"jkt": 7}])
def test_what_cant_be_compared_is_not_taken_for_unbound(cnf: object) -> None:
    with pytest.raises(TokenInvalid, match="cnf"):
        bound_key({"cnf": cnf})


def test_the_thumbprint_of_rfc_7638() -> None:
    """The example of section 3.1 there."""
    n = (
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_"
        "BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_"
        "FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI"
        "4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
    )
    key = {"kty": "RSA", "n": n, "e": "AQAB"}
    assert thumbprint(key) == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"


# ---------------------------------------------------------------- used once, in one process


def test_a_proof_is_remembered_for_as_long_as_it_counts() -> None:
    clock = Clock()
    used = UsedProofs(clock)
    used.use(("api", "key", "one"))
    used.use(("check-token", "key", "one"))
    used.use(("api", "another key", "one"))
    clock.now += 180
    used.use(("api", "key", "two"))
    for name in ("one", "two"):
        with pytest.raises(ProofInvalid, match="used before"):
            used.use(("api", "key", name))
    clock.now += 1
    used.use(("api", "key", "one"))


def test_the_memory_is_bounded_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    used = UsedProofs(Clock(), proofs_max=3)
    for number in range(10):
        used.use(("api", "key", str(number)))
    with pytest.raises(ProofInvalid):
        used.use(("api", "key", "7"))
    used.use(("api", "key", "0"))
    assert len([one for one in caplog.records if "forgotten" in one.message]) == 1

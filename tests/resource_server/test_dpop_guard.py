"""Which tokens that are bound to a key does an API take, and how does it refuse the others?"""

from __future__ import annotations

from typing import Any

import pytest
from werkzeug.test import EnvironBuilder

from bff.resource_server import AccessRefused
from bff.resource_server.request_url import normalised, of_wsgi
from bff.resource_server.schemes import DPoPMode
from tests.support.dpop_api import BASE, client_of, code, sent, unlisted
from tests.support.dpop_proofs import bound_token, proof
from tests.support.forged_proofs import FORGED, Forge
from tests.support.issuer import REFUSED, token

ALGS = 'algs="ES256 ES384 Ed25519 EdDSA PS256 RS256"'
MODES: list[DPoPMode] = ["off", "allowed", "required"]


# ---------------------------------------------------------------- the three modes


@pytest.mark.parametrize(
    ("mode", "bearer", "dpop"),
    [
        ("off", "accepted", "token_missing"),
        ("allowed", "accepted", "accepted"),
        ("required", "token_missing", "accepted"),
    ],
)
def test_which_scheme_is_taken(mode: DPoPMode, bearer: str, dpop: str) -> None:
    api, bound = client_of(unlisted(mode)), bound_token()
    assert code(api.get("/items", headers=sent(token(), scheme="Bearer")))[1] == bearer
    assert code(api.get("/items", headers=sent(bound, proof(bound))))[1] == dpop


@pytest.mark.parametrize("mode", MODES)
def test_a_bound_token_is_never_valid_as_bearer(mode: DPoPMode) -> None:
    """With its proof beside it or without (RFC 9449, 7.2)."""
    api, bound = client_of(unlisted(mode)), bound_token()
    for fields in ((), (proof(bound),)):
        response = api.get("/items", headers=sent(bound, *fields, scheme="Bearer"))
        missing = mode == "required"
        assert code(response) == (401, "token_missing" if missing else "invalid_token")


@pytest.mark.parametrize("scheme", ["DPoP", "dpop", "DPOP", "dPoP "])
def test_the_scheme_is_written_in_any_letters(scheme: str) -> None:
    bound = bound_token()
    assert code(client_of(unlisted()).get("/items", headers=sent(bound, proof(bound),
                scheme=scheme))) == (200, "accepted")  # fmt: skip


def test_a_token_that_is_bound_to_nothing_is_not_valid_as_dpop() -> None:
    unbound = token()
    response = client_of(unlisted()).get("/items", headers=sent(unbound, proof(unbound)))
    assert code(response) == (401, "invalid_token")


@pytest.mark.parametrize("mode", ["Required", "", "yes", None, True])
def test_a_mode_that_is_none_is_an_error(mode: Any) -> None:
    with pytest.raises(ValueError, match="dpop"):
        unlisted(mode)


@pytest.mark.parametrize(
    "base_url",
    ["api.test", "/", "ftp://api.test", "https://api.test?x", "https://api.test/#x",
     "https://user@api.test", "https://api.test:99999", "https://[::x]", "https://api.test/ x",
     "http\u017f://api.test"],
)  # fmt: skip
def test_an_address_that_is_none_is_an_error(base_url: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        unlisted(base_url=base_url)


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("mode", "headers", "expected"),
    [
        ("off", [], 'Bearer realm="api"'),
        ("off", sent("x.y.z"), 'Bearer realm="api"'),
        ("off", sent("x.y.z", scheme="Bearer"), 'Bearer realm="api", error="invalid_token"'),
        ("allowed", [], f'Bearer realm="api", DPoP realm="api", {ALGS}'),
        ("allowed", sent("", scheme="Basic"), f'Bearer realm="api", DPoP realm="api", {ALGS}'),
        ("allowed", sent("x.y.z", scheme="Bearer"),
         f'Bearer realm="api", error="invalid_token", DPoP realm="api", {ALGS}'),
        ("allowed", sent("x.y.z"),
         f'DPoP realm="api", error="invalid_token", {ALGS}, Bearer realm="api"'),
        ("allowed", sent("a b"),
         f'DPoP realm="api", error="invalid_token", {ALGS}, Bearer realm="api"'),
        ("required", [], f'DPoP realm="api", {ALGS}'),
        ("required", sent("x.y.z", scheme="Bearer"), f'DPoP realm="api", {ALGS}'),
        ("required", sent("x.y.z"), f'DPoP realm="api", error="invalid_token", {ALGS}'),
    ],
)  # fmt: skip
def test_the_challenge_names_what_would_be_taken(
    mode: DPoPMode, headers: list[tuple[str, str]], expected: str
) -> None:
    response = client_of(unlisted(mode)).get("/items", headers=headers)
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == expected
    assert response.headers["Cache-Control"] == "no-store"


def test_a_token_without_a_proof_is_told_from_one_that_isnt_valid() -> None:
    response = client_of(unlisted("required")).get("/items", headers=sent(bound_token()))
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == (
        f'DPoP realm="api", error="invalid_dpop_proof", {ALGS}'
    )


def test_a_missing_scope_is_named_under_the_scheme_that_was_tried() -> None:
    bound = bound_token(scope="openid")
    response = client_of(unlisted("required")).get("/items", headers=sent(bound, proof(bound)))
    assert response.status_code == 403
    assert response.headers["WWW-Authenticate"] == (
        f'DPoP realm="api", error="insufficient_scope", scope="read:items", {ALGS}'
    )


@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED.keys())
def test_a_forged_proof_opens_nothing(forge: Forge) -> None:
    guard, bound = unlisted(), bound_token()
    with pytest.raises(AccessRefused, match="invalid_dpop_proof") as refused:
        guard.verify(f"DPoP {bound}", dpop=forge(bound), method="GET", url="/items")
    assert refused.value.status == 401
    assert b"other" not in refused.value.body, "the response says no reason"


@pytest.mark.parametrize("make", REFUSED.values(), ids=REFUSED.keys())
def test_a_forged_token_with_a_good_proof_opens_nothing(make: Any) -> None:
    forged = make()
    response = client_of(unlisted()).get("/items", headers=sent(forged, proof(forged)))
    assert code(response) == (401, "invalid_token")


@pytest.mark.parametrize("cnf", ["x", [], {"jkt": 7}, {"jkt": "x" * 43}, {"jkt": None}])
def test_a_token_that_is_bound_to_something_odd_opens_nothing(cnf: Any) -> None:
    api, odd = client_of(unlisted()), bound_token(cnf=cnf)
    assert api.get("/items", headers=sent(odd, proof(odd))).status_code == 401
    assert api.get("/items", headers=sent(odd, scheme="Bearer")).status_code == 401


def test_two_fields_of_one_request_are_seen() -> None:
    api, bound = client_of(unlisted()), bound_token()
    headers = sent(bound, proof(bound), proof(bound))
    assert code(api.get("/items", headers=headers)) == (401, "invalid_dpop_proof")


def test_an_api_that_doesnt_tell_the_request_takes_no_proof() -> None:
    guard, bound = unlisted(), bound_token()
    made = proof(bound, htu=f"{BASE}/")
    for told in ({}, {"method": "GET"}, {"url": "/"}, {"method": "GET", "url": "items"}):
        with pytest.raises(AccessRefused, match="invalid_dpop_proof"):
            guard.verify(f"DPoP {bound}", dpop=[made], **told)
    assert guard.verify(f"DPoP {bound}", dpop=made, method="GET", url="/?page=2")["sub"] == "alice"


def test_no_log_has_a_token_or_a_proof(caplog: pytest.LogCaptureFixture) -> None:
    api, bound = client_of(unlisted()), bound_token()
    made = proof(bound, htu="https://other.test/items")
    with caplog.at_level("DEBUG"):
        api.get("/items", headers=sent(bound, made))
    assert "htu is at https://other.test:443" in caplog.text
    assert made.split(".")[1] not in caplog.text
    assert bound.split(".")[1] not in caplog.text


# ---------------------------------------------------------------- the API's own address


@pytest.mark.parametrize(
    ("base_url", "path", "htu"),
    [
        ("", "/items", "http://localhost/items"),
        ("", "/items?page=2", "http://localhost:80/items"),
        ("https://api.test", "/items", "https://api.test/items"),
        ("https://api.test/", "/items", "https://api.test/items"),
        ("https://api.test:8443/orders/", "/items", "https://API.test:8443/orders/items"),
        ("https://api.test", "/items/a%2Fb", "https://api.test/items/a%2fb"),
        ("https://api.test", "/items/a%20b", "https://api.test/items/a%20b"),
        ("https://api.test", "/items/d%40x.example", "https://api.test/items/d%40x.example"),
        ("https://api.test", "/items/%C3%B6", "https://api.test/items/%c3%b6"),
        ("https://api.test", "http://evil.example/items", "https://api.test/items"),
    ],
)
def test_a_proof_names_the_address_of_the_api(base_url: str, path: str, htu: str) -> None:
    api, bound = client_of(unlisted("required", base_url)), bound_token()
    headers = sent(bound, proof(bound, htu=htu))
    environ = {"REQUEST_URI": path} if "://" in path else {}
    response = api.get(path, headers=headers, environ_overrides=environ)
    assert code(response) == (200, "accepted")


def test_with_an_address_of_its_own_host_is_not_believed() -> None:
    """Else a proof for another API, whose name a thief sends as Host, would be taken."""
    bound = bound_token()
    for base_url, status in (("", 200), (BASE, 401)):
        api = client_of(unlisted("required", base_url))
        headers = [
            *sent(bound, proof(bound, htu="http://other.test/items")),
            ("Host", "other.test"),
        ]
        assert api.get("/items", headers=headers).status_code == status


@pytest.mark.parametrize("host", ["api.test/items?", "api.test/items#", "api.test/items;", "a@b"])
def test_a_host_that_goes_on_with_a_path_is_none(host: str) -> None:
    """Else a proof for one path, and a Host that has it, would open another path."""
    environ = EnvironBuilder("/secret", base_url="https://api.test").get_environ()
    placed = of_wsgi(environ | {"HTTP_HOST": host})
    with pytest.raises(ValueError, match="no URL"):
        normalised(placed)


@pytest.mark.parametrize("base_url", ["", "http://localhost"])
def test_an_address_within_the_path_is_a_part_of_it(base_url: str) -> None:
    api, bound = client_of(unlisted("required", base_url)), bound_token()
    path = "/items/https://other.test/a"
    environ = {"REQUEST_URI": path}
    for htu, status in ((path, 200), ("/items/", 401), ("/items//a", 401)):
        headers = sent(bound, proof(bound, htu=f"http://localhost{htu}"))
        assert api.get(path, headers=headers, environ_overrides=environ).status_code == status


def test_without_one_the_proxy_says_it() -> None:
    api, bound = client_of(unlisted("required", ""), x_proto=1, x_host=1), bound_token()
    told = [("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "api.test")]
    assert code(api.get("/items", headers=[*sent(bound, proof(bound)), *told]))[1] == "accepted"
    assert code(api.get("/items", headers=sent(bound, proof(bound)))) == (401, "invalid_dpop_proof")


def test_a_server_that_doesnt_tell_the_target_as_it_was_sent() -> None:
    api, bound = client_of(unlisted("required")), bound_token()
    hidden = {"REQUEST_URI": None, "RAW_URI": None}
    for path, htu, status in (
        ("/items/a b", "/items/a%20b", 200),
        ("/items/%C3%B6", "/items/%C3%B6", 200),
        ("/items/a%2Fb", "/items/a/b", 200),
        ("/items/a%2Fb", "/items/a%2Fb", 401),
    ):
        headers = sent(bound, proof(bound, htu=f"{BASE}{htu}"))
        response = api.get(path, headers=headers, environ_overrides=hidden)
        assert response.status_code == status, path


def test_the_method_is_that_of_the_request() -> None:
    api, bound = client_of(unlisted()), bound_token()
    assert api.post("/items", headers=sent(bound, proof(bound))).status_code == 401
    assert api.post("/items", headers=sent(bound, proof(bound, htm="POST"))).status_code == 200
    assert api.head("/items", headers=sent(bound, proof(bound, htm="HEAD"))).status_code == 200
    assert api.head("/items", headers=sent(bound, proof(bound))).status_code == 401

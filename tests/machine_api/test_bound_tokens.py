"""What do introspection and `/auth/check-token` say of a token that is bound to a key (DPoP)?"""

from __future__ import annotations

from typing import Any

import pytest
from werkzeug.test import TestResponse

from bff.machine_api.introspection import introspected
from bff.resource_server.dpop_proof import thumbprint
from bff.resource_server.verification import AccessTokenVerifier
from tests.support.admin_calls import AUDIENCE, BY_TOKEN, access_token, assert_problem, bearer
from tests.support.dpop_proofs import KEY, proof, public
from tests.support.fixtures import MakeReceiver
from tests.support.forged_proofs import FORGED, Forge
from tests.support.receiver import Receiver

JKT = thumbprint(public(KEY))
BASE = "https://api.test"
PATH = "/auth/check-token"
ASKED = {"dpop": "allowed", "base_url": BASE}
TOLD = {"X-Original-Method": "GET", "X-Original-URI": "/items"}
ALGS = 'algs="ES256 ES384 Ed25519 EdDSA PS256 RS256"'


@pytest.fixture
def bound(bff: Receiver) -> str:
    return access_token(bff, cnf={"jkt": JKT}, scope="read:items")


def check(
    bff: Receiver,
    token: str,
    *fields: str,
    query: Any = None,
    told: dict[str, str] | None = None,
    scheme: str = "DPoP",
) -> TestResponse:
    headers = [("Authorization", f"{scheme} {token}"), *(("DPoP", one) for one in fields)]
    headers += (TOLD if told is None else told).items()
    return bff.client.get(PATH, query_string=ASKED if query is None else query, headers=headers)


# ---------------------------------------------------------------- check-token


def test_a_proof_is_checked_and_counts_once(bff: Receiver, bound: str) -> None:
    made = proof(bound)
    response = check(bff, bound, made)
    assert (response.status_code, response.data) == (204, b"")
    refused = check(bff, bound, made)
    assert_problem(refused, 401, "invalid_dpop_proof")
    assert refused.headers["WWW-Authenticate"] == (
        f'DPoP realm="machines", error="invalid_dpop_proof", {ALGS}, Bearer realm="machines"'
    )
    assert check(bff, bound, proof(bound), query=ASKED | {"scope": "read:items"}).status_code == 204
    missing = check(bff, bound, proof(bound), query=ASKED | {"scope": "write:items"})
    assert_problem(missing, 403, "insufficient_scope")


@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED.keys())
def test_a_forged_proof_is_refused(bff: Receiver, bound: str, forge: Forge) -> None:
    fields = [one for one in forge(bound) if "\n" not in one]
    assert_problem(check(bff, bound, *fields), 401, "invalid_dpop_proof")


@pytest.mark.parametrize("mode", [None, "off", "allowed", "required"])
def test_a_bound_token_is_never_valid_as_bearer(bff: Receiver, bound: str, mode: Any) -> None:
    query = {} if mode is None else ASKED | {"dpop": mode}
    for fields in ((), (proof(bound),)):
        response = check(bff, bound, *fields, query=query, scheme="Bearer")
        assert response.status_code == 401


@pytest.mark.parametrize("query", [{}, {"dpop": "off"}, {"base_url": BASE}])
def test_without_the_gateways_word_no_proof_is_taken(
    bff: Receiver, bound: str, query: dict[str, str]
) -> None:
    """An older configuration lets the client write what its proof is for."""
    assert_problem(check(bff, bound, proof(bound), query=query), 401, "token_missing")


def test_tokens_that_are_bound_to_nothing(bff: Receiver) -> None:
    unbound = access_token(bff)
    for mode, status in (("off", 204), ("allowed", 204), ("required", 401)):
        response = check(bff, unbound, query=ASKED | {"dpop": mode}, told={}, scheme="Bearer")
        assert response.status_code == status
    assert_problem(check(bff, unbound, proof(unbound)), 401, "invalid_token")


@pytest.mark.parametrize(
    "query",
    [
        {"dpop": "allowed"}, {"dpop": "yes", "base_url": BASE}, {"dpop": "", "base_url": BASE},
        {"dpop": "allowed", "base_url": "api.test"}, {"dpop": "allowed", "base_url": f"{BASE}?x"},
        [("dpop", "allowed"), ("dpop", "required"), ("base_url", BASE)],
        [("dpop", "allowed"), ("base_url", BASE), ("base_url", "https://evil.example")],
    ],
)  # fmt: skip
def test_a_configuration_that_is_none_is_refused(bff: Receiver, bound: str, query: Any) -> None:
    assert_problem(check(bff, bound, proof(bound), query=query), 400, "request_refused")


@pytest.mark.parametrize(
    "told",
    [
        {}, {"X-Original-Method": "GET"}, {"X-Original-URI": "/items"},
        TOLD | {"X-Forwarded-Method": "POST"}, TOLD | {"X-Forwarded-Uri": "/other"},
        TOLD | {"X-Original-URI": "items"},
    ],
)  # fmt: skip
def test_a_request_that_isnt_told_is_refused(
    bff: Receiver, bound: str, told: dict[str, str]
) -> None:
    assert_problem(check(bff, bound, proof(bound), told=told), 400, "request_refused")


@pytest.mark.parametrize(
    ("told", "status"),
    [
        ({"X-Forwarded-Method": "GET", "X-Forwarded-Uri": "/items?page=2"}, 204),
        (TOLD | {"X-Original-URI": "/it%65ms?x=%2F"}, 204),
        (TOLD | {"X-Original-URI": "https://evil.example/items"}, 204),
        (TOLD | {"X-Original-URI": "/items/7"}, 401),
        (TOLD | {"X-Original-Method": "POST"}, 401),
    ],
)
def test_the_proof_is_for_the_clients_request(
    bff: Receiver, bound: str, told: dict[str, str], status: int
) -> None:
    assert check(bff, bound, proof(bound), told=told).status_code == status


# ---------------------------------------------------------------- introspection


@pytest.fixture
def verifier(bff: Receiver) -> AccessTokenVerifier:
    return bff.services.verifier(AUDIENCE)


def test_introspection_says_what_a_token_is_bound_to(
    bff: Receiver, verifier: AccessTokenVerifier, bound: str
) -> None:
    members = introspected(verifier, bound)
    assert (members["active"], members["token_type"], members["cnf"]) == (
        True,
        "DPoP",
        {"jkt": JKT},
    )
    assert introspected(verifier, bound) == members


@pytest.mark.parametrize(
    ("cnf", "told"),
    [(None, ("Bearer", None)), ({"x5t#S256": "x"}, ("Bearer", {"x5t#S256": "x"}))],
)
def test_introspection_of_other_tokens(
    bff: Receiver, verifier: AccessTokenVerifier, cnf: Any, told: Any
) -> None:
    members = introspected(verifier, access_token(bff, cnf=cnf))
    assert (members["token_type"], members.get("cnf")) == told


@pytest.mark.parametrize("cnf", ["x", ["jkt"], {"jkt": 7}, {"jkt": ""}])
def test_a_binding_that_cant_be_read_is_inactive(
    bff: Receiver, verifier: AccessTokenVerifier, cnf: Any
) -> None:
    assert introspected(verifier, access_token(bff, cnf=cnf)) == {"active": False}


def test_the_admin_api_takes_no_bound_token(receiver_for: MakeReceiver) -> None:
    bff = receiver_for(**BY_TOKEN)
    for cnf, status in ((None, 200), ({"jkt": JKT}, 401)):
        headers = bearer(access_token(bff, cnf=cnf))
        body = {"email": "dana@example.com", "reason": "a test"}
        response = bff.client.post("/admin/sessions/end", json=body, headers=headers)
        assert response.status_code == status, response.text

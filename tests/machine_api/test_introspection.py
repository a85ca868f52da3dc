"""Token introspection (RFC 7662): its clients, and the response for each token."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.support.api_callers import ASKING, CLIENT_ID, CLIENT_SECRET, introspect
from tests.support.cluster import AUDIENCE, TIMEOUT_SECONDS, Cluster


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster(env=ASKING) as cluster:
        cluster.browser().log_in()
        yield cluster


@pytest.fixture(scope="module")
def valid(cluster: Cluster) -> str:
    return str(cluster.issued("access_token")[-1]["value"])


def basic(text: str | bytes) -> str:
    data = text.encode() if isinstance(text, str) else text
    return "Basic " + base64.b64encode(data).decode()


def test_a_valid_token_is_active_with_its_claims(cluster: Cluster, valid: str) -> None:
    response = introspect(cluster, {"token": valid})
    assert response.status_code == 200
    assert response.headers["Content-Type"] == "application/json"
    assert response.headers["Cache-Control"] == "no-store"
    assert "Set-Cookie" not in response.headers
    members = response.json()
    now = time.time()
    assert members.pop("iat") <= now < members.pop("exp")
    assert members == {
        "active": True,
        "token_type": "Bearer",
        "iss": cluster.issuer,
        "sub": "auth0|demo",
        "aud": [AUDIENCE, f"{cluster.issuer}userinfo"],
        "scope": "openid profile email offline_access",
        "client_id": "test-client",
    }


@pytest.mark.parametrize("invalid", ["garbage", "", "a.b.c", "é", "x" * 200_000])
def test_an_invalid_token_is_inactive_and_nothing_else(cluster: Cluster, invalid: str) -> None:
    response = introspect(cluster, {"token": invalid})
    assert (response.status_code, response.text) == (200, '{"active": false}')
    assert response.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("auth", "form", "headers"),
    [
        ((CLIENT_ID, CLIENT_SECRET), {}, {}),
        (None, {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}, {}),
        # Form-encoded before they are joined, as RFC 6749 requires.
        (None, {}, {"Authorization": basic(
            "orders-api:an+introspection+secret%3A+40+characters+%25%2B")}),
        (None, {}, {"Authorization": "basic " + basic(f"{CLIENT_ID}:{CLIENT_SECRET}")[6:]}),
        (("other-api", "o" * 40), {"token_type_hint": "refresh_token"}, {}),
        # RFC 7662 doesn't need a client id beside Basic, but some clients send one.
        ((CLIENT_ID, CLIENT_SECRET), {"client_id": CLIENT_ID}, {}),
        # Headers that a browser or a framework may add have no effect.
        ((CLIENT_ID, CLIENT_SECRET), {},
         {"Accept": "text/html", "Sec-Fetch-Dest": "document", "Sec-Fetch-Site": "cross-site",
          "Cookie": "session=x"}),
    ],
)  # fmt: skip
def test_ways_of_authentication(
    cluster: Cluster, valid: str, auth: Any, form: dict[str, str], headers: dict[str, str]
) -> None:
    response = introspect(cluster, {"token": valid} | form, auth=auth, headers=headers)
    assert (response.status_code, response.json()["active"]) == (200, True)


@pytest.mark.parametrize(
    ("auth", "form", "headers"),
    [
        (None, {}, {}),
        ((CLIENT_ID, "wrong"), {}, {}),
        ((CLIENT_ID, ""), {}, {}),
        (("", CLIENT_SECRET), {}, {}),
        ((CLIENT_ID, "o" * 40), {}, {}),
        ((CLIENT_ID, CLIENT_SECRET + "x"), {}, {}),
        ((CLIENT_ID.upper(), CLIENT_SECRET), {}, {}),
        (None, {"client_id": CLIENT_ID}, {}),
        (None, {"client_secret": CLIENT_SECRET}, {}),
        (None, {"client_id": CLIENT_ID, "client_secret": "wrong"}, {}),
        # Two methods at once (RFC 6749, 2.3).
        ((CLIENT_ID, CLIENT_SECRET),
         {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}, {}),
        (None, {}, {"Authorization": f"Bearer {CLIENT_SECRET}"}),
        (None, {}, {"Authorization": "Basic"}),
        (None, {}, {"Authorization": "Basic !!!"}),
        (None, {}, {"Authorization": basic(b"\xff\xfe:\xff")}),
        (None, {}, {"Authorization": basic(CLIENT_ID)}),
        (None, {}, {"Authorization": basic("x" * 20_000)}),
    ],
)  # fmt: skip
def test_a_client_that_is_not_configured_learns_nothing(
    cluster: Cluster, valid: str, auth: Any, form: dict[str, str], headers: dict[str, str]
) -> None:
    response = introspect(cluster, {"token": valid} | form, auth=auth, headers=headers)
    assert response.status_code == 401
    assert response.json() == {"error": "invalid_client"}
    assert response.headers["WWW-Authenticate"] == 'Basic realm="introspection"'
    assert response.headers["Cache-Control"] == "no-store"


def test_the_token_itself_is_no_authentication(cluster: Cluster, valid: str) -> None:
    response = introspect(
        cluster, {"token": valid}, auth=None, headers={"Authorization": f"Bearer {valid}"}
    )
    assert response.status_code == 401


def test_authentication_comes_before_the_check_of_the_form(cluster: Cluster) -> None:
    assert introspect(cluster, {"x": "y"}, auth=None).status_code == 401


@pytest.mark.parametrize(
    "form",
    [{}, {"access_token": "x"}, [("token", "a"), ("token", "b")]],
)
def test_a_form_without_exactly_one_token_is_refused(cluster: Cluster, form: Any) -> None:
    response = introspect(cluster, form)
    assert (response.status_code, response.json()) == (400, {"error": "invalid_request"})


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "multipart/form-data"])
def test_only_forms_are_read(cluster: Cluster, valid: str, content_type: str) -> None:
    response = introspect(cluster, f"token={valid}", headers={"Content-Type": content_type})
    assert response.status_code == 400


def test_a_huge_body_is_refused(cluster: Cluster) -> None:
    assert introspect(cluster, {"token": "x" * 1_000_000}).status_code == 413


def test_no_other_method(cluster: Cluster, valid: str) -> None:
    """A token in an address would be written to logs (RFC 7662, section 4)."""
    response = requests.get(
        f"{cluster.url()}/auth/introspect",
        params={"token": valid},
        auth=(CLIENT_ID, CLIENT_SECRET),
        timeout=TIMEOUT_SECONDS,
    )
    assert response.status_code in (404, 405)


def test_it_is_off_unless_clients_are_configured() -> None:
    with Cluster() as cluster:
        cluster.browser().log_in()
        token = str(cluster.issued("access_token")[-1]["value"])
        response = introspect(cluster, {"token": token})
        assert response.status_code == 404
        assert response.headers["Cache-Control"] == "no-store"


def test_no_log_has_a_secret(cluster: Cluster, valid: str) -> None:
    output = cluster.replicas[0].output
    assert "introspection_client" in output, "the refusals above are audited"
    assert CLIENT_SECRET not in output
    assert valid not in output
    assert valid.split(".")[2] not in output

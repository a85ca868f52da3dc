"""RFC 7662 at the BFF: who may ask, and what is said."""

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
def living(cluster: Cluster) -> str:
    return str(cluster.issued("access_token")[-1]["value"])


def basic(text: str | bytes) -> str:
    data = text.encode() if isinstance(text, str) else text
    return "Basic " + base64.b64encode(data).decode()


def test_what_is_said_of_a_living_token(cluster: Cluster, living: str) -> None:
    answer = introspect(cluster, {"token": living})
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Cache-Control"] == "no-store"
    assert "Set-Cookie" not in answer.headers
    told = answer.json()
    now = time.time()
    assert told.pop("iat") <= now < told.pop("exp")
    assert told == {
        "active": True,
        "token_type": "Bearer",
        "iss": cluster.issuer,
        "sub": "auth0|demo",
        "aud": [AUDIENCE, f"{cluster.issuer}userinfo"],
        "scope": "openid profile email offline_access",
        "client_id": "test-client",
    }


@pytest.mark.parametrize("dead", ["garbage", "", "a.b.c", "é", "x" * 200_000])
def test_of_a_dead_one_nothing_but_that(cluster: Cluster, dead: str) -> None:
    answer = introspect(cluster, {"token": dead})
    assert (answer.status_code, answer.text) == (200, '{"active": false}')
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("auth", "form", "headers"),
    [
        ((CLIENT_ID, CLIENT_SECRET), {}, {}),
        (None, {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}, {}),
        # Encoded before it is joined, as RFC 6749 has it.
        (None, {}, {"Authorization": basic(
            "orders-api:an+introspection+secret%3A+40+characters+%25%2B")}),
        (None, {}, {"Authorization": "basic " + basic(f"{CLIENT_ID}:{CLIENT_SECRET}")[6:]}),
        (("other-api", "o" * 40), {"token_type_hint": "refresh_token"}, {}),
        # RFC 7662 has no use for a client id beside Basic, but some send it.
        ((CLIENT_ID, CLIENT_SECRET), {"client_id": CLIENT_ID}, {}),
        # What a browser or a framework may add changes nothing.
        ((CLIENT_ID, CLIENT_SECRET), {},
         {"Accept": "text/html", "Sec-Fetch-Dest": "document", "Sec-Fetch-Site": "cross-site",
          "Cookie": "session=x"}),
    ],
)  # fmt: skip
def test_ways_of_authentication(
    cluster: Cluster, living: str, auth: Any, form: dict[str, str], headers: dict[str, str]
) -> None:
    answer = introspect(cluster, {"token": living} | form, auth=auth, headers=headers)
    assert (answer.status_code, answer.json()["active"]) == (200, True)


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
        # Two ways at once (RFC 6749, 2.3).
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
def test_strangers_learn_nothing(
    cluster: Cluster, living: str, auth: Any, form: dict[str, str], headers: dict[str, str]
) -> None:
    answer = introspect(cluster, {"token": living} | form, auth=auth, headers=headers)
    assert answer.status_code == 401
    assert answer.json() == {"error": "invalid_client"}
    assert answer.headers["WWW-Authenticate"] == 'Basic realm="introspection"'
    assert answer.headers["Cache-Control"] == "no-store"


def test_the_living_token_itself_is_no_authentication(cluster: Cluster, living: str) -> None:
    answer = introspect(
        cluster, {"token": living}, auth=None, headers={"Authorization": f"Bearer {living}"}
    )
    assert answer.status_code == 401


def test_a_stranger_is_refused_before_anything_is_looked_at(cluster: Cluster) -> None:
    assert introspect(cluster, {"x": "y"}, auth=None).status_code == 401


@pytest.mark.parametrize(
    "form",
    [{}, {"access_token": "x"}, [("token", "a"), ("token", "b")]],
)
def test_a_question_that_is_none(cluster: Cluster, form: Any) -> None:
    answer = introspect(cluster, form)
    assert (answer.status_code, answer.json()) == (400, {"error": "invalid_request"})


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "multipart/form-data"])
def test_only_forms_are_read(cluster: Cluster, living: str, content_type: str) -> None:
    answer = introspect(cluster, f"token={living}", headers={"Content-Type": content_type})
    assert answer.status_code == 400


def test_a_huge_body_is_refused(cluster: Cluster) -> None:
    assert introspect(cluster, {"token": "x" * 1_000_000}).status_code == 413


def test_no_other_method(cluster: Cluster, living: str) -> None:
    """A token in an address would stand in logs (RFC 7662, section 4)."""
    answer = requests.get(
        f"{cluster.url()}/auth/introspect",
        params={"token": living},
        auth=(CLIENT_ID, CLIENT_SECRET),
        timeout=TIMEOUT_SECONDS,
    )
    assert answer.status_code in (404, 405)


def test_it_is_off_unless_clients_are_configured() -> None:
    with Cluster() as cluster:
        cluster.browser().log_in()
        token = str(cluster.issued("access_token")[-1]["value"])
        answer = introspect(cluster, {"token": token})
        assert answer.status_code == 404
        assert answer.headers["Cache-Control"] == "no-store"


def test_secrets_stand_in_no_log(cluster: Cluster, living: str) -> None:
    output = cluster.replicas[0].output
    assert "introspection_client" in output, "the refusals above are audited"
    assert CLIENT_SECRET not in output
    assert living not in output
    assert living.split(".")[2] not in output

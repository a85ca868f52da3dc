"""Bound tokens (RFC 9449) against oidc-provider, and an API that checks proofs with jose alone."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from bff.core.dpop import DPoPKeys
from tests.interop.cluster import HERE, InteropBrowser, InteropCluster, _node
from tests.interop.test_interop import REFRESHED, grants_since, refresh_works
from tests.support.ageing import age_access_token, stored_tokens
from tests.support.cluster import AUDIENCE, TIMEOUT_SECONDS
from tests.support.processes import Process
from tests.support.storm import Shot, fire

REPLICAS = 3
REQUESTS = 200
NEW_SECRET = "n" * 64
THIEF = DPoPKeys(["t" * 32]).newest


class DPoPCluster(InteropCluster):
    """oidc-provider and an API of npm's making, which takes bound tokens only."""

    nonces = False

    def __enter__(self) -> DPoPCluster:
        super().__enter__()
        return self

    def _settings(self) -> dict[str, Any]:
        return super()._settings() | {"dpop_nonces": self.nonces}

    def _start_api(self, audience: str = AUDIENCE) -> str:
        file = self.directory / "api.json"
        file.write_text(
            json.dumps({"issuer": self.issuer, "audience": audience, "nonces": self.nonces})
        )
        command = [_node(), str(HERE / "dpop_api.mjs"), str(file)]
        api = self._stack.enter_context(Process(command, name="dpop-api"))
        return f"http://127.0.0.1:{api.wait_ready(TIMEOUT_SECONDS)['port']}"

    def environment(self) -> dict[str, str]:
        """The environment of every replica."""
        return {"BFF_DPOP": "required"} | super().environment()

    @property
    def jkt(self) -> str:
        """The thumbprint of the key of the secret that the cluster began with."""
        return DPoPKeys([self.secret]).newest.jkt


class DemandingCluster(DPoPCluster):
    """Both demand nonces."""

    nonces = True


@pytest.fixture(scope="module")
def cluster() -> Iterator[DPoPCluster]:
    # The API checks one proof at a time: all requests of a storm may wait for it.
    with DPoPCluster(REPLICAS, env={"BFF_UPSTREAM_REQUESTS_MAX": "1024"}) as started:
        yield started


def call(browser: InteropBrowser, replica: int = 0, method: str = "GET") -> dict[str, Any]:
    """What the API found in a request."""
    response = browser.fetch(method, "/api/items?n=1", replica=replica)
    assert response.status_code == 200, response.text
    assert "DPoP-Nonce" not in response.headers
    found: dict[str, Any] = response.json()
    return found


def signed_in(cluster: DPoPCluster) -> InteropBrowser:
    browser = cluster.browser("ada@example.com")
    browser.log_in()
    return browser


def test_the_api_gets_a_proof_that_another_verifier_accepts(cluster: DPoPCluster) -> None:
    browser = signed_in(cluster)
    for replica in range(REPLICAS):
        for method in ("GET", "POST", "DELETE"):
            found = call(browser, replica, method)
            assert found == {
                "sub": "ada@example.com", "jkt": cluster.jkt, "nonce": None, "method": method,
            }  # fmt: skip
    assert cluster.pushed()["dpop_jkt"] == cluster.jkt


def test_a_copied_token_opens_nothing_from_its_first_second(cluster: DPoPCluster) -> None:
    browser = signed_in(cluster)
    call(browser)
    token = stored_tokens(cluster, browser.cookie).access_token
    url = f"{cluster.api_url}/items"
    proof = THIEF.proof("GET", url, access_token=token)
    tries: list[dict[str, str]] = [
        {"Authorization": f"Bearer {token}"},
        {"Authorization": f"DPoP {token}"},
        {"Authorization": f"Bearer {token}", "DPoP": proof},
        {"Authorization": f"DPoP {token}", "DPoP": proof},
    ]
    for headers in tries:
        assert requests.get(url, headers=headers, timeout=TIMEOUT_SECONDS).status_code == 401
    for headers in tries:
        told = requests.get(f"{cluster.issuer}/me", headers=headers, timeout=TIMEOUT_SECONDS)
        assert told.status_code in (400, 401)


def test_a_refresh_brings_a_bound_token(cluster: DPoPCluster) -> None:
    browser = signed_in(cluster)
    for _ in range(3):
        before = stored_tokens(cluster, browser.cookie).access_token
        refresh_works(cluster, browser)
        after = stored_tokens(cluster, browser.cookie)
        assert after.access_token != before
        assert call(browser)["jkt"] == after.jkt == cluster.jkt


@pytest.mark.parametrize("seconds_left", [0, 3])
def test_promise_4_a_storm_spends_one_refresh_token(
    cluster: DPoPCluster, seconds_left: int
) -> None:
    browser = signed_in(cluster)
    for _ in range(3):
        age_access_token(cluster, browser.cookie, seconds_left)
        before, ports = cluster.counts(), cluster.ports
        cookie = browser.cookie or ""
        shots = [Shot(ports[i % len(ports)], "/api/items", cookie) for i in range(REQUESTS)]
        assert Counter(one.status for one in fire(shots)) == {200: REQUESTS}
        assert grants_since(cluster, before) == {REFRESHED: 1}


def test_nonces_that_both_demand_and_change_are_sent() -> None:
    with DemandingCluster(1) as cluster:
        browser = signed_in(cluster)
        nonces = {call(browser)["nonce"] for _ in range(6)}
        assert len(nonces) >= 3
        assert None not in nonces
        refresh_works(cluster, browser)


@pytest.mark.parametrize("nonces", [False, True])
def test_userinfo_takes_the_proof(*, nonces: bool) -> None:
    """With a token for no other API, which UserInfo would refuse there."""
    env = {"BFF_USERINFO": "true", "AUTH0_AUDIENCE": ""}
    kind = DemandingCluster if nonces else DPoPCluster
    with kind(1, env=env) as cluster:
        before = cluster.counts()
        browser = signed_in(cluster)
        assert browser.profile().json()["user"]["name"] == "Demo Person"
        asked = Counter(cluster.counts()) - Counter(before)
        assert asked["userinfo.200"] == 1


@pytest.mark.parametrize("dpop", ["required", "auto"])
def test_a_silent_downgrade_is_refused_where_it_is_required(dpop: str) -> None:
    """The provider ignores the proof, and issues a bearer token."""
    with DPoPCluster(1, env={"BFF_DPOP": dpop}, provider={"dpop": False}) as cluster:
        browser = cluster.browser()
        answer = browser.come_back(browser.provider_answer())
        if dpop == "required":
            assert answer.status_code == 503, answer.text[:300]
            assert not browser.cookie
            cluster.wait_until_outbox_is_empty()
            assert cluster.alive() == []
        else:
            assert answer.status_code == 303
            assert stored_tokens(cluster, browser.cookie).jkt == ""


def test_a_rotation_of_the_secret_has_no_bad_moment() -> None:
    """A session and a sign-in under way, over both steps, with every replica in every state."""
    with DPoPCluster(REPLICAS) as cluster:
        browser, old = signed_in(cluster), cluster.secret
        new_jkt = DPoPKeys([NEW_SECRET]).newest.jkt
        under_way = cluster.browser("bob@example.com")
        for secret in (f"{old},{NEW_SECRET}", f"{NEW_SECRET},{old}"):
            back = under_way.provider_answer()
            for replica in range(REPLICAS):
                cluster.replicas[replica].stop()
                port = cluster.ports[replica]
                cluster.replicas[replica] = cluster.start_replica(port, AUTH0_SECRET=secret)
                for each in range(REPLICAS):
                    assert call(browser, each)["jkt"] == cluster.jkt
            assert under_way.come_back(back, replica=2).status_code == 303
            assert call(under_way)["jkt"] == cluster.jkt, "it proves the key that it began with"
        late = signed_in(cluster)
        assert call(late)["jkt"] == new_jkt
        age_access_token(cluster, browser.cookie, 0)
        assert call(browser)["jkt"] == new_jkt


def test_a_refresh_that_is_answered_with_a_bearer_token_leaves_nothing_behind() -> None:
    with DPoPCluster(1, env={"BFF_DPOP": "auto"}, provider={"dpop": False}) as cluster:
        browser = cluster.browser()
        browser.log_in()
        cluster.replicas[0].stop()
        cluster.replicas[0] = cluster.start_replica(cluster.ports[0], BFF_DPOP="required")
        age_access_token(cluster, browser.cookie, 0)
        statuses = [browser.api("/items").status_code for _ in range(3)]
        assert statuses[-1] == 401, statuses
        assert set(statuses) <= {401, 503}
        cluster.wait_until_outbox_is_empty()
        assert cluster.alive() == []

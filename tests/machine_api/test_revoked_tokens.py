"""A copied access token is valid before the logout and invalid after it.

Each test checks in all three ways: the API looks in Redis itself, it uses introspection, or a
gateway checks the token for it.
"""

from __future__ import annotations

import runpy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from joserfc.jwk import RSAKey

from bff.app.services import build_services
from bff.config import load
from bff.core.model import Group
from tests.support.ageing import age_access_token
from tests.support.api_callers import ASKING, INVALID, WAYS, at_the_api, by_introspection
from tests.support.cluster import AUDIENCE, TIMEOUT_SECONDS, Cluster
from tests.support.issuer import AUDIENCE as OTHER_AUDIENCE
from tests.support.issuer import REFUSED, encode, hmac_token, token, unsigned_token
from tests.support.redis_server import RedisServer
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.session_cache, pytest.mark.next_second]

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def cluster(session_cache: str) -> Iterator[Cluster]:
    with Cluster(replicas=2, env=ASKING) as cluster:
        yield cluster


def copied(cluster: Cluster) -> str:
    """The access token that the provider issued last."""
    newest: str = cluster.issued("access_token")[-1]["value"]
    return newest


def statuses(cluster: Cluster, access_token: str) -> list[int]:
    return [way(cluster, access_token) for way in WAYS]


def end_all(cluster: Cluster, group: Group) -> int:
    """End sessions as the admin API does, without a server."""
    services = build_services(load(cluster.environment()))
    return services.revocation.end_group(group, "test")


def subject(cluster: Cluster) -> str:
    return str(cluster.issued("access_token")[-1]["sub"])


def test_a_logout_revokes_a_copied_token(cluster: Cluster) -> None:
    browser = cluster.browser()
    browser.log_in()
    stolen = copied(cluster)
    assert statuses(cluster, stolen) == [200, 200, 200]
    assert browser.log_out(replica=1).status_code == 200
    assert statuses(cluster, stolen) == [INVALID, INVALID, INVALID]


def test_a_logout_revokes_the_token_that_a_refresh_has_just_replaced(cluster: Cluster) -> None:
    browser = cluster.browser()
    browser.log_in()
    replaced = copied(cluster)
    age_access_token(cluster, browser.cookie, seconds_left=30)
    assert browser.api("/items").status_code == 200
    newest = copied(cluster)
    assert newest != replaced
    # The replaced token is still valid: a request with it may be on its way.
    assert statuses(cluster, replaced) == statuses(cluster, newest) == [200, 200, 200]
    browser.log_out()
    assert statuses(cluster, replaced) == statuses(cluster, newest) == [INVALID, INVALID, INVALID]


def test_a_logout_does_not_affect_another_browser(cluster: Cluster) -> None:
    here, there = cluster.browser(), cluster.browser()
    there.log_in()
    of_another = copied(cluster)
    here.log_in()
    here.log_out()
    assert statuses(cluster, of_another) == [200, 200, 200]
    assert there.api("/items").status_code == 200


def test_the_end_of_all_sessions_revokes_a_token_that_no_session_has(cluster: Cluster) -> None:
    browser = cluster.browser()
    browser.log_in()
    stray = copied(cluster)
    user = Group.of_user(cluster.issuer, subject(cluster))
    # Its session has another token by now, so this one never reaches the deny-list.
    age_access_token(cluster, browser.cookie, seconds_left=30)
    browser.api("/items")
    cluster.store().delete(*cluster.keys("session"))
    assert statuses(cluster, stray) == [200, 200, 200]
    end_all(cluster, user)
    assert not denied(cluster, stray), "the watermark must refuse it, not the deny-list"
    assert statuses(cluster, stray) == [INVALID, INVALID, INVALID]
    # A new sign-in after it gives a valid token.
    again = cluster.browser()
    again.log_in()
    assert statuses(cluster, copied(cluster)) == [200, 200, 200]


def denied(cluster: Cluster, access_token: str) -> bool:
    return build_services(load(cluster.environment())).stores.deny_list.contains(access_token)


# ---------------------------------------------------------------- outages


def test_redis_away_is_503_and_the_token_is_valid_afterwards() -> None:
    with RedisServer() as server, Cluster(redis=server, env=ASKING) as cluster:
        cluster.browser().log_in()
        valid = copied(cluster)
        server.stop()
        assert statuses(cluster, valid) == [503, 503, 503]
        # A malformed token is refused without Redis.
        assert statuses(cluster, "garbage") == [INVALID, INVALID, INVALID]
        server.start_again()
        assert statuses(cluster, valid) == [200, 200, 200]
        server.pause()
        assert statuses(cluster, valid) == [503, 503, 503]
        server.resume()
        assert statuses(cluster, valid) == [200, 200, 200]


def test_with_an_emptied_redis_older_tokens_are_invalid() -> None:
    with RedisServer() as server, Cluster(redis=server, env=ASKING) as cluster:
        browser = cluster.browser()
        browser.log_in()
        revoked = copied(cluster)
        browser.log_out()
        browser.log_in()
        valid = copied(cluster)
        assert statuses(cluster, revoked) == [INVALID, INVALID, INVALID]
        assert statuses(cluster, valid) == [200, 200, 200]
        # Redis is emptied without the BFF's knowledge.
        cluster.store().flushall()
        assert by_introspection(cluster, revoked) == INVALID
        assert statuses(cluster, valid) == [INVALID, INVALID, INVALID]
        assert statuses(cluster, revoked) == [INVALID, INVALID, INVALID]
        wait_until_ready(cluster)
        browser.log_in()
        assert statuses(cluster, copied(cluster)) == [200, 200, 200]


def wait_until_ready(cluster: Cluster) -> None:
    """Wait as a load balancer does: a sign-in needs a Redis that is a second old."""
    cluster.replicas[0].wait_for_http(f"http://127.0.0.1:{cluster.ports[0]}/readyz")


def test_an_api_with_a_wrong_key_refuses_every_request() -> None:
    """Otherwise it would find no revoked token, and accept all."""
    with WrongKey() as wrong:
        wrong.browser().log_in()
        assert at_the_api(wrong, copied(wrong)) == 503


class WrongKey(Cluster):
    """An installation whose API has the key of another one."""

    def api_environment(self) -> dict[str, str]:
        return super().api_environment() | {"DENY_LIST_KEY": "ab" * 32}


# ---------------------------------------------------------------- forged


def public_key(cluster: Cluster) -> dict[str, Any]:
    jwks = requests.get(f"{cluster.issuer}.well-known/jwks.json", timeout=TIMEOUT_SECONDS).json()
    return dict(jwks["keys"][0])


def test_forged_tokens_are_invalid_in_every_way(cluster: Cluster) -> None:
    cluster.browser().log_in()
    honest = copied(cluster)
    key = public_key(cluster)
    ours: dict[str, Any] = {"iss": cluster.issuer, "aud": AUDIENCE}
    head = {"alg": "HS256", "typ": "JWT", "kid": key["kid"]}
    pem = RSAKey.import_key(key).as_pem(private=False)
    forged = {
        "alg none": unsigned_token(**ours),
        "HS256 with the public key": hmac_token(pem, head, **ours),
        "an unknown key": token(header={"kid": "made-up"}, **ours),
        "another key of that name": token(header={"kid": key["kid"]}, **ours),
        "another issuer": token(aud=AUDIENCE),
        "no signature": honest.rsplit(".", 1)[0] + ".",
        "another payload": f"{honest.split('.')[0]}.{encode(b'{}')}.{honest.split('.')[2]}",
        "an ID token": str(cluster.issued("id_token")[-1]["value"]),
        "a refresh token": str(cluster.issued("refresh_token")[-1]["value"]),
        "garbage": "garbage",
        "punctuation": "-._~+/==",
        "another API's": REFUSED["wrong_audience"](),
        "nobody's": token(aud=OTHER_AUDIENCE),
    }
    for what, value in forged.items():
        assert (what, statuses(cluster, value)) == (what, [INVALID, INVALID, INVALID])
    assert statuses(cluster, honest) == [200, 200, 200]


def test_a_token_of_a_hundred_kilobytes_is_refused(cluster: Cluster) -> None:
    cluster.browser().log_in()
    honest = copied(cluster)
    # A server may refuse such a header before our code sees it.
    assert all(status in (401, 400, 413, 431) for status in statuses(cluster, "x" * 100_000))
    assert by_introspection(cluster, honest + "x" * 100_000) == INVALID
    assert statuses(cluster, honest) == [200, 200, 200]


def test_a_token_for_another_audience_or_an_expired_one_is_invalid() -> None:
    """Issued and signed by the provider itself."""
    provider = {"audiences": [AUDIENCE, "https://other-api"], "access_token_seconds": 6}
    with Cluster(provider=provider, env=ASKING) as cluster:
        cluster.browser().log_in()
        short = copied(cluster)
        assert statuses(cluster, short) == [200, 200, 200]
        wait_for(lambda: statuses(cluster, short) == [INVALID, INVALID, INVALID], "it expires")
        cluster.control("POST", "lifetimes", access_token_seconds=300)
        port = cluster.ports[0]
        cluster.replicas[0].stop()
        cluster.start_replica(port, AUTH0_AUDIENCE="https://other-api")
        cluster.browser().log_in()
        others = copied(cluster)
        # The BFF checks for its present audience, the API for its own.
        assert statuses(cluster, others) == [INVALID, 200, 200]


def test_an_opaque_token_is_never_valid() -> None:
    """Auth0 issues such tokens without an audience; they can't be verified here."""
    with Cluster(env=ASKING | {"AUTH0_AUDIENCE": ""}) as cluster:
        cluster.browser().log_in()
        opaque = copied(cluster)
        assert "." not in opaque
        assert statuses(cluster, opaque) == [INVALID, INVALID, INVALID]


# ---------------------------------------------------------------- the key for APIs


def test_the_flask_example_refuses_a_copied_token(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = cluster.api_environment() | {"ISSUER": cluster.issuer, "AUDIENCE": AUDIENCE}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    api = runpy.run_path(str(ROOT / "docs/examples/flask/api.py"))["app"].test_client()
    browser = cluster.browser()
    browser.log_in()
    header = {"Authorization": f"Bearer {copied(cluster)}"}
    assert api.get("/items", headers=header).get_json() == {"of": "auth0|demo"}
    assert api.post("/items", headers=header).status_code == 403
    browser.log_out()
    assert api.get("/items", headers=header).status_code == 401


def test_the_command_prints_the_key_and_nothing_else(cluster: Cluster) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bff", "deny-list-key"],
        env=cluster.environment() | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == cluster.api_environment()["DENY_LIST_KEY"] + "\n"
    assert cluster.secret not in done.stdout

"""Promise 6 at a provider that never sends `auth_time`: who gets in again after an end, and how?"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from tests.support.browser_client import BrowserClient
from tests.support.cluster import EMAIL, PASSWORD, ROOT, Cluster
from tests.support.provider_form import sign_in_at_provider
from tests.support.scale import rounds
from tests.support.waiting import wait_for

pytestmark = pytest.mark.session_cache

REPLICAS = 3
ADMIN_KEY = "an-admin-key-for-the-tests-0123456789"
ENV = {"BFF_ADMIN_KEY": ADMIN_KEY, "BFF_DEVICE_REAUTH_SECONDS": "900"}
USER = {"sub": "auth0|demo"}
EVERYONE = {"everyone": True}
AS_ARGUMENTS = {"sub": ("--user", "auth0|demo"), "everyone": ("--everyone",)}


@pytest.fixture(scope="module")
def strict_cluster(session_cache: str) -> Iterator[Cluster]:
    with Cluster(REPLICAS, provider={"auth_time_never": True}, env=ENV) as started:
        yield started


@pytest.fixture(scope="module")
def lenient_cluster(session_cache: str) -> Iterator[Cluster]:
    env = ENV | {"BFF_ACCEPT_IAT_FOR_AUTH_TIME": "true"}
    with Cluster(REPLICAS, provider={"auth_time_never": True}, env=env) as started:
        yield started


@pytest.fixture
def strict(strict_cluster: Cluster) -> Iterator[Cluster]:
    yield strict_cluster
    forget_ends(strict_cluster)


@pytest.fixture
def lenient(lenient_cluster: Cluster) -> Iterator[Cluster]:
    yield lenient_cluster
    forget_ends(lenient_cluster)


def forget_ends(cluster: Cluster) -> None:
    if names := cluster.keys("watermark"):
        cluster.store().delete(*names)


def end(cluster: Cluster, whom: Mapping[str, object], replica: int = 1) -> None:
    response = requests.post(
        f"{cluster.url(replica)}/admin/sessions/end",
        json=whom,
        headers={"Authorization": f"Bearer {ADMIN_KEY}"},
        timeout=20,
    )
    assert response.status_code == 200, response.text


def allow(cluster: Cluster, cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`python -m bff sessions allow`, as the operator runs it beside the replicas."""
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)} | cluster.environment()
    return subprocess.run(
        [sys.executable, "-m", "bff", "sessions", "allow", *arguments],
        capture_output=True, text=True, env=env, cwd=cwd, timeout=60, check=True,
    )  # fmt: skip


def at_provider(browser: BrowserClient, url: str) -> str:
    return sign_in_at_provider(browser.at_provider, url, EMAIL, PASSWORD)


def asked(url: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


def come_back_to_second_try(browser: BrowserClient, replica: int = 0) -> str:
    """A sign-in up to the redirect of its second try; the address at the provider."""
    sent_back = browser.come_back(at_provider(browser, browser.authorize_url()), replica=replica)
    assert sent_back.status_code == 302, sent_back.text
    return sent_back.headers["Location"]


@pytest.mark.parametrize("whom", [USER, EVERYONE], ids=["user", "everyone"])
def test_promise_6_the_page_is_honest_and_an_operator_lets_them_in_again(
    strict: Cluster, whom: Mapping[str, object], tmp_path: Path
) -> None:
    arguments = AS_ARGUMENTS[next(iter(whom))]
    end(strict, whom)
    browser = strict.browser()
    again = come_back_to_second_try(browser)
    assert (asked(again)["prompt"], asked(again)["max_age"]) == ("login", "0")
    refused = browser.come_back(at_provider(browser, again))
    assert refused.status_code == 502
    assert "auth_time_missing" in refused.text
    assert "/auth/login" not in refused.text, "a button that leads round in a circle"
    assert browser.cookie is None
    wait_for(lambda: strict.active_refresh_tokens() == 0, "the revocation of its refresh token")

    lifted = allow(strict, tmp_path, *arguments, "--reason", "no auth_time there")
    assert "accepted again" in lifted.stdout
    assert '"reason": "allow' in lifted.stderr
    for replica in range(REPLICAS):
        here = strict.browser()
        here.log_in(replica=replica)
        assert here.api("/items", replica=(replica + 1) % REPLICAS).status_code == 200
        here.log_out()


def test_promise_6_a_lift_of_the_user_says_that_the_end_of_everyone_stays(
    strict: Cluster, tmp_path: Path
) -> None:
    end(strict, USER)
    end(strict, EVERYONE)
    assert "another end" in allow(strict, tmp_path, *AS_ARGUMENTS["sub"]).stdout
    come_back_to_second_try(strict.browser())
    assert "another end" not in allow(strict, tmp_path, *AS_ARGUMENTS["everyone"]).stdout
    strict.browser().log_in()


@pytest.mark.parametrize("query", ["prompt=login", "max_age=0", "max_age=300"])
def test_a_new_authentication_that_cannot_be_proved_costs_no_session(
    strict: Cluster, query: str
) -> None:
    browser = strict.browser()
    browser.log_in()
    location = at_provider(browser, browser.authorize_url(f"/auth/login?{query}"))
    refused = browser.come_back(location)
    assert (refused.status_code, "auth_time_missing" in refused.text) == (502, True)
    assert browser.profile().status_code == 200
    browser.log_out()


@pytest.mark.parametrize("query", ["prompt=login", "max_age=0", "max_age=300"])
def test_with_the_setting_such_a_sign_in_counts_as_recent(lenient: Cluster, query: str) -> None:
    browser = lenient.browser()
    browser.log_in()
    assert browser.fetch("DELETE", "/auth/sessions").status_code == 403
    url = browser.authorize_url(f"/auth/login?{query}")
    assert asked(url)["prompt"] == "login"
    assert browser.come_back(at_provider(browser, url)).status_code == 303
    assert browser.fetch("DELETE", "/auth/sessions", replica=1).status_code == 200
    browser.log_out()


@pytest.mark.parametrize("whom", [USER, EVERYONE], ids=["user", "everyone"])
def test_promise_6_with_the_setting_a_second_try_gets_in_at_once(
    lenient: Cluster, whom: Mapping[str, object]
) -> None:
    old = lenient.browser()
    old.log_in()
    end(lenient, whom)
    assert old.profile(replica=2).status_code == 401
    again = come_back_to_second_try(old)
    assert old.come_back(at_provider(old, again), replica=2).status_code == 303
    assert old.profile(replica=1).status_code == 200
    old.log_out()


def test_promise_6_with_the_setting_no_prompt_from_before_the_end_suffices(
    lenient: Cluster,
) -> None:
    """The user authenticated before the end; `iat`, of the exchange of the code, is later."""
    first, second = lenient.browser(), lenient.browser()
    finished = at_provider(first, first.authorize_url("/auth/login?prompt=login"))
    end(lenient, USER)
    again = come_back_to_second_try(second)
    assert first.come_back(finished).status_code == 302
    finished_second = at_provider(second, again)
    end(lenient, USER)
    refused = second.come_back(finished_second)
    assert (refused.status_code, "sign_in_too_old" in refused.text) == (403, True)
    assert second.cookie is None


def test_promise_6_with_the_setting_a_race_leaves_no_session_of_before(lenient: Cluster) -> None:
    for number in range(rounds(full=200, reduced=6)):
        browser = lenient.browser()
        location = at_provider(browser, browser.authorize_url("/auth/login?prompt=login"))
        ending = threading.Thread(target=end, args=(lenient, USER, number % REPLICAS))
        ending.start()
        response = browser.come_back(location, replica=(number + 1) % REPLICAS)
        ending.join()
        assert response.status_code in (302, 303), response.text
        for replica in range(REPLICAS):
            assert browser.profile(replica=replica).status_code == 401, f"round {number}"

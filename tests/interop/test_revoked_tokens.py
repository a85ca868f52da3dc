"""Access tokens of the certified provider, and an Express API that asks the BFF about them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.interop.cluster import HERE, InteropCluster
from tests.support.ageing import stored_tokens
from tests.support.api_callers import ASKING, CLIENT_SECRET, INVALID, WAYS
from tests.support.cluster import TIMEOUT_SECONDS
from tests.support.processes import Process

EXAMPLE = HERE.parent.parent / "docs/examples/express"


@pytest.fixture(scope="module")
def asking() -> Iterator[InteropCluster]:
    with InteropCluster(env=ASKING) as cluster:
        yield cluster


def test_its_tokens_live_and_die_in_every_way_of_asking(asking: InteropCluster) -> None:
    browser = asking.browser()
    browser.log_in()
    stolen = stored_tokens(asking, browser.cookie).access_token
    assert [way(asking, stolen) for way in WAYS] == [200, 200, 200]
    assert browser.log_out().status_code == 200
    assert [way(asking, stolen) for way in WAYS] == [INVALID, INVALID, INVALID]


@pytest.fixture
def express(asking: InteropCluster, tmp_path: Path) -> Iterator[str]:
    """The example as it is in docs/, with the express of npm."""
    shutil.copytree(EXAMPLE, tmp_path, dirs_exist_ok=True)
    (tmp_path / "node_modules").symlink_to(HERE / "node_modules")
    node = shutil.which("node")
    assert node, "make interop needs Node"
    environment = {
        "PATH": os.environ["PATH"],
        "INTROSPECTION_URL": f"{asking.url()}/auth/introspect",
        "INTROSPECTION_SECRET": CLIENT_SECRET,
    }
    with Process([node, str(tmp_path / "server.mjs")], name="express", env=environment) as server:
        yield f"http://127.0.0.1:{server.wait_ready(TIMEOUT_SECONDS)['port']}/items"


def test_an_express_api_refuses_a_copied_token_after_the_logout(
    asking: InteropCluster, express: str
) -> None:
    browser = asking.browser()
    browser.log_in()
    stolen = stored_tokens(asking, browser.cookie).access_token
    answer = ask("GET", express, stolen)
    assert answer.status_code == 200
    assert answer.json()["of"]
    missing = ask("POST", express, stolen)
    assert missing.status_code == 403
    assert 'scope="write:items"' in missing.headers["WWW-Authenticate"]
    browser.log_out()
    for token in (stolen, "garbage", "a b", ""):
        answer = ask("GET", express, token)
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_an_express_api_answers_503_when_redis_is_away(
    asking: InteropCluster, express: str
) -> None:
    browser = asking.browser()
    browser.log_in()
    token = stored_tokens(asking, browser.cookie).access_token
    asking.redis.stop()
    answer = ask("GET", express, token)
    asking.redis.start_again()
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")
    assert ask("GET", express, token).status_code == 200


def ask(method: str, url: str, token: str) -> requests.Response:
    headers = {"Authorization": f"Bearer {token}"}
    return requests.request(method, url, headers=headers, timeout=TIMEOUT_SECONDS)

"""Promise 10, before the first request: wrong settings, and parts that are down at the start."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.promises.refused.conftest import PROVIDER_TIMEOUT_SECONDS
from tests.support.browser_client import BrowserClient
from tests.support.cluster import EMAIL, PASSWORD, Cluster
from tests.support.commands import run_forked
from tests.support.processes import Process, free_port
from tests.support.refusal import PAGE, assert_quiet_logs, assert_refused
from tests.support.waiting import wait_for, within

ROOT = Path(__file__).resolve().parents[3]
START_SECONDS = 20
RECOVER_SECONDS = 15
SECRET = "s3cret-that-nobody-may-see"

# ---------------------------------------------------------------- wrong settings

RIGHT = {
    "PATH": "/usr/bin:/bin",
    "PYTHONPATH": str(ROOT),
    "OIDC_ISSUER": "https://issuer.test/",
    "AUTH0_CLIENT_ID": "client",
    "AUTH0_CLIENT_SECRET": SECRET,
    "AUTH0_SECRET": SECRET + "-" * 32,
    "APP_BASE_URL": "https://app.test",
    "BFF_API_URL": "http://127.0.0.1:1",
    "REDIS_URL": f"redis://:{SECRET}@127.0.0.1:1/0",
}
WRONG = {
    "OIDC_ISSUER": ["", "issuer", "http://issuer.test/", "https://a b/", "https://i.test/?a=b"],
    "AUTH0_CLIENT_ID": [""],
    "AUTH0_CLIENT_SECRET": [""],
    "AUTH0_CLIENT_AUTH": ["none", "private_key_jwt"],
    "AUTH0_SECRET": ["", "short-" + SECRET[:10], f"{SECRET}{'-' * 32},short-{SECRET[:10]}", ","],
    "AUTH0_DOMAIN": ["https://tenant.auth0.com", "tenant.auth0.com"],
    "AUTH0_SCOPE": ["profile"],
    "APP_BASE_URL": ["", "app.test", "http://app.test", "https://app.test/path", "https://u:p@a.b",
                     "https://app.test:port", "javascript:alert(1)"],
    "BFF_API_URL": ["", "api:8080", "ftp://api", f"http://user:{SECRET}@api", "http://api/?x=1"],
    "REDIS_URL": [f"http://:{SECRET}@redis"],
    "BFF_REDIS_PREFIX": ["a b", "{x}", "a" * 40],
    "BFF_REDIS_TIMEOUT_SECONDS": ["0", "soon"],
    "BFF_PROVIDER_TIMEOUT_SECONDS": ["0", "1e9", "nan"],
    "BFF_UPSTREAM_TIMEOUT_SECONDS": ["0", "-1", "nan"],
    "BFF_SESSION_IDLE_SECONDS": ["0", "1.5", "a day"],
    "BFF_SESSION_ABSOLUTE_SECONDS": ["60"],
    "BFF_SESSION_PERSISTENT": ["perhaps"],
    "BFF_REQUEST_MAX_BYTES": ["-1", "100MB"],
    "BFF_CLOCK_SKEW_SECONDS": ["-1", "3600"],
    "BFF_ID_TOKEN_ALGORITHMS": ["none", "HS256", "RS256,none"],
    "BFF_TRUSTED_PROXIES": ["everybody", "10.0.0.0/99"],
    "BFF_SPA_DIR": ["/nowhere"],
    "BFF_REQIURE_CSRF_HEADER": ["true"],
}  # fmt: skip
CASES = [(name, value) for name, values in WRONG.items() for value in values]


def serve(env: dict[str, str], cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bff", "serve", "--port", str(free_port())]
    return subprocess.run(command, capture_output=True, text=True, env=env, cwd=cwd, timeout=60)


def assert_told(ended: subprocess.CompletedProcess[str], names: list[str]) -> None:
    """One log line, one more for each problem, no secret, no traceback, and no server."""
    assert (ended.returncode, ended.stdout) == (2, ""), ended.stderr
    lines = [line.split(" ", 4) for line in ended.stderr.splitlines()]
    assert {(level, logger) for _, _, level, logger, _ in lines} == {("ERROR", "bff.settings")}
    first, *problems = [message for *_, message in lines]
    assert first == f"{len(names)} problem(s) with the settings"
    assert sorted(problem.partition(":")[0] for problem in problems) == sorted(names)
    assert SECRET[:10] not in ended.stderr


def test_promise_10_every_kind_of_wrong_setting_at_once(tmp_path: Path) -> None:
    wrong = {name: values[-1] for name, values in WRONG.items() if name != "AUTH0_DOMAIN"}
    # The absolute end can't be compared with an idle end that isn't a number.
    wrong |= {"BFF_SESSION_ABSOLUTE_SECONDS": "long", "AUTH0_CLIENT_SECRET": SECRET}
    wrong |= {"AUTH0_CLIENT_AUTH": "none"}
    ended = serve(RIGHT | wrong, tmp_path)
    assert_told(ended, sorted(set(wrong) - {"AUTH0_CLIENT_SECRET"}))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OIDC_ISSUER", "http://issuer.test/"),
        ("APP_BASE_URL", "http://app.test"),
        ("BFF_API_URL", f"http://user:{SECRET}@api"),
        ("AUTH0_SECRET", f"{SECRET}{'-' * 32},short-{SECRET[:10]}"),
        ("REDIS_URL", f"http://:{SECRET}@redis"),
        ("BFF_REQIURE_CSRF_HEADER", "true"),
    ],
)
def test_promise_10_one_wrong_setting(tmp_path: Path, name: str, value: str) -> None:
    ended = run_forked("serve", "--port", str(free_port()), env=RIGHT | {name: value}, cwd=tmp_path)
    assert_told(ended, [name])


@pytest.mark.parametrize(("name", "value"), CASES)
def test_promise_10_a_wrong_setting_is_named(name: str, value: str) -> None:
    """All of them in this process."""
    from bff.config import load
    from bff.core.errors import ConfigError

    with pytest.raises(ConfigError) as caught:
        load(RIGHT | {name: value})
    output = "\n".join(caught.value.problems)
    expected = {
        # Both are set, and the key for the second is missing.
        ("AUTH0_DOMAIN", "tenant.auth0.com"): "OIDC_ISSUER",
        ("AUTH0_CLIENT_AUTH", "private_key_jwt"): "AUTH0_CLIENT_PRIVATE_KEY_FILE",
    }.get((name, value), name)
    assert any(problem.startswith(f"{expected}: ") for problem in caught.value.problems), output
    assert SECRET[:10] not in output


# ---------------------------------------------------------------- parts that are away

Away = Callable[[Cluster], AbstractContextManager[None]]


@pytest.fixture(scope="module")
def shaky() -> Iterator[Cluster]:
    """An installation whose Redis and provider the tests stop."""
    provider = {"port": free_port()}
    env = {
        "BFF_PROVIDER_TIMEOUT_SECONDS": str(PROVIDER_TIMEOUT_SECONDS),
        "BFF_REDIS_TIMEOUT_SECONDS": "1",
    }
    with Cluster(provider=provider, env=env) as started:
        yield started


@contextmanager
def redis_refuses(cluster: Cluster) -> Iterator[None]:
    cluster.redis.stop()
    try:
        yield
    finally:
        cluster.redis.start_again()


@contextmanager
def redis_hangs(cluster: Cluster) -> Iterator[None]:
    cluster.redis.pause()
    try:
        yield
    finally:
        cluster.redis.resume()


@contextmanager
def provider_refuses(cluster: Cluster) -> Iterator[None]:
    cluster.provider.kill()
    try:
        yield
    finally:
        cluster.provider.start()
        cluster._control_key = cluster.provider.wait_ready(START_SECONDS)["control_key"]


@contextmanager
def provider_hangs(cluster: Cluster) -> Iterator[None]:
    cluster.provider.pause()
    try:
        yield
    finally:
        cluster.provider.resume()


def provider_says(endpoint: str, **fault: Any) -> Away:
    @contextmanager
    def away(cluster: Cluster) -> Iterator[None]:
        cluster.control("POST", "faults", endpoint=endpoint, times=1000, **fault)
        try:
            yield
        finally:
            cluster.control("DELETE", "faults")

    return away


def provider_describes(**changes: Any) -> Away:
    @contextmanager
    def away(cluster: Cluster) -> Iterator[None]:
        cluster.control("POST", "discovery", **changes)
        try:
            yield
        finally:
            cluster.control("DELETE", "faults")

    return away


REDIS_AWAY: dict[str, Away] = {"refuses": redis_refuses, "hangs": redis_hangs}
PROVIDER_AWAY: dict[str, Away] = {
    "refuses": provider_refuses,
    "hangs": provider_hangs,
    "hangs up": provider_says("discovery", do="drop_before"),
    "rubbish": provider_says("discovery", do="garbage"),
    "500": provider_says("discovery", do="status", status=500),
    "keys are rubbish": provider_says("jwks", do="garbage"),
    "keys are none": provider_says("jwks", do="status", status=200, body={"keys": "none"}),
    "another issuer": provider_describes(issuer="https://wrong.example/"),
    "no token endpoint": provider_describes(token_endpoint=None),
}


@contextmanager
def started_without(cluster: Cluster, away: Away) -> Iterator[tuple[Process, BrowserClient]]:
    """Start a BFF process while a part is *away*; returns it and a browser."""
    port = free_port()
    command = [sys.executable, "-m", "bff", "serve", "--port", str(port)]
    process = Process(command, name=f"bff:{port}", env=cluster.environment())
    browser = BrowserClient([f"http://localhost:{port}"], EMAIL, PASSWORD)
    with ExitStack() as stack:
        stack.callback(browser.close)
        with away(cluster):
            stack.enter_context(process)
            process.wait_for_http(f"http://127.0.0.1:{port}/healthz")
            yield process, browser
        # The part is back, and the process is the same.
        wait_for(
            lambda: browser.fetch("GET", "/readyz").status_code == 200, "/readyz", RECOVER_SECONDS
        )
        assert browser.log_in().status_code == 303
        assert browser.profile().status_code == 200
        cookie = browser.cookie
        assert browser.log_out().status_code == 200
        cluster.replicas.append(process)
        stack.callback(cluster.replicas.remove, process)
        assert_quiet_logs(cluster, [cookie])


def checks(browser: BrowserClient) -> dict[str, bool]:
    """The body of `/readyz`, which has no other content."""
    response = browser.fetch("GET", "/readyz")
    said = response.json()
    assert set(said) == {"status", "checks"}
    assert (response.status_code == 200) == all(said["checks"].values())
    return dict(said["checks"])


@pytest.mark.parametrize("how", REDIS_AWAY)
def test_promise_10_redis_is_away_at_the_start(shaky: Cluster, how: str) -> None:
    with started_without(shaky, REDIS_AWAY[how]) as (_, browser):
        # The thread that fetches the provider's keys also waits for Redis.
        wait_for(lambda: checks(browser) == {"redis": False, "provider": True}, "the provider")
        cookie = {"Cookie": "session=" + "A" * 43}
        response = within(2.0, lambda: browser.fetch("GET", "/api/items", headers=cookie))
        assert_refused(response, 503, "store_unavailable")
        assert browser.profile().status_code == 401


@pytest.mark.parametrize("how", PROVIDER_AWAY)
def test_promise_10_the_provider_is_away_at_the_start(shaky: Cluster, how: str) -> None:
    with started_without(shaky, PROVIDER_AWAY[how]) as (_, browser):
        assert checks(browser) == {"redis": True, "provider": False}
        assert browser.profile().status_code == 401
        began = time.monotonic()
        page = browser.navigate("/auth/login")
        # No retry: the second response would come from the cached failure.
        assert time.monotonic() - began < 2 * PROVIDER_TIMEOUT_SECONDS
        if how.startswith("keys"):
            # The redirect needs the metadata only; the keys are needed for the callback.
            assert page.status_code == 302
            return
        assert page.headers["Content-Type"] == PAGE
        if how == "another issuer":
            assert_refused(page, 502, "provider_misconfigured")
        else:
            assert_refused(page, 503, "provider_unavailable")

"""How many commands does Redis get per request? (docs/architecture/request.md)"""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from tests.support.browser_client import BrowserClient
from tests.support.cluster import Cluster
from tests.support.gateway import Gateway
from tests.support.scale import CACHE, cache_environment

REPEATS = 20
TRIES = 3
SEEN_BEFORE = 3
"""A session is cached at its second request within a minute."""
LEASE_SECONDS = 1.0
"""Longer than the lease of the cache."""
NOT_OURS = ("{outbox}:due", ":deadlines", "{born_at}", "HELLO", "CLIENT ", "PING")
"""The commands of background threads and of new connections."""


@pytest.fixture(scope="module", params=CACHE.values(), ids=list(CACHE))
def signed_in(request: pytest.FixtureRequest) -> object:
    env = {"BFF_SPA_DIR": "demo/spa"} | cache_environment(request.param)
    with Gateway(env=env, api_asks=False) as cluster:
        browser = cluster.browser()
        browser.log_in()
        yield cluster, browser, request.param == CACHE["cache on"]


@pytest.mark.parametrize(
    ("what", "expected", "ask"),
    [
        ("an authenticated /api request", None, lambda b, _: b.api("/items")),
        ("a route with a token for an audience", None, lambda b, _: b.api("/orders/whoami")),
        ("a route with an exchanged token", None, lambda b, _: b.api("/reports/whoami")),
        ("a route with a token of ours", None, lambda b, _: b.api("/stock/whoami")),
        ("a route that takes a session or none", None, lambda b, _: b.api("/both/whoami")),
        ("the same without a session", 0, lambda _, stranger: stranger.api("/both/whoami")),
        ("a route that asks nothing", 0, lambda b, _: b.api("/open/whoami")),
        ("/auth/profile", 1, lambda b, _: b.profile()),
        ("a static file", 0, lambda b, _: b.fetch("GET", "/index.html")),
        ("the page of the SPA", 0, lambda b, _: b.navigate("/")),
        ("an anonymous /auth/profile", 0, lambda _, stranger: stranger.profile()),
        ("an anonymous /api request", 0, lambda _, stranger: stranger.api("/items")),
        ("a cross-site /api request", 0,
         lambda b, _: b.fetch("GET", "/api/items", headers={"Sec-Fetch-Site": "cross-site"})),
        ("a path that is refused", 0, lambda b, _: b.api("/..%2fadmin")),
        # Has a logout closed the browser's id? A browser without one gets it without a command.
        ("the start of a sign-in", 1, lambda b, _: b.navigate("/auth/login")),
        ("a forged cookie of another shape", 0,
         lambda _, s: s.fetch("GET", "/api/items", headers={"Cookie": "session=x' OR 1=1"})),
    ],
)  # fmt: skip
def test_round_trips_to_redis(
    signed_in: tuple[Cluster, BrowserClient, bool],
    what: str,
    expected: int | None,
    ask: Callable[[BrowserClient, BrowserClient], object],
) -> None:
    cluster, browser, cached = signed_in
    if expected is None:
        expected = 0 if cached else 1
    stranger = cluster.browser()
    # A write of the first request, such as a route's token, is in the cache one lease later.
    lease_over_at = time.monotonic() + LEASE_SECONDS
    asked = 0
    while asked < SEEN_BEFORE or time.monotonic() < lease_over_at:
        ask(browser, stranger)
        asked += 1
    # If the machine stalls for longer than a lease, a process rightly reads again.
    for _ in range(TRIES if cached else 1):
        commands = commands_of(cluster, lambda: ask(browser, stranger))
        if len(commands) == expected * REPEATS:
            break
    assert len(commands) == expected * REPEATS, f"{what}: {commands[:3]}"


def commands_of(cluster: Cluster, ask: Callable[[], object]) -> list[str]:
    """The commands that Redis gets while *ask* is repeated."""
    commands = []
    with cluster.store() as store, store.monitor() as monitor:
        for _ in range(REPEATS):
            ask()
        store.echo("that was all")
        for command in monitor.listen():
            if "that was all" in command["command"]:
                break
            ours = command["client_type"] != "lua"
            if ours and not any(name in command["command"] for name in NOT_OURS):
                commands.append(command["command"])
    return commands

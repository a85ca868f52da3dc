"""How often is Redis asked? Counted by Redis itself, not timed (DESIGN, section 5)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.browser_client import BrowserClient
from tests.support.cluster import Cluster
from tests.support.scale import MEMORY, memory_environment

REPEATS = 20
SEEN_BEFORE = 3
"""A session is remembered at its second request within a minute."""
NOT_OURS = ("{outbox}:due", ":deadlines", "{born_at}", "HELLO", "CLIENT ", "PING")
"""What the background threads ask, and what sets up a connection."""


@pytest.fixture(scope="module", params=MEMORY.values(), ids=list(MEMORY))
def signed_in(request: pytest.FixtureRequest) -> object:
    env = {"BFF_SPA_DIR": "bff/demo/spa"} | memory_environment(request.param)
    with Cluster(env=env, api_asks=False) as cluster:
        browser = cluster.browser()
        browser.log_in()
        yield cluster, browser, request.param == MEMORY["memory on"]


@pytest.mark.parametrize(
    ("what", "expected", "ask"),
    [
        ("an authenticated /api request", None, lambda b, _: b.api("/items")),
        ("/auth/profile", 1, lambda b, _: b.profile()),
        ("a static file", 0, lambda b, _: b.fetch("GET", "/index.html")),
        ("the page of the SPA", 0, lambda b, _: b.navigate("/")),
        ("an anonymous /auth/profile", 0, lambda _, stranger: stranger.profile()),
        ("an anonymous /api request", 0, lambda _, stranger: stranger.api("/items")),
        ("a cross-site /api request", 0,
         lambda b, _: b.fetch("GET", "/api/items", headers={"Sec-Fetch-Site": "cross-site"})),
        ("a path that is refused", 0, lambda b, _: b.api("/..%2fadmin")),
        ("the start of a sign-in", 0, lambda b, _: b.navigate("/auth/login")),
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
    cluster, browser, remembered = signed_in
    if expected is None:
        expected = 0 if remembered else 1
    stranger = cluster.browser()
    for _ in range(SEEN_BEFORE):
        ask(browser, stranger)
    with cluster.store() as store, store.monitor() as monitor:
        for _ in range(REPEATS):
            ask(browser, stranger)
        store.echo("that was all")
        commands = []
        for command in monitor.listen():
            if "that was all" in command["command"]:
                break
            ours = command["client_type"] != "lua"
            if ours and not any(name in command["command"] for name in NOT_OURS):
                commands.append(command["command"])
    assert len(commands) == expected * REPEATS, f"{what}: {commands[:3]}"

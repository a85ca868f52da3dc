"""Promise 11: slow clients and slow APIs keep nobody from signing in, calling and signing out."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import asdict
from functools import partial

import pytest
import requests

from demo.provider.settings import DEMO_USER
from tests.support import raw_client
from tests.support.browser_client import BrowserClient
from tests.support.cluster import Cluster
from tests.support.raw_upstream import RawUpstream, Wire
from tests.support.scale import rounds
from tests.support.slow_clients import (
    AT_MOST_SECONDS,
    ENVIRONMENT,
    FORM,
    OWN_ROUTES,
    head,
    resident_bytes,
    slow_clients,
    slowest_step,
    unfinished,
    unnoticed,
)
from tests.support.waiting import once_below, wait_for

CLIENTS = rounds(full=500, reduced=200)
ROUNDS = 2
LARGE_BYTES = 20_000_000
LARGE = bytes(LARGE_BYTES)
MEMORY_BYTES = 500 * 1024**2
REPLICAS = 2
LIMIT = 192
"""The default of BFF_UPSTREAM_REQUESTS_MAX."""
KINDS = (
    "bodies", "uploads", "anonymous uploads", "unread responses", "unread responses to writes",
    "unread files", "silent API", "heads", "nothing",
)  # fmt: skip
ROUTES = """
[[route]]
prefix = "/api"
upstream = "{0}"

[[route]]
prefix = "/other"
upstream = "{0}"

[[route]]
prefix = "/shared"
upstream = "{0}"
token = "optional"
"""
OTHER_USER = {"email": "other@example.com", "password": "demo", "sub": "auth0|other", "name": "O"}


class Upstream(RawUpstream):
    """`/large` is large, `/silent` says nothing until the test lets it."""

    def __init__(self) -> None:
        super().__init__()
        self.may_speak = threading.Event()
        self.script = type(self).respond

    @staticmethod
    def respond(upstream: RawUpstream, wire: Wire) -> None:
        """Serve one connection."""
        assert isinstance(upstream, Upstream)
        while (seen := wire.read_request()) is not None and seen.complete:
            upstream.note(seen)
            if seen.target.startswith("/silent"):
                upstream.may_speak.wait()
            body = LARGE if seen.target.startswith("/large") else b"ok"
            wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body))
            wire.send(body)


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    started = Upstream()
    with started:
        yield started
        started.may_speak.set()


@pytest.fixture(scope="module")
def cluster(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("files")
    (folder / "index.html").write_text("<!doctype html><title>app</title>")
    (folder / "large.js").write_bytes(b" " * LARGE_BYTES)
    routes = folder / "routes.toml"
    routes.write_text(ROUTES.format(upstream.url))
    files = {"BFF_SPA_DIR": str(folder), "BFF_ROUTES_FILE": str(routes), "BFF_API_URL": ""}
    with Cluster(
        REPLICAS,
        env=ENVIRONMENT | files,
        api_url="named in the routes",
        provider={"users": [asdict(DEMO_USER), OTHER_USER]},
    ) as started:
        yield started


@pytest.fixture(autouse=True)
def alone(cluster: Cluster, upstream: Upstream) -> Iterator[None]:
    """The test takes nothing into the next one: neither clients nor places."""
    yield
    upstream.may_speak.set()

    def let_go() -> bool:
        return not unnoticed(cluster.ports) and not upstream.in_progress()

    wait_for(let_go, "the places of the test's clients to be given back")


@pytest.fixture
def slow_user(cluster: Cluster, upstream: Upstream) -> Iterator[BrowserClient]:
    """A user whose requests are slow."""
    upstream.may_speak.clear()
    browser = cluster.browser()
    browser.log_in()
    yield browser
    upstream.may_speak.set()


def slow_requests(kind: str, user: BrowserClient) -> list[bytes]:
    length = f"Content-Length: {LARGE_BYTES}"
    each = {
        "bodies": [unfinished(target) for target in OWN_ROUTES],
        "uploads": [head(user, "POST", "/api/x", length) + b"x"],
        "anonymous uploads": [head(None, "POST", "/api/x", length) + b"x"],
        "unread responses": [head(user, "GET", "/api/large")],
        "unread responses to writes": [head(user, "POST", "/api/large", "Content-Length: 0")],
        "unread files": [head(None, "GET", "/large.js")],
        "silent API": [head(user, "GET", "/api/silent")],
        "heads": [b"GET / HTTP/1.1\r\nHost:"],
        "nothing": [b""],
    }[kind]
    return [each[number % len(each)] for number in range(CLIENTS)]


def serve_others(cluster: Cluster) -> None:
    def slowest() -> float:
        health = partial(requests.get, f"{cluster.url()}/healthz", timeout=20)
        return slowest_step(cluster.browser(), health)

    for _ in range(ROUNDS):
        once_below(AT_MOST_SECONDS, slowest, "seconds of the slowest step")


# ---------------------------------------------------------------- slow clients
@pytest.mark.parametrize("kinds", [*((kind,) for kind in KINDS), KINDS], ids=[*KINDS, "all"])
def test_promise_11_slow_clients_keep_nobody_waiting(
    cluster: Cluster, slow_user: BrowserClient, kinds: tuple[str, ...]
) -> None:
    before = resident_bytes(cluster.replicas[0])
    with ExitStack() as stack:
        for kind in kinds:
            requests_of_kind = slow_requests(kind, slow_user)
            stack.enter_context(slow_clients(cluster.ports[0], requests_of_kind))
        serve_others(cluster)
        assert resident_bytes(cluster.replicas[0]) - before < MEMORY_BYTES


@pytest.mark.parametrize("target", ["/auth/logout", "/api/x"])
def test_promise_11_a_body_that_stalls_ends_with_408(
    cluster: Cluster, slow_user: BrowserClient, target: str
) -> None:
    """It ends, and the other request on its way is not broken off."""
    length = "Content-Length: 1000"
    stalled = head(slow_user, "POST", target, length, f"Content-Type: {FORM}") + b"x"
    waiting = head(slow_user, "GET", "/api/silent")
    with slow_clients(cluster.ports[0], [stalled, waiting]) as (ends, stays):
        assert raw_client.read_all(ends).status == 408
        stays.setblocking(False)
        with pytest.raises(BlockingIOError):
            stays.recv(1)


@pytest.mark.parametrize(
    ("target", "fields", "status"),
    [
        ("/auth/logout", ["Origin: https://other.test"], 403),
        ("/auth/logout", ["Content-Length: 9999999"], 413),
        ("/auth/introspect", ["Authorization: Basic YTpi"], 401),
        ("/auth/introspect", ["Content-Length: 9999999"], 413),
        ("/admin/sessions/end", ["Authorization: Bearer wrong"], 401),
        ("/auth/global-token-revocation", ["Authorization: Bearer wrong"], 401),
        ("/webhooks/auth0-logs", ["Authorization: wrong"], 401),
        ("/api/x", [], 401),
    ],
)
def test_promise_11_what_the_headers_decide_does_not_wait_for_the_body(
    cluster: Cluster, target: str, fields: list[str], status: int
) -> None:
    kind = OWN_ROUTES.get(target, FORM)
    more = [f"Content-Type: {kind}", *fields]
    if not any(field.startswith("Content-Length") for field in fields):
        more.append("Content-Length: 1000")
    with slow_clients(cluster.ports[0], [head(None, "POST", target, *more)]) as (client,):
        client.settimeout(AT_MOST_SECONDS)
        assert client.recv(12, socket.MSG_WAITALL) == b"HTTP/1.1 %d" % status


# ---------------------------------------------------------------- slow APIs
def test_promise_11_a_slow_api_takes_no_other_with_it(
    cluster: Cluster, slow_user: BrowserClient, upstream: Upstream
) -> None:
    """Neither for the same user nor for others; what finds no place is told so at once."""
    upstream.forget()
    silent = [head(slow_user, "GET", "/api/silent")] * CLIENTS
    with slow_clients(cluster.ports[0], silent):
        upstream.wait_for(LIMIT // 4)
        serve_others(cluster)
        other = slow_user.fetch("GET", "/other/x", timeout=2)
        assert other.status_code == 200
        refused = slow_user.api("/x", timeout=2)
        assert (refused.status_code, refused.json()["code"]) == (503, "overloaded")
        assert refused.headers["Retry-After"] == "1"
        elsewhere = slow_user.api("/x", replica=1, timeout=2)
        assert elsewhere.status_code == 200
        upstream.may_speak.set()
        free = partial(slow_user.api, "/x", timeout=2)
        wait_for(lambda: free().status_code == 200, "a place")
        assert len(upstream.seen) < LIMIT


def test_promise_11_many_users_of_a_slow_api_leave_others_their_places(
    cluster: Cluster, upstream: Upstream
) -> None:
    upstream.may_speak.clear()
    users = [cluster.browser() for _ in range(6)]
    for user in users:
        user.log_in()
    silent = [head(user, "GET", "/api/silent") for user in users for _ in range(LIMIT // 4)]
    try:
        with slow_clients(cluster.ports[0], silent):
            browser = cluster.browser()
            browser.log_in()
            refused = browser.api("/x", timeout=2)
            assert (refused.status_code, refused.json()["code"]) == (503, "overloaded")
            assert browser.fetch("GET", "/other/x", timeout=2).status_code == 200
            assert requests.get(f"{cluster.url()}/healthz", timeout=2).status_code == 200
            assert requests.get(f"{cluster.url()}/readyz", timeout=2).status_code == 200
            assert browser.log_out().status_code == 200
    finally:
        upstream.may_speak.set()


@pytest.mark.parametrize("sessions", [0, 4], ids=["anybody", "one user with many sessions"])
@pytest.mark.parametrize("what", ["uploads", "silent", "unread"])
def test_promise_11_nobody_takes_all_places_of_a_route(
    cluster: Cluster, upstream: Upstream, sessions: int, what: str
) -> None:
    """Neither those who aren't signed in, where that is allowed, nor one user at many devices."""
    upstream.may_speak.clear()
    takers = [cluster.browser() for _ in range(max(1, sessions))]
    for taker in takers[:sessions]:
        taker.log_in()
    path = "/shared/large" if what == "unread" else "/shared/x"
    asked = {
        "uploads": ("POST", "/shared/x", f"Content-Length: {LARGE_BYTES}"),
        "silent": ("GET", "/shared/silent"),
        "unread": ("GET", path),
    }[what]
    senders = [taker if sessions else None for taker in takers]
    started = b"x" if what == "uploads" else b""
    slow = [head(senders[n % len(senders)], *asked) + started for n in range(CLIENTS)]
    other = BrowserClient([cluster.url()], OTHER_USER["email"], OTHER_USER["password"])

    def status(browser: BrowserClient) -> int:
        with browser.fetch("GET", path, headers={"X-CSRF": "1"}, stream=True) as response:
            return response.status_code

    with closing(other), slow_clients(cluster.ports[0], slow):
        wait_for(lambda: status(takers[0]) == 503, "the takers' share to be taken")
        other.log_in()
        assert status(other) == 200
        upstream.may_speak.set()

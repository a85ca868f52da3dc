"""Promise 9 for bodies and streams: constant memory, no delay, and no leak after a disconnect."""

from __future__ import annotations

import hashlib
import http.client
import itertools
import json
import socket
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

import psutil
import pytest

from tests.support import raw_client
from tests.support.browser_client import FETCH, BrowserClient
from tests.support.cluster import Cluster
from tests.support.raw_upstream import RawUpstream, Wire
from tests.support.scale import rounds
from tests.support.waiting import once_below, wait_for

LARGE_BYTES = rounds(full=1024**3, reduced=192 * 1024**2)
# Less than half of the body, or a BFF that buffers all of it would pass.
MEMORY_BYTES = min(100 * 1024**2, LARGE_BYTES // 2)
PIECE = bytes(range(256)) * 256
WATCH_SECONDS = 0.02
SLOW_BYTES = 20_000_000
"""So much is read slowly, so that buffers would fill."""
SLOW_SECONDS = 0.002
STALL_SECONDS = 1.0
"""How long the upstream reads nothing of an upload."""
EVENTS = 20
EVENT_MEDIAN_SECONDS = 0.2
EVENT_MAX_SECONDS = 0.5
FREED_SECONDS = 15.0
STREAMS = 20
REPLICAS = 2


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster(REPLICAS, env={"BFF_REQUEST_MAX_BYTES": "0"}) as started:
        yield started


@pytest.fixture(scope="module")
def browser(cluster: Cluster) -> BrowserClient:
    started = cluster.browser()
    started.log_in()
    for replica in range(REPLICAS):
        assert started.api("/items", replica=replica).status_code == 200
    return started


def head(browser: BrowserClient, method: str, path: str, *more: str) -> bytes:
    """The head of a request of this browser."""
    fields = [f"{name}: {value}" for name, value in FETCH.items()]
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", f"Cookie: session={browser.cookie}"]
    return ("\r\n".join([*lines, *fields, *more]) + "\r\n\r\n").encode()


# ---------------------------------------------------------------- memory


def resident_bytes(cluster: Cluster) -> int:
    """The memory of all BFF processes."""
    total = 0
    for replica in cluster.replicas:
        process = psutil.Process(replica.pid)
        for one in [process, *process.children(recursive=True)]:
            total += one.memory_info().rss
    return total


@contextmanager
def watched(cluster: Cluster) -> Iterator[list[int]]:
    """Samples of the memory above that at the beginning, many times a second."""
    idle, above, done = resident_bytes(cluster), [0], threading.Event()

    def watch() -> None:
        while not done.wait(WATCH_SECONDS):
            above.append(resident_bytes(cluster) - idle)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield above
    finally:
        done.set()
        thread.join()


def test_promise_9_a_large_download_takes_no_memory(
    cluster: Cluster, browser: BrowserClient
) -> None:
    got, digest = 0, hashlib.sha256()
    with watched(cluster) as above, raw_client.connect(cluster.ports[0]) as sock:
        sock.sendall(head(browser, "GET", f"/api/files/{LARGE_BYTES}"))
        response = http.client.HTTPResponse(sock)
        response.begin()
        assert response.status == 200
        while data := response.read(len(PIECE)):
            got += len(data)
            digest.update(data)
            if got < SLOW_BYTES:
                time.sleep(SLOW_SECONDS)
        response.close()
    assert got == LARGE_BYTES
    assert digest.digest() == pattern_digest()
    assert max(above) < MEMORY_BYTES
    assert len(above) > 3, "nothing was measured"


def test_promise_9_a_large_upload_takes_no_memory(cluster: Cluster, browser: BrowserClient) -> None:
    cluster.api.pause()
    threading.Timer(STALL_SECONDS, cluster.api.resume).start()
    with watched(cluster) as above, raw_client.connect(cluster.ports[1]) as sock:
        sock.settimeout(60)
        sock.sendall(head(browser, "POST", "/api/files", f"Content-Length: {LARGE_BYTES}"))
        for _ in range(LARGE_BYTES // len(PIECE)):
            sock.sendall(PIECE)
        response = http.client.HTTPResponse(sock)
        response.begin()
        received = json.loads(response.read())
        response.close()
    assert received == {"bytes": LARGE_BYTES, "sha256": pattern_digest().hex()}
    assert max(above) < MEMORY_BYTES
    assert len(above) > 3, "nothing was measured"


def pattern_digest() -> bytes:
    """The hash of LARGE_BYTES of the demo API's pattern."""
    digest = hashlib.sha256()
    for _ in range(LARGE_BYTES // len(PIECE)):
        digest.update(PIECE)
    return digest.digest()


# ---------------------------------------------------------------- streams


@contextmanager
def stream(
    cluster: Cluster, browser: BrowserClient, replica: int, query: str
) -> Iterator[socket.socket]:
    """An open event stream, after the response headers."""
    with raw_client.connect(cluster.ports[replica]) as sock:
        sock.sendall(head(browser, "GET", f"/api/events?{query}"))
        assert b" 200 " in raw_client.read_until(sock, b"\r\n\r\n")
        yield sock


def test_promise_9_an_event_arrives_as_it_is_sent(cluster: Cluster) -> None:
    """At both replicas; with the test's own upstream, so that one clock measures."""
    go_on, sent_at = threading.Semaphore(0), [0.0]

    def script(upstream: RawUpstream, connection: Wire) -> None:
        connection.read_request()
        connection.send(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n"
        )
        for number in itertools.count():
            go_on.acquire()
            if number == EVENTS:
                return
            sent_at[0] = time.monotonic()
            connection.send(b"b\r\ndata: %03d\n\n\r\n" % number)

    with (
        RawUpstream(script) as upstream,
        Cluster(REPLICAS, api_url=upstream.url) as cluster,
        ExitStack() as stack,
    ):
        stack.callback(go_on.release)
        browser = cluster.browser()
        browser.log_in()

        def slowest(replica: int) -> float:
            took = []
            with stream(cluster, browser, replica, "") as sock:
                for number in range(EVENTS):
                    go_on.release()
                    raw_client.read_until(sock, b"data: %03d\n\n" % number)
                    took.append(time.monotonic() - sent_at[0])
                go_on.release()
            assert statistics.median(took) < EVENT_MEDIAN_SECONDS, took
            return max(took)

        for replica in range(REPLICAS):
            once_below(EVENT_MAX_SECONDS, partial(slowest, replica), "seconds to the slowest event")


def open_streams(browser: BrowserClient) -> int:
    return int(browser.api("/events/open").json()["open_streams"])


@pytest.mark.parametrize("replica", range(REPLICAS))
@pytest.mark.parametrize("query", ["silent=1", "interval_ms=50"], ids=["silent", "busy"])
def test_promise_9_a_client_that_hangs_up_frees_the_upstream(
    cluster: Cluster, browser: BrowserClient, replica: int, query: str
) -> None:
    wait_for(lambda: open_streams(browser) == 0, "an upstream without streams")
    with stream(cluster, browser, replica, query):
        time.sleep(1.5)  # Longer than any timer of the BFF.
        assert open_streams(browser) == 1
    wait_for(lambda: open_streams(browser) == 0, "the end of the stream", FREED_SECONDS)


def test_promise_9_ordinary_requests_go_on_beside_many_streams(
    cluster: Cluster, browser: BrowserClient
) -> None:
    wait_for(lambda: open_streams(browser) == 0, "an upstream without streams")
    before = seconds_of_requests(browser)
    with ExitStack() as stack:
        for number in range(STREAMS):
            query = ("silent=1", "interval_ms=1000")[number % 2]
            stack.enter_context(stream(cluster, browser, 0, query))
        assert open_streams(browser) == STREAMS
        # One fast round is sufficient: other programs on the machine may slow it down.
        wait_for(
            lambda: seconds_of_requests(browser) < max(3 * before, 0.1),
            f"requests beside streams as quick as alone, where they took {before:.3f} s",
        )
    wait_for(lambda: open_streams(browser) == 0, "the end of all streams", FREED_SECONDS)


def seconds_of_requests(browser: BrowserClient) -> float:
    """The median duration of a few ordinary requests, which all succeed."""
    took = []
    for _ in range(10):
        began = time.monotonic()
        assert browser.api("/items").status_code == 200
        assert browser.profile().status_code == 200
        took.append(time.monotonic() - began)
    return statistics.median(took)

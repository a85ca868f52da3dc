"""Promise 2 for responses that are still being sent: a logout ends them, at every replica."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from threading import Thread

import pytest
import requests
from urllib3.exceptions import HTTPError

from tests.support.browser_client import BrowserClient
from tests.support.cluster import Cluster
from tests.support.waiting import once_below, wait_for

pytestmark = pytest.mark.session_cache

REPLICAS = 2
ENDS_WITHIN_SECONDS = 2.0


@pytest.fixture(scope="module")
def cluster(session_cache: str) -> Iterator[Cluster]:
    with Cluster(REPLICAS) as started:
        yield started


class OpenResponse:
    """Reads a response in a thread, and records when it ended."""

    def __init__(self, browser: BrowserClient, path: str, replica: int) -> None:
        self._response = browser.fetch("GET", path, replica=replica, stream=True)
        assert self._response.status_code == 200
        self.received_bytes = 0
        self.ended_at: float | None = None
        self._thread = Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        with suppress(requests.RequestException, HTTPError):  # Broken off, as expected.
            while piece := self._response.raw.read1(65_536):
                self.received_bytes += len(piece)
                if self.received_bytes > 200_000:
                    # About 30 MB/s: the download must outlast the buffers.
                    time.sleep(0.002)
        self.ended_at = time.monotonic()

    def goes_on(self) -> bool:
        """Whether it outlasts several checks of its session, and more data comes."""
        before, began = self.received_bytes, time.monotonic()
        wait_for(
            lambda: (
                self.ended_at is not None
                or (time.monotonic() - began > 1.5 and self.received_bytes > before)
            ),
            "more of the response",
        )
        return self.ended_at is None


@pytest.mark.parametrize(
    "path",
    ["/api/events", "/api/events?silent=1", "/api/files/900000000"],
    ids=["stream", "silent stream", "download"],
)
def test_promise_2_an_open_response_ends_with_its_session(cluster: Cluster, path: str) -> None:
    other = cluster.browser()
    other.log_in()
    untouched = OpenResponse(other, "/api/events?interval_ms=100", 1)
    once_below(
        ENDS_WITHIN_SECONDS,
        lambda: seconds_until_the_end(cluster, path, untouched),
        "seconds until the last response has ended",
    )
    assert untouched.goes_on(), "another session's stream"
    other.log_out()
    wait_for(lambda: untouched.ended_at is not None, "the end of the last stream")
    logged = [replica.output for replica in cluster.replicas]
    assert not [line for line in logged if "Traceback" in line or "ERROR" in line], "it is no error"


def seconds_until_the_end(cluster: Cluster, path: str, untouched: OpenResponse) -> float:
    """Seconds from the beginning of a logout to the end of the session's last open response."""
    browser = cluster.browser()
    browser.log_in()
    responses = [OpenResponse(browser, path, replica) for replica in range(REPLICAS)]
    assert untouched.goes_on()
    assert [response.ended_at for response in responses] == [None] * REPLICAS
    began = time.monotonic()
    assert browser.log_out(replica=0).status_code == 200
    wait_for(lambda: all(a.ended_at for a in responses), "the end of the open responses")
    assert all(response.received_bytes < 900_000_000 for response in responses)
    return max(response.ended_at or 0 for response in responses) - began


def test_promise_5_an_outage_of_redis_breaks_no_stream(cluster: Cluster) -> None:
    browser = cluster.browser()
    browser.log_in()
    response = OpenResponse(browser, "/api/events?interval_ms=100", 1)
    cluster.redis.stop()
    try:
        assert response.goes_on()
    finally:
        cluster.redis.start_again()
    browser.log_out()
    wait_for(lambda: response.ended_at is not None, "the end of the stream")


def test_open_streams_leave_room_for_everything_else() -> None:
    """Beyond the limit 503; other requests and health checks work as before."""
    with Cluster(env={"BFF_OPEN_ANSWERS_MAX": "5"}) as cluster:
        browser = cluster.browser()
        browser.log_in()
        responses = [OpenResponse(browser, "/api/events?silent=1", 0) for _ in range(5)]
        refused = browser.api("/events?silent=1")
        assert (refused.status_code, refused.json()["code"]) == (503, "overloaded")
        assert int(refused.headers["Retry-After"]) > 0
        assert browser.api("/items").status_code == 200
        assert requests.get(f"{cluster.url()}/healthz", timeout=20).status_code == 200
        browser.log_out()
        wait_for(lambda: all(a.ended_at for a in responses), "the end of all streams")
        browser.log_in()
        wait_for(lambda: browser.api("/events/open").json()["open_streams"] == 0, "freed streams")
        left = [browser.api("/events?interval_ms=10", stream=True) for _ in range(5)]
        assert [response.status_code for response in left] == [200] * 5
        for response in left:
            response.close()  # As when a page is closed; the session stays.
        wait_for(lambda: browser.api("/events/open").json()["open_streams"] == 0, "freed streams")
        assert OpenResponse(browser, "/api/events", 0)
        browser.log_out()

"""deploy/nginx carries what is long: WebSockets, event streams, uploads; and what ends them."""

from __future__ import annotations

import json

import pytest

from tests.deploy.installation import MEGABYTE, sha256
from tests.deploy.nginx import BehindNginx
from tests.deploy.wire import cookie, handshake, many, opened, page, talk
from tests.support.scale import rounds
from tests.support.waiting import once_below, wait_for

REFUSALS = 20
UPLOAD_BYTES = rounds(1024, 32) * MEGABYTE
STREAMS = rounds(2_000, 200)
SESSIONS = rounds(20, 5)
LIVE = "/api/live/room"


# ---------------------------------------------------------------- WebSockets
@pytest.mark.parametrize(
    "origin", [None, "null", "https://evil.example", "https://localhost", "http://localhost"]
)
def test_promise_8_a_page_of_another_origin_opens_no_websocket(
    here: BehindNginx, origin: str | None
) -> None:
    browser, seen = here.user(), len(here.api.seen)

    async def echoed() -> int:
        fields = [*page(browser), "X-CSRF: 1", *handshake(origin)]
        return (await opened(here.port, here.tls(), LIVE, fields)).status

    # Refused by /auth/verify (403); the BFF, which gets it then, carries no WebSocket (501).
    assert talk(echoed()) == 501
    assert len(here.api.seen) == seen


def test_no_websocket_without_a_session_nor_on_another_route(here: BehindNginx) -> None:
    browser = here.browser()
    fields = cookie(browser) + handshake(here.url)

    async def statuses() -> list[int]:
        asked = [
            await opened(here.port, here.tls(), LIVE, handshake(here.url)),
            await opened(here.port, here.tls(), "/api/items", fields),
            await opened(here.port, here.tls(), "/api/events", fields),
            await opened(here.cluster.ports[0], None, LIVE, fields),
        ]
        return [one.status for one in asked]

    seen = len(here.api.seen)
    assert talk(statuses()) == [501, 501, 501, 501]
    browser.log_out()

    async def afterwards() -> int:
        return (await opened(here.port, here.tls(), LIVE, fields)).status

    assert talk(afterwards()) == 501
    assert len(here.api.seen) == seen


# ---------------------------------------------------------------- event streams
@pytest.mark.parametrize("path", ["/api/stream", "/api/events"], ids=["by nginx", "by the BFF"])
def test_events_arrive_as_they_are_sent(here: BehindNginx, path: str) -> None:
    browser = here.user()

    async def listen() -> list[str]:
        stream = await opened(here.port, here.tls(), path, page(browser))
        assert stream.status == 200
        heard = []
        for text in ("one", "two", "three"):
            wait_for(lambda: here.api.open_streams == 1, "one stream")
            here.api.send_event(text)
            # Nothing else follows, so nothing pushes it through a buffer.
            heard.append(await stream.next_event())
        return heard

    assert talk(listen()) == ["one", "two", "three"]
    wait_for(lambda: here.api.open_streams == 0, "the API to learn that the client left")


def test_a_reload_ends_what_nginx_carries() -> None:
    """The only bound that nginx 1.22 has for a stream that isn't silent."""
    short = {"worker_shutdown_timeout 60s;": "worker_shutdown_timeout 1s;"}
    with BehindNginx(changed=short) as here:
        browser = here.user()

        async def listen() -> str:
            stream = await opened(here.port, here.tls(), "/api/stream", page(browser))
            fields = cookie(browser) + handshake(here.url)
            socket = await opened(here.port, here.tls(), LIVE, fields)
            assert (stream.status, socket.status) == (200, 101)
            here.reload()
            return await stream.next_event() + await socket.next_event()

        assert talk(listen()) == ""
        assert browser.api("/items").status_code == 200, "new requests are served all along"


def test_many_event_streams_are_open_at_once(here: BehindNginx) -> None:
    browsers = [here.user() for _ in range(SESSIONS)]

    async def listen() -> list[str]:
        streams = await many(
            STREAMS, here.port, here.tls(), "/api/stream", list(map(page, browsers))
        )
        assert {stream.status for stream in streams} == {200}
        wait_for(lambda: here.api.open_streams == STREAMS, "all streams")
        assert browsers[0].api("/items").status_code == 200
        assert here.api.send_event("to all") == STREAMS
        return [await stream.next_event() for stream in streams]

    assert talk(listen()) == ["to all"] * STREAMS
    wait_for(lambda: here.api.open_streams == 0, "the API to learn that all have left")


# ---------------------------------------------------------------- uploads
def test_a_large_upload_arrives_whole_and_is_written_nowhere(here: BehindNginx) -> None:
    status, told = here.upload(here.user(), UPLOAD_BYTES)
    assert status == 200
    assert (told["length"], told["sha256"]) == (UPLOAD_BYTES, sha256(UPLOAD_BYTES))
    assert not [file for file in here.folder.glob("*/**/*") if file.is_file()]


def test_a_refused_upload_never_reaches_the_api(here: BehindNginx) -> None:
    seen, nobody = len(here.api.seen), here.browser(signed_in=False)
    # Whether the refusal or a broken connection comes first is a race, so once isn't enough.
    for _ in range(REFUSALS):
        status, problem = here.upload(nobody, MEGABYTE)
        assert (status, problem["code"]) == (401, "session_missing")
    assert len(here.api.seen) == seen


def test_what_is_too_large_is_413(here: BehindNginx) -> None:
    browser, seen = here.user(), len(here.api.seen)
    answer = here.ask(
        "/api/items",
        method="PUT",
        data=b"",
        headers={
            "Cookie": f"__Host-Http-session={browser.cookie}",
            "Sec-Fetch-Site": "same-origin",
            "Content-Length": str(3 * 1024 * MEGABYTE),
        },
    )
    assert answer.status_code == 413
    assert len(here.api.seen) == seen


# ---------------------------------------------------------------- without nginx
LIMIT = 48
"""The default of BFF_OPEN_ANSWERS_MAX."""
ASKED = rounds(400, 100)


def test_beyond_its_limit_the_bff_says_so_and_serves_everything_else(here: BehindNginx) -> None:
    browser, port = here.user(), here.cluster.ports[0]

    async def listen() -> float:
        before = here.median_seconds(browser, ASKED)
        streams = await many(LIMIT, port, None, "/api/events", [page(browser)])
        assert {stream.status for stream in streams} == {200}
        wait_for(lambda: here.api.open_streams == LIMIT, "all streams")
        for _ in range(3):
            refused = await opened(port, None, "/api/events", [*page(browser), "Connection: close"])
            problem = json.loads(await refused.body())
            assert (refused.status, problem["code"]) == (503, "overloaded")
            assert "retry-after: 1" in refused.head.lower()
        at_the_limit = here.median_seconds(browser, ASKED)
        here.api.send_event("to all")
        assert [await stream.next_event() for stream in streams] == ["to all"] * LIMIT
        print(f"{before * 1e3:.2f} ms alone, {at_the_limit * 1e3:.2f} beside {LIMIT} streams")
        return at_the_limit / before

    def measure() -> float:
        ratio = talk(listen())
        wait_for(lambda: here.api.open_streams == 0, "the API to learn that all have left")
        return ratio

    once_below(2, measure, "times as slow beside the streams", tries=4)

"""A rolling restart of two replicas behind a proxy, under traffic at a rate: no request fails.

No proxy here asks `/readyz`: that a replica is gone, each learns from a refused connection.
"""

from __future__ import annotations

import http.client
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.deploy.caddy import BehindCaddy
from tests.deploy.installation import Installation
from tests.deploy.nginx import BehindNginx
from tests.deploy.wire import Stream, opened, page, talk
from tests.support.cluster import TIMEOUT_SECONDS
from tests.support.open_loop import OpenLoop
from tests.support.scale import is_full, rounds

RESTARTS = rounds(full=5, reduced=1)
"""Of each replica."""
PER_SECOND = rounds(full=200, reduced=25)
DRAIN_SECONDS = 6
"""Longer than a proxy keeps idle connections to the BFF, and than it passes over a dead replica."""
GRACE_SECONDS = 2
"""So long, the stream keeps the old replica from its end."""
BODY = b"x" * 2000


class Traffic:
    """What users do with the application that *here* is."""

    def __init__(self, here: Installation) -> None:
        self._here = here
        self._tls = here.tls()
        self._fields = dict(line.split(": ") for line in page(here.user())) | {"X-CSRF": "1"}
        self._kept = threading.local()
        self._connections: list[http.client.HTTPSConnection] = []
        read, write = self.read, self.write
        most: list[Callable[[int], None]] = [
            read, write, self.profile, read, self.write_by_the_bff, read, self.file,
            read, write, self.write_by_the_bff_anew, read, self.read_anew, self.file_anew,
            read, self.write_by_the_bff, self.profile, write, read, self.event,
        ]  # fmt: skip
        # A proxy lets one address begin only so many sign-ins a second.
        self.kinds = [*most, read, *most, self.sign_in]
        self.written: list[str] = []

    def close(self) -> None:
        """Close all connections."""
        for connection in self._connections:
            connection.close()

    # ------------------------------------------------------------ each raises if it fails
    def read(self, _: int) -> None:
        self._ask("GET", "/api/items")

    def read_anew(self, _: int) -> None:
        self._ask("GET", "/api/items", anew=True)

    def write(self, number: int) -> None:
        self._post(f"/api/items?number={number}")

    def write_by_the_bff(self, number: int) -> None:
        self._post(f"/api/events?number={number}")

    def write_by_the_bff_anew(self, number: int) -> None:
        self._post(f"/api/events?number={number}", anew=True)

    def profile(self, _: int) -> None:
        self._ask("GET", "/auth/profile")

    def file(self, _: int) -> None:
        self._ask("GET", "/index.html")

    def file_anew(self, _: int) -> None:
        self._ask("GET", "/index.html", anew=True)

    def event(self, _: int) -> None:
        self._here.api.send_event("for open streams")

    def sign_in(self, _: int) -> None:
        with closing(self._here.new_browser()) as browser:
            browser.log_in()

    def _post(self, target: str, *, anew: bool = False) -> None:
        self.written.append(target.removeprefix("/api"))
        self._ask("POST", target, BODY, anew=anew)

    def _ask(self, method: str, target: str, body: bytes = b"", *, anew: bool = False) -> None:
        """On the connection of this thread, or on one of its own."""
        if anew:
            with closing(self._connection()) as connection:
                self._exchange(connection, method, target, body)
            return
        if not hasattr(self._kept, "connection"):
            self._kept.connection = self._connection()
            self._connections.append(self._kept.connection)
        self._exchange(self._kept.connection, method, target, body)

    def _connection(self) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection(
            "localhost", self._here.port, timeout=TIMEOUT_SECONDS, context=self._tls
        )

    def _exchange(
        self, connection: http.client.HTTPSConnection, method: str, target: str, body: bytes
    ) -> None:
        try:
            connection.request(method, target, body or None, self._fields)
            response = connection.getresponse()
            content = response.read()
        except BaseException:
            connection.close()
            raise
        assert response.status == 200, (response.status, content[:200])


class KeptStream:
    """An event stream that is opened again when it has ended, as a browser does."""

    def __init__(self, here: Installation) -> None:
        self._here = here
        self._thread = threading.Thread(target=lambda: talk(self._read()))
        self._stop = threading.Event()
        self.statuses: list[int] = []

    async def _read(self) -> None:
        while not self._stop.is_set():
            stream: Stream = await opened(
                self._here.port, self._here.tls(), "/api/events", page(self._here.user())
            )
            self.statuses.append(stream.status)
            while await stream.next_event() not in ("", "stop"):
                pass
            await stream.close()

    def __enter__(self) -> KeptStream:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        while self._thread.is_alive():
            self._here.api.send_event("stop")
            self._thread.join(0.1)


def restart(here: Installation, position: int) -> None:
    """Replace a replica by a new one on the same port."""
    old, port = here.cluster.replicas[position], here.cluster.ports[position]
    old.process.send_signal(signal.SIGTERM)
    assert old.process.wait(DRAIN_SECONDS + GRACE_SECONDS + TIMEOUT_SECONDS) == 0
    here.cluster.replicas[position] = here.cluster.start_replica(port)


@pytest.mark.parametrize("proxy", [BehindNginx, BehindCaddy] if is_full() else [BehindNginx])
def test_no_request_fails_while_one_replica_after_the_other_is_replaced(
    proxy: type[Installation], tmp_path: Path
) -> None:
    (tmp_path / "index.html").write_text("<!doctype html><title>App</title>")
    here = proxy(replicas=2, env={"BFF_SPA_DIR": str(tmp_path)})
    here.cluster.serve_options = [
        "--drain-seconds", str(DRAIN_SECONDS), "--grace-seconds", str(GRACE_SECONDS),
    ]  # fmt: skip
    with here, closing(Traffic(here)) as traffic:
        here.api.seen.clear()
        began_at = time.monotonic()
        with KeptStream(here) as stream, OpenLoop(PER_SECOND, traffic.kinds) as loop:
            for _ in range(RESTARTS):
                for position in range(2):
                    restart(here, position)
        seconds = time.monotonic() - began_at
        arrived = Counter(seen.target for seen in here.api.seen if seen.method == "POST")
    assert loop.failed == []
    # It was the rate, all kinds were there, and no write came twice.
    assert loop.sent.total() > 0.9 * PER_SECOND * seconds, loop.latest_seconds
    assert len(loop.sent) == len({kind.__name__ for kind in traffic.kinds})
    assert arrived == Counter(traffic.written)
    # The stream was broken off with its replica, and was there again at once.
    assert set(stream.statuses) == {200}
    print(f"{loop.sent.total()} requests, the slowest {loop.slowest_seconds:.2f} s")

"""A rolling restart of two replicas behind nginx, under traffic: no request fails."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable

import requests

from tests.deploy.nginx import BehindNginx
from tests.support.scale import rounds

RESTARTS = rounds(full=6, reduced=2)
"""Of each replica."""
STOP_SECONDS = 20
UNUSED_SECONDS = 2.2
"""For so long nginx passes over a replica that it couldn't reach (`fail_timeout`)."""
CSRF = {"X-CSRF": "1"}


def test_no_request_fails_while_one_replica_after_the_other_is_replaced() -> None:
    here = BehindNginx(replicas=2)
    here.cluster.serve_options = ["--drain-seconds", "1"]
    with here:
        stop, failed, counted = threading.Event(), [], [0, 0, 0]

        def ask_again(kind: int, ask: Callable[[], requests.Response]) -> None:
            while not stop.is_set():
                try:
                    response = ask()
                    if response.status_code not in (200, 204):
                        failed.append(f"{response.status_code} {response.text[:200]}")
                except requests.RequestException as error:
                    failed.append(repr(error))
                counted[kind] += 1

        user = here.user()
        sends: list[Callable[[], requests.Response]] = [
            user.profile,
            lambda: user.api("/items"),
            # The BFF forwards it, and nothing may send it twice.
            lambda: user.fetch("POST", "/api/events", data=b"x", headers=CSRF),
        ]
        threads = [threading.Thread(target=ask_again, args=one) for one in enumerate(sends)]
        for thread in threads:
            thread.start()
        for _ in range(RESTARTS):
            for position, port in enumerate(here.cluster.ports):
                old = here.cluster.replicas[position]
                old.process.send_signal(signal.SIGTERM)
                assert old.process.wait(STOP_SECONDS) == 0
                here.cluster.replicas[position] = here.cluster.start_replica(port)
                # Nothing shows when nginx uses it again; Kubernetes has `minReadySeconds` for that.
                time.sleep(UNUSED_SECONDS)
        stop.set()
        for thread in threads:
            thread.join()
    assert failed == []
    assert min(counted) > 50

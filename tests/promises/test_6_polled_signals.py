"""Promise 6 with polled events: several processes, and one that dies before it acknowledges."""

from __future__ import annotations

import json

import pytest

from tests.support.cluster import Cluster
from tests.support.processes import Process
from tests.support.transmitter import US, Asked, Transmitter
from tests.support.waiting import wait_for

pytestmark = pytest.mark.session_cache

ENVIRONMENT = {
    "BFF_SSF_POLL_SECONDS": "1", "BFF_SSF_AUDIENCE": US, "BFF_PROVIDER_TIMEOUT_SECONDS": "2",
}  # fmt: skip


def results(replicas: list[Process]) -> list[str]:
    """What the audit logs of all replicas have of received events."""
    lines = [line for one in replicas for line in one.output.splitlines() if '"event"' in line]
    found = [json.loads(line[line.index("{") :]) for line in lines]
    return [one["reason"] for one in found if one["event"] == "event_received"]


def test_promise_6_an_event_takes_effect_once_although_three_processes_poll(
    transmitter: Transmitter,
) -> None:
    with Cluster(3, env=ENVIRONMENT | transmitter.settings) as cluster:
        browsers = [cluster.browser() for _ in range(3)]
        for number, browser in enumerate(browsers):
            browser.log_in(replica=number)
        sent = [transmitter.add() for _ in range(60)]
        wait_for(lambda: not transmitter.events, "all events are acknowledged")
        assert transmitter.acknowledged == sent
        assert [b.profile(replica=r).status_code for r in range(3) for b in browsers] == [401] * 9
        wait_for(lambda: len(results(cluster.replicas)) == len(sent), "all are in the audit log")
        ended = [one for one in results(cluster.replicas) if not one.endswith(": 0 ended")]
        assert ended == ["shared_signal: session-revoked: 3 ended"]


def test_promise_6_an_event_is_not_lost_by_a_kill_before_its_acknowledgement(
    transmitter: Transmitter,
) -> None:
    with Cluster(2, env=ENVIRONMENT | transmitter.settings) as cluster:
        browser = cluster.browser()
        browser.log_in(replica=0)
        cluster.replicas[1].kill()

        def kill(asked: Asked) -> None:
            if asked.path == "/poll" and "ack" in asked.body:
                transmitter.before_reply = lambda asked: None
                cluster.replicas[0].kill()
                raise ConnectionAbortedError  # It never learns of the acknowledgement.

        transmitter.before_reply = kill
        jti = transmitter.add()
        wait_for(lambda: not cluster.replicas[0].running, "the process that polls is killed")
        assert list(transmitter.events) == [jti]
        cluster.replicas[1] = cluster.start_replica(cluster.ports[1])
        wait_for(lambda: not transmitter.events, "another process goes on")
        assert transmitter.acknowledged == [jti]
        assert browser.profile(replica=1).status_code == 401
        wait_for(lambda: results(cluster.replicas[1:]) != [], "it is in the audit log")
        assert results(cluster.replicas[1:]) == ["shared_signal: delivered before"]


def test_promise_6_without_redis_an_event_waits_at_the_transmitter(
    transmitter: Transmitter,
) -> None:
    with Cluster(2, env=ENVIRONMENT | transmitter.settings) as cluster:
        browser = cluster.browser()
        browser.log_in(replica=0)
        cluster.redis.stop()
        jti = transmitter.add()
        wait_for(
            lambda: all(browser.profile(replica=r).status_code == 503 for r in range(2)),
            "both have noticed",
        )
        assert transmitter.acknowledged == []
        cluster.redis.start_again()
        wait_for(lambda: not transmitter.events, "they go on", 60)
        assert transmitter.acknowledged == [jti]
        wait_for(lambda: browser.profile(replica=1).status_code == 401, "the session has ended")

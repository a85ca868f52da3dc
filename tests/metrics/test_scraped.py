"""Does Prometheus get, over HTTP from two workers, what happened at them?"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from bff.cli.metrics.definitions import ALL
from tests.support import raw_client
from tests.support.ageing import age_access_token
from tests.support.scale import LEASE
from tests.support.scraped import Scraped, stopped
from tests.support.storm import Shot, fire
from tests.support.waiting import wait_for

PAGE = Path(__file__).resolve().parents[2] / "docs/metrics.md"
REQUESTS = "bff_http_requests_total"
OK_REQUESTS = (REQUESTS, "/api", "GET", "2xx")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Scraped]:
    with Scraped(1, env={"BFF_UPSTREAM_REQUESTS_MAX": "16", LEASE: "250"}) as started:
        yield started


def call(cluster: Scraped, cookie: str, times: int, path: str = "/api/items") -> list[int]:
    shots = [Shot(cluster.ports[0], path, cookie) for _ in range(times)]
    return [response.status for response in fire(shots)]


def signed_in(cluster: Scraped) -> str:
    browser = cluster.browser()
    browser.log_in()
    return browser.cookie or ""


def test_a_storm_is_counted_once_by_route_and_its_refresh_once(cluster: Scraped) -> None:
    browser = cluster.browser()
    browser.log_in()
    age_access_token(cluster, browser.cookie, 0)
    assert call(cluster, browser.cookie or "", 40) == [200] * 40
    wait_for(lambda: cluster.value(*OK_REQUESTS) == 40, "all requests")
    expected = {
        ("bff_token_refreshes_total", "ok"): 1,
        ("bff_workers",): 2,
        ("bff_workers_expected",): 2,
        ("bff_workers_ready",): 2,
        ("bff_work_slots",): 128,
        ("bff_http_request_duration_seconds_count", "/api"): 40,
        ("bff_upstream_response_duration_seconds_count", "/api", "2xx"): 40,
        ("bff_sign_ins_total", "ok"): 1,
    }
    assert {one: cluster.value(*one) for one in expected} == expected
    for name in (
        "bff_refresh_wait_seconds_count",
        "bff_redis_command_duration_seconds_count",
        "bff_provider_request_duration_seconds_count",
        "bff_session_lookups_total",
    ):
        assert cluster.value(name), name
    text = cluster.scrape()
    assert not [one for one in (browser.cookie, "items", "demo@example") if one and one in text]


def test_a_logout_that_the_provider_does_not_confirm_waits_and_is_confirmed(
    cluster: Scraped,
) -> None:
    browser = cluster.browser()
    browser.log_in()
    cluster.control("POST", "faults", endpoint="revoke", times=1000, do="drop_before")
    browser.log_out()
    wait_for(lambda: cluster.value("bff_revocations_waiting") == 1, "it waits")
    assert cluster.value("bff_revocations_oldest_age_seconds") > 0
    wait_for(lambda: cluster.value("bff_revocations_total", "queued") >= 1, "it is queued")
    assert cluster.value("bff_sessions_ended_total", "logout") == 1
    cluster.control("DELETE", "faults")
    wait_for(
        lambda: cluster.value("bff_revocations_waiting") == 0, "it is done", timeout_seconds=60
    )
    wait_for(lambda: cluster.value("bff_revocations_total", "confirmed") == 1, "it is counted")


def test_an_overload_is_told(cluster: Scraped) -> None:
    statuses = call(cluster, signed_in(cluster), 40, "/api/slow?seconds=2")
    refused = statuses.count(503)
    assert refused
    told = ("bff_error_responses_total", "overloaded")
    wait_for(lambda: cluster.value(*told) >= refused, "the refusals")


def test_no_caller_makes_a_series(cluster: Scraped) -> None:
    port = cluster.ports[0]

    def knock(number: int) -> None:
        word = f"x{number}"
        for line in (
            f"{word.upper()} /api/items", f"GET /{word}", f"GET /api/{word}/%2e%2e/{word}",
            f"POST /auth/{word}?{word}", f"{word.upper()} /auth/profile",
            f"GET //{word}/..;/{word}", f"GET /auth/callback?state={word}&error={word}",
            f"GET http://{word}.test/{word}",
        ):  # fmt: skip
            host = f"Host: {word}.test\r\nX-Forwarded-Host: {word}\r\nUser-Agent: {word}"
            raw_client.send(
                port, f"{line} HTTP/1.1\r\n{host}\r\nConnection: close\r\n\r\n".encode()
            )

    def series() -> set[str]:
        lines = cluster.scrape().splitlines()
        return {line.rpartition(" ")[0] for line in lines if not line.startswith("#")}

    before = cluster.value(REQUESTS)
    for number in (10, 11, 12):
        knock(number)
    wait_for(lambda: cluster.value(REQUESTS) >= before + 24, "those requests")
    first = series()
    assert not [one for one in first if any(f"x1{n}" in one.lower() for n in range(3))]
    for number in (13, 14, 15):
        knock(number)
    wait_for(lambda: cluster.value(REQUESTS) >= before + 48, "these, too")
    assert series() - first == set()


def test_the_counts_of_a_killed_worker_stay_and_it_is_replaced(cluster: Scraped) -> None:
    # Of no other test's: some of those may not be reported yet.
    mine = (REQUESTS, "profile.profile", "4xx")
    assert cluster.value(*mine) == 0
    call(cluster, "", 10, "/auth/profile")
    wait_for(lambda: cluster.value(*mine) == 10, "the requests")
    exporter, workers = cluster.children()
    workers[0].kill()

    def new_one_reports() -> bool:
        with suppress(ConnectionError):  # Its predecessor's connections are reset.
            call(cluster, "", 1, "/auth/profile")
        return cluster.value("bff_workers") == 3 and len(cluster.children()[1]) == 2

    wait_for(new_one_reports, "another worker, and the silent one isn't forgotten yet")
    before = cluster.value(*mine)
    assert before >= 10
    call(cluster, "", 10, "/auth/profile")
    wait_for(lambda: cluster.value(*mine) >= before + 10, "theirs, and those from before")
    assert cluster.children()[0] == exporter


def test_an_exporter_that_hangs_costs_no_request_and_no_count(cluster: Scraped) -> None:
    cookie = signed_in(cluster)
    before = cluster.value(*OK_REQUESTS)
    with stopped(cluster.children()[0]):
        # Many series at once would fill what lies between the processes.
        for _ in range(3):
            assert call(cluster, cookie, 10) == [200] * 10
    wait_for(lambda: cluster.value(*OK_REQUESTS) == before + 30, "all of them")


def test_every_metric_is_there_and_none_else(cluster: Scraped) -> None:
    names = {family.name for family in text_string_to_metric_families(cluster.scrape())}
    assert {one for one in names if one.startswith("bff_")} == {metric.name for metric in ALL}


def test_the_last_one_an_exporter_that_dies_costs_no_request_and_is_replaced(
    cluster: Scraped,
) -> None:
    cookie = signed_in(cluster)
    exporter = cluster.children()[0]
    exporter.kill()
    wait_for(lambda: not exporter.is_running(), "its end")
    for _ in range(3):
        assert call(cluster, cookie, 10) == [200] * 10

    def counts_again() -> bool:
        with suppress(requests.ConnectionError):
            return cluster.value(*OK_REQUESTS) > 0
        return False

    wait_for(counts_again, "another exporter, and the workers' reports")
    assert "another one begins at 0" in cluster.replicas[0].output


def test_the_page_has_every_metric_as_the_code_has_it() -> None:
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith("| `bff_")]
    assert rows == [
        f"| `{m.name}{'_total' if m.kind == 'counter' else ''}` | {m.kind} | "
        f"{', '.join(f'`{label}`' for label in m.labels)} | {m.description} |"
        for m in ALL
    ]

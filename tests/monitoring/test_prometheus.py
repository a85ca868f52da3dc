"""After a storm, a logout with the provider down and an overload: what does Prometheus have?"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.monitoring.prometheus import ROOT, RULES, Prometheus
from tests.support.ageing import age_access_token
from tests.support.scale import LEASE
from tests.support.scraped import Scraped
from tests.support.storm import Shot, fire
from tests.support.waiting import wait_for

CALLS_AT_EACH = 40
DASHBOARD = json.loads((ROOT / "deploy/grafana/bff.json").read_text())
QUERIES = [
    (panel["title"], target["expr"])
    for panel in DASHBOARD["panels"]
    for target in panel.get("targets", ())
]


@dataclass
class Watched:
    """Two replicas, their Prometheus, and what happened at them."""

    cluster: Scraped
    prometheus: Prometheus
    refused: int = 0

    def seen(self, expression: str, value: float) -> None:
        """Wait until Prometheus has this value."""
        wait_for(
            lambda: self.prometheus.value(expression) == value,
            f"{expression} to be {value}, not {self.prometheus.value(expression)}",
            timeout_seconds=60,
        )

    def happen(self) -> None:
        """The storm, twice, so that there is a rate; the overload; the logout."""
        cluster = self.cluster
        browser = cluster.browser()
        browser.log_in()
        shots = [
            Shot(port, "/api/items", browser.cookie or "")
            for port in cluster.ports
            for _ in range(CALLS_AT_EACH)
        ]
        for times in (1, 2):
            age_access_token(cluster, browser.cookie, 0)
            assert {response.status for response in fire(shots)} == {200}
            expected = times * len(shots)
            self.seen('sum(bff_http_requests_total{route="/api",status="2xx"})', expected)
        slow = Shot(cluster.ports[0], "/api/slow?seconds=2", browser.cookie or "")
        self.refused = sum(response.status == 503 for response in fire([slow] * 40))
        cluster.control("POST", "faults", endpoint="revoke", times=1000, do="drop_before")
        browser.log_out()


@pytest.fixture(scope="module")
def watched() -> Iterator[Watched]:
    env = {"BFF_UPSTREAM_REQUESTS_MAX": "16", LEASE: "250"}
    with Scraped(2, env=env) as cluster, Prometheus(cluster.metrics_ports) as prometheus:
        found = Watched(cluster, prometheus)
        found.seen("sum(up)", 2)
        found.happen()
        yield found


def test_the_storms_made_one_refresh_each_and_the_others_waited(watched: Watched) -> None:
    watched.seen('sum(bff_token_refreshes_total{outcome="ok"})', 2)
    waited = watched.prometheus.value("sum(bff_refresh_wait_seconds_count)")
    assert 0 < waited < 4 * CALLS_AT_EACH


def test_the_overload_is_counted_as_its_callers_saw_it(watched: Watched) -> None:
    assert watched.refused
    watched.seen('sum(bff_error_responses_total{code="overloaded"})', watched.refused)
    watched.seen('sum(bff_http_requests_total{route="/api",status="5xx"})', watched.refused)


def test_the_logout_waits_for_the_provider(watched: Watched) -> None:
    watched.seen("max(bff_revocations_waiting)", 1)
    watched.seen('sum(bff_sessions_ended_total{reason="logout"})', 1)
    wait_for(lambda: watched.prometheus.value("max(bff_revocations_oldest_age_seconds)") > 2, "age")
    queued = 'sum(bff_revocations_total{outcome="queued"})'
    wait_for(lambda: watched.prometheus.value(queued) >= 1, "an attempt")


@pytest.mark.parametrize(("title", "expression"), QUERIES)
def test_a_query_of_the_dashboard_has_data(watched: Watched, title: str, expression: str) -> None:
    variables = {"$__rate_interval": "5m", "$job": "bff", "$instance": ".*"}
    for name, value in variables.items():
        expression = expression.replace(name, value)
    wait_for(lambda: bool(watched.prometheus.values(expression)), f"{title}: {expression}")


def test_the_variables_of_the_dashboard_have_values(watched: Watched) -> None:
    labels = watched.prometheus.get("query", query="bff_build_info")["result"]
    assert {one["metric"]["job"] for one in labels} == {"bff"}
    assert len({one["metric"]["instance"] for one in labels}) == 2


def test_prometheus_has_loaded_every_alert_and_none_has_an_error(watched: Watched) -> None:
    def evaluated() -> bool:
        groups = watched.prometheus.get("rules")["groups"]
        rules = [rule for group in groups for rule in group["rules"]]
        count = RULES.read_text().count("- alert:")
        return len(rules) == count and {rule["health"] for rule in rules} == {"ok"}

    wait_for(evaluated, "all rules to be evaluated", timeout_seconds=60)


def test_promtool_is_content_with_the_text(watched: Watched) -> None:
    ended = subprocess.run(
        ["promtool", "check", "metrics"], input=watched.cluster.scrape(), capture_output=True,
        text=True, timeout=60,
    )  # fmt: skip
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")

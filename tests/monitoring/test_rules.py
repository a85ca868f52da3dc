"""Does every alert fire when it should, and clear afterwards? `promtool test rules` says so."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.monitoring.prometheus import RULES

QUIET, BAD, GOOD = 30, 30, 60
"""Minutes; each case has so many of each."""
FIRES_AT, CLEARED_AT = QUIET + BAD - 1, QUIET + BAD + GOOD - 1


def level(quiet: float, bad: float) -> str:
    """The values of a gauge."""
    return f"{quiet}+0x{QUIET - 1} {bad}+0x{BAD - 1} {quiet}+0x{GOOD - 1}"


def count(per_minute: float, per_bad_minute: float) -> str:
    """The values of a counter."""
    parts, begin = [], 0.0
    for minutes, step in ((QUIET, per_minute), (BAD, per_bad_minute), (GOOD, per_minute)):
        parts.append(f"{begin}+{step}x{minutes - 1}")
        begin += step * minutes
    return " ".join(parts)


def missing() -> str:
    """The values of a series that is away for a while."""
    return f"1+0x{QUIET - 1} _x{BAD} 1+0x{GOOD - 1}"


AT_A = 'job="bff",instance="a"'
CASES: list[tuple[str, dict[str, str]]] = [
    ("BFFLogoutNotRevoked", {"bff_revocations_oldest_age_seconds": level(590, 601)}),
    ("BFFRevocationGivenUp", {'bff_revocations_total,outcome="given_up"': count(0, 1)}),
    ("BFFRevocationFailing", {'bff_revocations_total,outcome="failed"': count(0, 1)}),
    ("BFFRevocationsUnreadable", {"bff_revocations_readable": level(1, 0)}),
    ("BFFNotReady", {"bff_workers_ready": level(2, 1), "bff_workers": level(2, 2)}),
    ("BFFRedisUnsafe", {"bff_redis_problems": level(0, 1)}),
    ("BFFRedisFailing", {
        'bff_redis_command_duration_seconds_count,outcome="ok"': count(100, 90),
        'bff_redis_command_duration_seconds_count,outcome="failed"': count(1, 10),
    }),
    ("BFFProviderFailing", {
        'bff_provider_request_duration_seconds_count,outcome="2xx"': count(100, 80),
        'bff_provider_request_duration_seconds_count,outcome="5xx"': count(1, 10),
        'bff_provider_request_duration_seconds_count,outcome="failed"': count(1, 10),
    }),
    ("BFFMisconfigured", {'bff_error_responses_total,code="provider_misconfigured"': count(0, 1)}),
    ("BFFRefreshFailing", {
        'bff_token_refreshes_total,outcome="ok"': count(100, 80),
        'bff_token_refreshes_total,outcome="failed"': count(1, 20),
    }),
    ("BFFRefreshRefused", {
        'bff_token_refreshes_total,outcome="ok"': count(100, 70),
        'bff_token_refreshes_total,outcome="refused"': count(10, 30),
    }),
    ("BFFSignInsFailing", {
        'bff_sign_ins_total,outcome="ok",reason=""': count(10, 4),
        'bff_sign_ins_total,outcome="refused",reason="state_invalid"': count(4, 6),
    }),
    ("BFFServerErrors", {
        'bff_http_requests_total,status="2xx"': count(100, 90),
        'bff_http_requests_total,status="5xx"': count(1, 10),
    }),
    ("BFFOverloaded", {'bff_error_responses_total,code="overloaded"': count(1, 60)}),
    ("BFFThreadsBusy", {"bff_work_slots_used": level(50, 62), "bff_work_slots": level(64, 64)}),
    ("BFFUpstreamFailing", {
        'bff_upstream_response_duration_seconds_count,route="/api",outcome="2xx"': count(99, 80),
        'bff_upstream_response_duration_seconds_count,route="/api",outcome="failed"': count(1, 20),
    }),
    ("BFFMetricsMissing", {"up": level(1, 0)}),
    ("BFFMetricsMissing", {"up": missing()}),
    ("BFFWorkerMissing", {"bff_workers": level(2, 1), "bff_workers_expected": level(2, 2)}),
]  # fmt: skip


def alerts() -> list[str]:
    return re.findall(r"- alert: (\w+)", RULES.read_text())


def as_test(alert: str, series: dict[str, str]) -> dict[str, Any]:
    """One test of promtool; it compares the alerts that fire."""

    def firing(minute: int, expected: bool) -> dict[str, Any]:
        sample = {"labels": f'{{alertname="{alert}"}}', "value": 1}
        return {
            "expr": f'max by (alertname) (ALERTS{{alertname="{alert}",alertstate="firing"}})',
            "eval_time": f"{minute}m",
            "exp_samples": [sample] if expected else [],
        }

    return {
        "interval": "1m",
        "input_series": [
            {"series": f"{name}{{{AT_A}{',' if labels else ''}{labels}}}", "values": values}
            for name, _, labels, values in ((*one.partition(","), v) for one, v in series.items())
        ],
        "promql_expr_test": [
            firing(QUIET - 1, False), firing(FIRES_AT, True), firing(CLEARED_AT, False),
        ],
    }  # fmt: skip


def promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["promtool", *arguments], capture_output=True, text=True, timeout=300)


def test_every_alert_has_a_case() -> None:
    assert {alert for alert, _ in CASES} == set(alerts())


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case[0]))
def test_an_alert_fires_and_clears(case: tuple[str, dict[str, str]], tmp_path: Path) -> None:
    file = tmp_path / "test.yml"
    tests = {"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": [as_test(*case)]}
    file.write_text(json.dumps(tests))  # JSON is YAML.
    ended = promtool("test", "rules", str(file))
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_promtool_accepts_the_rules_and_the_example() -> None:
    for what, file in (("rules", RULES), ("config", RULES.with_name("prometheus.yml"))):
        ended = promtool("check", what, str(file))
        assert ended.returncode == 0, ended.stdout + ended.stderr

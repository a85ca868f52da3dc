"""Do alerts and dashboard ask for what there is, and is each alert explained?"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from bff.cli.metrics.definitions import ALL, Metric

ROOT = Path(__file__).resolve().parents[2]
RULES = (ROOT / "deploy/prometheus/bff.rules.yml").read_text()
DASHBOARD = json.loads((ROOT / "deploy/grafana/bff.json").read_text())
OF_PROMETHEUS = {"job", "instance"}
SUFFIXES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_count", "_sum")}
NAMES = {f"{metric.name}{end}": metric for metric in ALL for end in SUFFIXES[metric.kind]}

SELECTOR = re.compile(r"\b(bff_\w+)(\{[^}]*\})?")
MATCHER = re.compile(r'(\w+)\s*[=!]=?~?\s*"([^"]*)"')
GROUPED = re.compile(r"\bby \(([^)]*)\)")


def expressions() -> list[str]:
    of_rules = re.findall(r"expr: (?:>-\n)?(.*?)\n {8}(?:for|labels):", RULES, re.DOTALL)
    panels: list[dict[str, Any]] = DASHBOARD["panels"]
    return of_rules + [one["expr"] for panel in panels for one in panel.get("targets", ())]


def labels_of(metric: Metric, name: str) -> set[str]:
    return {*metric.labels, *OF_PROMETHEUS, *(["le"] if name.endswith("_bucket") else [])}


@pytest.mark.parametrize("expression", expressions())
def test_what_is_asked_for_is_there(expression: str) -> None:
    grouped = {label for found in GROUPED.findall(expression) for label in found.split(", ")}
    for name, matchers in SELECTOR.findall(expression):
        metric = NAMES[name]
        asked = MATCHER.findall(matchers)
        assert {label for label, _ in asked} | grouped <= labels_of(metric, name)
        for label, value in asked:
            if label in metric.labels and metric.known:
                known = {one[metric.labels.index(label)] for one in metric.known}
                assert set(value.split("|")) <= known | {""}, name


def test_all_rules_and_all_metrics_are_in_use() -> None:
    assert sum("bff_" in one or "up{" in one for one in expressions()) >= RULES.count("- alert:")
    asked = {name for one in expressions() for name, _ in SELECTOR.findall(one)}
    assert {NAMES[name].name for name in asked} == {metric.name for metric in ALL}


def test_each_alert_is_explained_once_and_refers_to_it() -> None:
    alerts = re.findall(r"- alert: (\w+)", RULES)
    rows = re.findall(r"^\| `(BFF\w+)`", (ROOT / "docs/operate.md").read_text(), re.MULTILINE)
    assert sorted(rows) == sorted(alerts)
    assert RULES.count("runbook: docs/operate.md#alerts") == len(alerts)


def test_the_dashboard_can_be_imported_with_any_source() -> None:
    variables = {one["name"]: one for one in DASHBOARD["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    panels = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
    sources = {json.dumps(panel["datasource"]) for panel in panels}
    assert sources == {json.dumps({"type": "prometheus", "uid": "${datasource}"})}
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    assert "id" not in DASHBOARD

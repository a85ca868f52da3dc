"""Is the Helm chart of this version, and does it take the settings that there are? Without a tool.

`python -m tests.test_chart_files` writes the settings' names into values.schema.json.
`make charts` looks at what it becomes (`tests/charts`).
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from bff.config import secret_files
from bff.config.loading import setting_names
from bff.core.version import __version__

ROOT = Path(__file__).resolve().parents[1]
CHART = ROOT / "deploy/kubernetes/chart"
SECRETS = {*secret_files.SECRETS, "AUTH0_CLIENT_SECRET"}
NOT_IN_VALUES = {*SECRETS, "AUTH0_CLIENT_SECRET_FILE", "AUTH0_CLIENT_PRIVATE_KEY_FILE"} | {
    "BFF_ROUTES_FILE"
}
"""The chart makes them itself, from the Secret and from `routes`."""


def test_the_chart_is_of_this_version() -> None:
    chart = (CHART / "Chart.yaml").read_text()
    assert f"\nappVersion: {__version__}\n" in chart
    assert re.search(r"^version: \d+\.\d+\.\d+$", chart, re.MULTILINE)


SCHEMA = CHART / "values.schema.json"


def names() -> list[str]:
    """The settings that values may have."""
    return [one for one in setting_names().values() if one not in NOT_IN_VALUES]


def test_the_chart_takes_every_setting_that_is_no_secret() -> None:
    schema = json.loads(SCHEMA.read_text())["properties"]
    # And those of OpenTelemetry.
    [taken, _] = schema["settings"]["propertyNames"]["anyOf"]
    assert taken["enum"] == names(), "run python -m tests.test_chart_files"
    files = schema["secret"]["properties"]["files"]["propertyNames"]["enum"]
    assert sorted(files) == sorted({*SECRETS, "AUTH0_CLIENT_PRIVATE_KEY"})


def test_no_service_links_and_the_right_probes_in_both() -> None:
    for path in (
        CHART / "templates/deployment.yaml",
        ROOT / "deploy/kubernetes/base/deployment.yaml",
    ):
        text = path.read_text()
        assert "enableServiceLinks: false" in text
        probes = re.findall(r"(\w+)Probe:\s+httpGet: \{path: (/\w+), port: http\}", text)
        assert probes == [
            ("startup", "/healthz"),
            ("liveness", "/healthz"),
            ("readiness", "/readyz"),
        ]


if __name__ == "__main__":
    whole = json.loads(SCHEMA.read_text())
    whole["properties"]["settings"]["propertyNames"]["anyOf"][0]["enum"] = names()
    SCHEMA.write_text(json.dumps(whole, indent=1) + "\n")

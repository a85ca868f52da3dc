"""How does a test ask a real Prometheus that scrapes its BFFs?"""

from __future__ import annotations

import json
import math
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import requests

from tests.support.processes import Process, free_port

ROOT = Path(__file__).resolve().parents[2]
RULES = ROOT / "deploy/prometheus/bff.rules.yml"


class Prometheus:
    """A Prometheus that scrapes each second, with our rules.

    Args:
        ports: Where metrics are, on this machine.
    """

    def __init__(self, ports: list[int]) -> None:
        self._ports = ports
        self._stack = ExitStack()
        self.url = f"http://127.0.0.1:{free_port()}"

    def __enter__(self) -> Self:
        folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
        targets = [f"127.0.0.1:{port}" for port in self._ports]
        config = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(RULES)],
            "scrape_configs": [{"job_name": "bff", "static_configs": [{"targets": targets}]}],
        }
        file = folder / "prometheus.yml"
        file.write_text(json.dumps(config))  # JSON is YAML.
        command = [
            "prometheus", f"--config.file={file}", f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address={self.url.removeprefix('http://')}", "--log.level=warn",
        ]  # fmt: skip
        process = self._stack.enter_context(Process(command, name="prometheus"))
        process.wait_for_http(f"{self.url}/-/ready", timeout_seconds=60)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def get(self, path: str, **parameters: str) -> Any:
        """The data of a response of its API."""
        response = requests.get(f"{self.url}/api/v1/{path}", params=parameters, timeout=30)
        assert response.ok, response.text
        return response.json()["data"]

    def values(self, expression: str) -> list[float]:
        """The values of an expression now, those that are no number left out."""
        found = [float(one["value"][1]) for one in self.get("query", query=expression)["result"]]
        return [value for value in found if not math.isnan(value)]

    def value(self, expression: str) -> float:
        """Its only value; 0 without one."""
        values = self.values(expression)
        assert len(values) <= 1, (expression, values)
        return values[0] if values else 0.0

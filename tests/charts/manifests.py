"""Which renderings of the chart and of the kustomize base do the tests look at?"""

from __future__ import annotations

import os
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from tests.charts.tools import KUBERNETES, built, objects, rendered

VALUES = Path(__file__).parent / "values"
OVERLAY = """
resources: [{0}/base]
components: [{0}/components/autoscaling, {0}/components/metrics]
configMapGenerator: [{{name: bff, literals: [APP_BASE_URL=https://app.example.com]}}]
images: [{{name: registry.example.com/bff, newTag: "1"}}]
"""
"""As docs/kubernetes.md has it, with both components."""
CASES = ["no values", "least", "everything", "bare", "base", "base with components"]


@cache
def text_of(case: str) -> str:
    """The manifests of a case."""
    if case == "base":
        return built(KUBERNETES / "base")
    if case == "base with components":
        with tempfile.TemporaryDirectory() as folder:
            there = os.path.relpath(KUBERNETES, Path(folder).resolve())
            Path(folder, "kustomization.yaml").write_text(OVERLAY.format(there))
            return built(Path(folder))
    if case == "no values":
        return rendered()
    return rendered("--values", VALUES / f"{case}.yaml")


@cache
def objects_of(case: str) -> dict[str, list[dict[str, Any]]]:
    """The objects of a case, by their kind."""
    found: dict[str, list[dict[str, Any]]] = {}
    for one in objects(text_of(case)):
        found.setdefault(one["kind"], []).append(one)
    return found


def deployment(case: str) -> dict[str, Any]:
    """The `spec` of its Deployment."""
    [found] = objects_of(case)["Deployment"]
    spec: dict[str, Any] = found["spec"]
    return spec


def pod(case: str) -> dict[str, Any]:
    """The `spec` of its pods."""
    spec: dict[str, Any] = deployment(case)["template"]["spec"]
    return spec


def container(case: str) -> dict[str, Any]:
    """Their only container."""
    [found] = pod(case)["containers"]
    one: dict[str, Any] = found
    return one


def environment(case: str) -> dict[str, dict[str, Any]]:
    """The container's variables, by their names."""
    return {one["name"]: one for one in container(case)["env"]}

"""What does kubeconform compare manifests with?

`.ci/charts` runs `python -m tests.charts.schemas FOLDER SWAGGER CRD`, which writes a JSON Schema
for each kind that we have. That of Kubernetes is in its OpenAPI document, that of a ServiceMonitor
in its definition; both are made strict, so that a misspelt field is an error.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

KINDS = {
    "ConfigMap": "v1",
    "Service": "v1",
    "ServiceAccount": "v1",
    "Deployment": "apps/v1",
    "HorizontalPodAutoscaler": "autoscaling/v2",
    "Ingress": "networking.k8s.io/v1",
    "NetworkPolicy": "networking.k8s.io/v1",
    "PodDisruptionBudget": "policy/v1",
}
"""Kind and `apiVersion`."""
NUMBER_OR_TEXT = {"type": ["string", "number"]}


def strict(node: Any) -> Any:
    """The schema *node*, without unknown fields, and with numbers where Kubernetes takes both."""
    if not isinstance(node, dict):
        return node
    if node.get("format") == "int-or-string" or node.get("x-kubernetes-int-or-string"):
        return NUMBER_OR_TEXT
    made = {name: strict(value) for name, value in node.items() if name != "description"}
    if "properties" in node:
        # Some kinds have a field of such a name.
        made["properties"] = {name: strict(one) for name, one in node["properties"].items()}
        made.setdefault("additionalProperties", False)
    return made


def of_kubernetes(swagger: dict[str, Any], kind: str, api_version: str) -> dict[str, Any]:
    """The schema of one kind, with all definitions."""
    group, _, version = api_version.rpartition("/")
    wanted = {"group": group, "kind": kind, "version": version}
    definitions = {name: strict(one) for name, one in swagger["definitions"].items()}
    definitions["io.k8s.apimachinery.pkg.api.resource.Quantity"] = NUMBER_OR_TEXT
    [found] = [
        name
        for name, one in swagger["definitions"].items()
        if wanted in one.get("x-kubernetes-group-version-kind", [])
    ]
    made: dict[str, Any] = definitions[found]
    made["properties"] |= {"apiVersion": {"enum": [api_version]}, "kind": {"enum": [kind]}}
    return {"$ref": f"#/definitions/{found}", "definitions": definitions}


def of_definition(definition: dict[str, Any]) -> dict[str, Any]:
    """The schema of a custom resource."""
    [version] = definition["spec"]["versions"]
    made: dict[str, Any] = strict(version["schema"]["openAPIV3Schema"])
    made["properties"]["metadata"] = {"type": "object"}
    return made


def main(folder: str, swagger: str, definition: str) -> None:
    """Write one file for each kind."""
    kubernetes = json.loads(Path(swagger).read_text())
    made = {kind: of_kubernetes(kubernetes, kind, version) for kind, version in KINDS.items()}
    made["ServiceMonitor"] = of_definition(json.loads(Path(definition).read_text()))
    for kind, schema in made.items():
        Path(folder, f"{kind.lower()}.json").write_text(json.dumps(schema))


if __name__ == "__main__":
    main(*sys.argv[1:])

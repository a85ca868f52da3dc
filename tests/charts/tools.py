"""What do Helm, kustomize and a reader of compose files make of ours? `.ci/charts` built them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.support.cluster import ROOT

READ_YAML = "import json, sys, yaml; json.dump(list(yaml.safe_load_all(sys.stdin)), sys.stdout)"
"""In a process of its own: no test imports what only these need."""
PODMAN = """#!/bin/sh
[ "$1" = --version ] && echo podman version 5.4.0 || echo "[]"
"""
"""Its version, and that there is no container yet."""
NO_VARIABLES = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"}
BIN = ROOT / ".work/charts/bin"
PYTHON = ROOT / ".work/charts/python"
SCHEMAS = ROOT / ".work/charts/schemas"
KUBERNETES = ROOT / "deploy/kubernetes"
CHART = KUBERNETES / "chart"


class Refused(Exception):
    """The program ended with an error; the message is its output."""


def run(*command: str | Path, given: str = "", cwd: Path = ROOT) -> str:
    """The output of one of the programs; raises Refused."""
    ended = subprocess.run(
        [str(BIN / command[0]), *map(str, command[1:])],
        input=given, cwd=cwd, env=NO_VARIABLES, capture_output=True, text=True,
    )  # fmt: skip
    if ended.returncode:
        raise Refused(ended.stdout + ended.stderr)
    return ended.stdout


def rendered(*arguments: str | Path) -> str:
    """What `helm template` makes of the chart."""
    return run("helm", "template", "shop", CHART, "--namespace", "apps", *arguments)


def built(folder: Path) -> str:
    """What `kustomize build` makes of a folder."""
    return run("kustomize", "build", folder)


def objects(manifests: str) -> list[dict[str, Any]]:
    """The objects that are in *manifests*."""
    ended = subprocess.run(
        [sys.executable, "-c", READ_YAML], input=manifests, capture_output=True, text=True,
        env={"PYTHONPATH": str(PYTHON)}, check=True,
    )  # fmt: skip
    return [one for one in json.loads(ended.stdout) if one]


def validated(manifests: str) -> None:
    """Compare *manifests* with the schemas; raises Refused."""
    location = f"{SCHEMAS}/{{{{.ResourceKind}}}}.json"
    run("kubeconform", "-strict", "-summary", "-schema-location", location, given=manifests)


def composed(folder: Path, env_file: str, *files: str) -> dict[str, Any]:
    """What `docker compose --env-file … config` makes of compose files, with paths of *folder*."""
    paths = [ROOT / file for file in files]
    project: dict[str, Any] = json.loads(run("compose", folder, env_file, *paths, cwd=folder))
    return project


def podman_commands(folder: Path, env_file: str, *files: str) -> list[str]:
    """The commands with which podman-compose would make the containers."""
    program = folder / "bin/podman"
    program.parent.mkdir()
    # It asks for the version, and for what there is.
    program.write_text(
        '#!/bin/sh\n[ "$1" = --version ] && echo podman version 5.4.0 || echo "[]"\n'
    )
    program.chmod(0o755)
    names = [part for file in files for part in ("-f", file)]
    ended = subprocess.run(
        [sys.executable, PYTHON / "podman_compose.py", "--verbose", "--env-file", env_file, *names,
         "--dry-run", "up", "--detach"],
        cwd=folder, capture_output=True, text=True, check=True,
        env={"PATH": f"{program.parent}:/usr/bin:/bin", "PYTHONPATH": str(PYTHON)},
    )  # fmt: skip
    return re.findall("podman create .*", ended.stderr)

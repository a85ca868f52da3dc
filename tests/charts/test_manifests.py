"""Do chart and kustomize base say what is true of the BFF, and hold together?"""

from __future__ import annotations

import argparse
from typing import Any

import pytest

from bff.cli.main import _parser
from bff.config import secret_files
from bff.config.loading import setting_names
from bff.core.version import __version__
from tests.charts.manifests import (
    CASES,
    VALUES,
    container,
    deployment,
    environment,
    objects_of,
    pod,
    text_of,
)
from tests.charts.tools import CHART, run, validated

SECRETS = {*secret_files.SECRETS, "AUTH0_CLIENT_SECRET"}
KNOWN = {*setting_names().values(), *secret_files.FILES}
IN_ROUTES = {"STOCK_SECRET"}
"""A variable that a routes file names."""
DNS = {(port, protocol) for port in (53, 5353) for protocol in ("UDP", "TCP")}
every_case = pytest.mark.parametrize("case", CASES)


def options(case: str) -> argparse.Namespace:
    """What the container's arguments are to the BFF."""
    return _parser().parse_args(container(case)["args"])


def ports(case: str) -> dict[str, int]:
    return {one["name"]: one["containerPort"] for one in container(case)["ports"]}


def selectors(case: str) -> list[dict[str, str]]:
    """The labels by which other objects find the pods."""
    found = []
    for kind in ("Service", "PodDisruptionBudget", "NetworkPolicy"):
        for one in objects_of(case).get(kind, []):
            selector = one["spec"].get("selector", one["spec"].get("podSelector"))
            found.append(selector if kind == "Service" else selector["matchLabels"])
    spread = pod(case)["topologySpreadConstraints"]
    return [*found, *(one["labelSelector"]["matchLabels"] for one in spread)]


@every_case
def test_it_is_what_kubernetes_takes(case: str) -> None:
    validated(text_of(case))


@pytest.mark.parametrize("values", ["least", "everything", "bare"])
def test_helm_finds_nothing_to_say(values: str) -> None:
    told = run("helm", "lint", "--strict", CHART, "--values", VALUES / f"{values}.yaml")
    assert "[WARNING]" not in told
    assert "[ERROR]" not in told


@every_case
def test_every_variable_is_a_setting_and_no_secret_is_a_value(case: str) -> None:
    for name, one in environment(case).items():
        assert name in KNOWN | IN_ROUTES or name.startswith("OTEL_")
        assert name not in SECRETS
        if name in IN_ROUTES:
            assert "value" not in one


@every_case
def test_secrets_are_files_that_follow_a_change_of_the_secret(case: str) -> None:
    mounts = {one["name"]: one for one in container(case)["volumeMounts"]}
    assert not [one for one in mounts.values() if "subPath" in one]
    named = {
        n: v["value"] for n, v in environment(case).items() if n.removesuffix("_FILE") in SECRETS
    }
    assert {"AUTH0_SECRET_FILE", "AUTH0_CLIENT_SECRET_FILE", "REDIS_URL_FILE"} <= named.keys()
    for path in named.values():
        folder, _, file = path.rpartition("/")
        assert (folder, bool(file)) == (mounts["secrets"]["mountPath"], True)
    [volume] = [one for one in pod(case)["volumes"] if one["name"] == "secrets"]
    # Readable by its group, which is fsGroup.
    assert volume["secret"]["defaultMode"] == 0o440


@every_case
def test_its_arguments_are_those_of_the_command_and_its_ports_agree(case: str) -> None:
    asked = options(case)
    assert asked.port == ports(case)["http"]
    assert asked.host in ("0.0.0.0", "::")
    if "metrics" in ports(case):
        assert (asked.metrics_port, asked.metrics_host) == (ports(case)["metrics"], asked.host)
    used = [container(case)[f"{kind}Probe"]["httpGet"]["port"] for kind in PROBES]
    for service in objects_of(case)["Service"]:
        used += [one["targetPort"] for one in service["spec"]["ports"]]
    for policy in objects_of(case).get("NetworkPolicy", []):
        used += [one["port"] for rule in policy["spec"]["ingress"] for one in rule["ports"]]
    assert set(used) == set(ports(case))


PROBES = {"startup": "/healthz", "liveness": "/healthz", "readiness": "/readyz"}


@every_case
def test_an_outage_of_redis_restarts_nothing(case: str) -> None:
    """/healthz asks nobody; /readyz is for who sends requests."""
    for kind, path in PROBES.items():
        assert container(case)[f"{kind}Probe"]["httpGet"]["path"] == path


@every_case
def test_a_pod_that_stops_has_time_for_what_it_does_then(case: str) -> None:
    asked, readiness = options(case), container(case)["readinessProbe"]
    hook = container(case).get("lifecycle", {}).get("preStop", {"sleep": {"seconds": 0}})
    before = hook["sleep"]["seconds"] + asked.drain_seconds
    # Endpoints and load balancers need to notice first.
    assert before >= readiness["periodSeconds"] * readiness["failureThreshold"]
    assert before + asked.grace_seconds + 5 <= pod(case)["terminationGracePeriodSeconds"]


@every_case
def test_it_keeps_to_the_restricted_profile(case: str) -> None:
    whole, own = pod(case)["securityContext"], container(case)["securityContext"]
    assert (whole["runAsNonRoot"], whole["runAsUser"], whole["fsGroup"]) == (True, 65534, 65534)
    assert whole["seccompProfile"] == {"type": "RuntimeDefault"}
    assert own == {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }  # fmt: skip
    assert pod(case)["automountServiceAccountToken"] is False
    assert pod(case)["enableServiceLinks"] is False
    assert not {"hostNetwork", "hostPID", "hostIPC"} & pod(case).keys()


@every_case
def test_what_selects_pods_selects_ours_and_no_others(case: str) -> None:
    labels = deployment(case)["template"]["metadata"]["labels"]
    assert deployment(case)["selector"]["matchLabels"].items() <= labels.items()
    for selector in selectors(case):
        assert selector == deployment(case)["selector"]["matchLabels"]


@every_case
def test_a_node_can_be_drained_and_an_autoscaler_has_its_way(case: str) -> None:
    for budget in objects_of(case).get("PodDisruptionBudget", []):
        assert "minAvailable" not in budget["spec"]
        assert budget["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
    scalers = objects_of(case).get("HorizontalPodAutoscaler", [])
    assert ("replicas" in deployment(case)) == (not scalers)
    for scaler in scalers:
        [target] = objects_of(case)["Deployment"]
        assert scaler["spec"]["scaleTargetRef"]["name"] == target["metadata"]["name"]
        assert "cpu" in container(case)["resources"]["requests"]


@every_case
def test_a_network_policy_leaves_dns_open(case: str) -> None:
    for policy in objects_of(case).get("NetworkPolicy", []):
        [names] = [rule for rule in policy["spec"]["egress"] if "to" not in rule]
        assert {(one["port"], one["protocol"]) for one in names["ports"]} == DNS
        assert len(policy["spec"]["egress"]) > 1


@every_case
def test_a_service_monitor_finds_the_metrics_and_nothing_else_does(case: str) -> None:
    for monitor in objects_of(case).get("ServiceMonitor", []):
        wanted = monitor["spec"]["selector"]["matchLabels"].items()
        found = [
            one
            for one in objects_of(case)["Service"]
            if wanted <= one["metadata"]["labels"].items()
        ]
        assert len(found) == 1
        assert [one["name"] for one in found[0]["spec"]["ports"]] == ["metrics"]
        assert [one["port"] for one in monitor["spec"]["endpoints"]] == ["metrics"]
        assert found[0]["metadata"]["labels"][monitor["spec"]["jobLabel"]] == "bff"


def test_chart_and_base_agree_on_the_pods() -> None:
    def without(whole: dict[str, Any], *names: str) -> dict[str, Any]:
        return {name: value for name, value in whole.items() if name not in names}

    def files(case: str) -> dict[str, str]:
        return {n: v["value"] for n, v in environment(case).items() if n.endswith("_FILE")}

    by_release = ("containers", "serviceAccountName", "topologySpreadConstraints")
    assert without(pod("least"), *by_release) == without(pod("base"), *by_release)
    compared = [without(container(case), "image", "env", "envFrom") for case in ("least", "base")]
    assert compared[0] == compared[1]
    assert files("least") == files("base")
    assert files("base")["REDIS_URL_FILE"] == "/run/secrets/bff/redis-url"


def test_the_image_is_that_of_this_version_or_the_one_that_is_named() -> None:
    assert container("least")["image"] == f"registry.example.com/bff:{__version__}"
    assert "@sha256:" in container("everything")["image"]
    assert container("base with components")["image"] == "registry.example.com/bff:1"


def test_a_changed_setting_or_route_replaces_the_pods() -> None:
    assert "checksum/routes" in deployment("everything")["template"]["metadata"]["annotations"]
    # The generated name ends with a hash of the content.
    [source] = container("base with components")["envFrom"]
    assert (
        source["configMapRef"]["name"]
        == objects_of("base with components")["ConfigMap"][0]["metadata"]["name"]
    )
    assert source["configMapRef"]["name"] != "bff"

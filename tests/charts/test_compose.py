"""Are the compose files sound, and can a user sign in at what they describe?"""

from __future__ import annotations

import re
import shutil
import signal
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import redis

from bff.cli.main import _parser
from bff.config import secret_files
from bff.config.loading import setting_names
from tests.charts.composition import Composition
from tests.charts.tools import Refused, composed, podman_commands
from tests.support.cluster import ROOT

FILES = {
    "compose.yaml": (".env", "compose.yaml"),
    "compose.keycloak.yaml": (
        "deploy/compose/keycloak.env", "compose.yaml", "compose.keycloak.yaml",
    ),
}  # fmt: skip
"""The file with the variables, and the compose files."""
SECRETS = {*secret_files.SECRETS, "AUTH0_CLIENT_SECRET"}
TRIAL = "keycloak"
"""It puts itself together at its start, so it writes to its root."""
OURS = re.compile("(?:AUTH0|BFF|OIDC|REDIS_URL)")
SECONDS = re.compile(r"(\d+)s|(\d+)m(\d+)s")

every_file = pytest.mark.parametrize("file", FILES)


@cache
def services(file: str) -> dict[str, dict[str, Any]]:
    """What `docker compose config` would show, with .env.example as .env."""
    env_file, *compose_files = FILES[file]
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(ROOT / ".env.example", Path(folder, ".env"))
        Path(folder, "deploy").symlink_to(ROOT / "deploy")
        project = composed(Path(folder), env_file, *compose_files)
    found: dict[str, dict[str, Any]] = project["services"]
    return found


def seconds(text: str) -> int:
    """Of `45s` or `1m10s`."""
    found = SECONDS.fullmatch(text)
    assert found
    alone, minutes, rest = found.groups()
    return int(alone) if alone else 60 * int(minutes) + int(rest)


# ---------------------------------------------------------------- what the files say
@every_file
def test_every_container_can_do_as_little_as_possible(file: str) -> None:
    for name, one in services(file).items():
        assert one["cap_drop"] == ["ALL"], name
        assert one["security_opt"] == ["no-new-privileges:true"], name
        assert one.get("read_only", False) == (name != TRIAL), name
        assert "privileged" not in one
        assert one["healthcheck"]["test"], name
        assert name == "bff" or re.search(r":\d+\.\d+\.\d+[^@]*@sha256:[0-9a-f]{64}$", one["image"])
        for before in one.get("depends_on", {}).values():
            assert before["condition"] == "service_healthy"


@every_file
def test_every_variable_of_the_bff_is_a_setting_and_no_secret_has_a_value(file: str) -> None:
    for name, value in services(file)["bff"]["environment"].items():
        if OURS.match(name):
            assert name in {*setting_names().values(), *secret_files.FILES}
        assert not value or name not in SECRETS


@every_file
def test_only_the_proxy_and_the_trial_provider_are_reached_from_outside(file: str) -> None:
    assert {name for name, one in services(file).items() if "ports" in one} - {TRIAL} == {"nginx"}
    assert services(file)["redis"]["networks"].keys() == {"back"}


def test_a_stop_has_more_time_than_the_bff_takes() -> None:
    described = services("compose.yaml")
    asked = _parser().parse_args(described["bff"]["command"])
    assert asked.port == 8000
    given = {name: seconds(one["stop_grace_period"]) for name, one in described.items()}
    assert given["bff"] >= asked.drain_seconds + asked.grace_seconds + 5
    shutdown = re.search(
        r"worker_shutdown_timeout (\d+)s", (ROOT / "deploy/nginx/nginx.conf").read_text()
    )
    assert shutdown
    assert given["nginx"] > int(shutdown[1])


def test_the_trial_provider_imports_our_realm_for_the_address_of_the_app() -> None:
    described = services("compose.keycloak.yaml")
    keycloak, bff = described["keycloak"], described["bff"]
    assert "--import-realm" in keycloak["command"]
    [realm] = keycloak["volumes"]
    assert realm["source"].endswith("deploy/keycloak/realm.json")
    assert keycloak["environment"]["APP_BASE_URL"] == "https://app.localhost:8443"
    assert (
        bff["environment"]["OIDC_ISSUER"] == f"{keycloak['environment']['KC_HOSTNAME']}/realms/bff"
    )
    # Both know the other by the name that the browser has for it.
    at = {name: one["networks"].get("front") for name, one in described.items()}
    assert f"id.localhost={at['keycloak']['ipv4_address']}" in bff["extra_hosts"]
    assert f"app.localhost={at['nginx']['ipv4_address']}" in keycloak["extra_hosts"]
    assert bff["environment"]["BFF_TRUSTED_PROXIES"] == at["nginx"]["ipv4_address"]
    ports = {str(one["target"]): one["published"] for one in described["nginx"]["ports"]}
    assert ports["8443"] == "8443"


@every_file
def test_podman_compose_makes_the_same_of_it(file: str, tmp_path: Path) -> None:
    env_file, *compose_files = FILES[file]
    for name in (*compose_files, "deploy", "demo"):
        (tmp_path / name).symlink_to(ROOT / name)
    shutil.copy(ROOT / ".env.example", tmp_path / ".env")
    commands = podman_commands(tmp_path, env_file, *compose_files)
    assert len(commands) == len(services(file))
    for command in commands:
        mounted = re.findall(r" (?:--volume|-v) \S+?:(/[^:\s]+)", command)
        # It refuses two of one place.
        assert sorted(mounted) == sorted(set(mounted))
        assert ("--read-only" in command) != (f"_{TRIAL}_1 --pod" in command)
        assert "--cap-drop ALL" in command
        assert "--health-cmd" in command
    assert sum("--requires" in command for command in commands) == 2


def test_a_missing_setting_is_named(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("BFF_API_URL=http://api")
    with pytest.raises(Refused, match="APP_BASE_URL is missing a value: is missing, in .env"):
        composed(tmp_path, ".env", "compose.yaml")


# ---------------------------------------------------------------- what runs
@pytest.fixture(scope="module")
def here() -> Iterator[Composition]:
    """Everything of compose.yaml, as processes."""
    with Composition() as started:
        yield started


def test_a_user_signs_in_and_calls_the_api_and_signs_out(here: Composition) -> None:
    browser = here.browser()
    browser.log_in()
    assert browser.profile().json()["user"]["email"] == "demo@example.com"
    assert browser.api("/items").status_code == 200
    assert "<!doctype html>" in browser.navigate("/").text.lower()
    assert browser.log_out().status_code == 200
    assert browser.profile().status_code == 401
    assert here.active_refresh_tokens() == 0


def test_nginx_carries_what_it_was_given_the_key_for(here: Composition) -> None:
    assert here.ask("/auth/verify").status_code == 404
    browser = here.browser()
    browser.log_in()
    assert browser.api("/items").headers["Server"].startswith("nginx")
    assert "proxy_unknown" not in here.processes["bff"].output


def test_redis_keeps_its_data_and_asks_for_the_password(here: Composition) -> None:
    url = (here.secrets / "redis-url").read_text().strip()
    with redis.Redis.from_url(url) as client:
        config = client.config_get("*")
    assert (config["appendonly"], config["maxmemory-policy"]) == ("yes", "noeviction")
    with redis.Redis(port=here.redis_port) as stranger, pytest.raises(redis.AuthenticationError):
        stranger.ping()
    assert config["requirepass"] not in " ".join(here.processes["redis"].command)
    assert "ERROR" not in here.processes["bff"].output


def test_the_secrets_are_in_a_folder_that_nobody_else_enters(here: Composition) -> None:
    assert here.secrets.stat().st_mode & 0o777 == 0o700
    files = [one for one in here.secrets.iterdir() if one.name != "redis-url"]
    assert len(files) == 6
    assert {one.stat().st_mode & 0o777 for one in files} == {0o444}


@pytest.mark.parametrize("service", ["redis", "bff", "nginx"])
def test_a_health_check_knows_whether_it_serves(service: str, here: Composition) -> None:
    assert here.health(service) == 0


def test_each_stops_when_it_is_told_to(here: Composition) -> None:
    """The last test of this file."""
    for name in ("nginx", "bff", "redis"):
        process, described = here.processes[name].process, here.services[name]
        process.send_signal(signal.Signals[described.get("stop_signal", "SIGTERM")])
        assert process.wait(seconds(described["stop_grace_period"])) == 0, name
    assert here.health("nginx") != 0
    assert here.health("redis") != 0

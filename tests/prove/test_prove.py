"""Is the proof green for the product, and red in the right rows for broken builds?"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from demo.prove.command import parsed
from tests.demo.test_launch import family, nothing_left
from tests.support.cluster import AUDIENCE, Cluster
from tests.support.processes import Process
from tests.support.scale import rounds

ROOT = Path(__file__).resolve().parents[2]
LIMIT_SECONDS = 600
ALL = rounds(full=1, reduced=0)
"""At full scale every broken build runs every scenario."""

SECOND = ("second-by-link", "second-at-once", "restored-tabs")
"""Ends of a browser that has signed in twice."""
DIRECT = ("spa", "link", "form", *SECOND, "other-device", "backchannel-sid", "admin-one",
          "log-logout", "timed-out", "stream", "refresh-refused", "replaced", "redis-away",
          "redis-restarted", "killed", "provider-503")  # fmt: skip
"""Ends without a watermark: only the deny-list has their access tokens."""
GROUPS = ("backchannel-sid", "backchannel-sub", "admin-user", "global", "log-logout",
          "log-password", "everyone")  # fmt: skip
"""Ends of many sessions, whose refresh tokens are revoked by a drain."""

RED = {
    "outbox": {f"{id}/refresh-token" for id in (*GROUPS, "killed", "provider-503-later")}
    | {"provider-503/waiting"},
    "drain": {f"{id}/refresh-token" for id in (*GROUPS, "killed", "provider-503-later")},
    "existence check": {
        "refresh/request", "refresh-later/cookie-profile", "refresh-later/cookie-api",
        "refresh-later/access-token", "refresh-later/refresh-token",
    },
    "watermark": {"old-sign-in/half-done", "old-sign-in/silent", "old-sign-in/other-token"},
    "one session of a browser": {
        f"{id}/{tried}"
        for id in SECOND
        for tried in ("cookie-profile", "cookie-api", "access-token", "refresh-token")
    },
    "deny-list": {f"{id}/access-token" for id in DIRECT}
    | {"in-flight-later/access-token", "refresh-later/access-token",
       "provider-down-later/access-token"},
}  # fmt: skip
"""The rows that each broken build must turn red; no others."""

SOME = {
    "outbox": "spa,provider-503",
    "drain": "spa,provider-503",
    "existence check": "spa,refresh",
    "watermark": "spa,backchannel-sub,admin-user,old-sign-in",
    "one session of a browser": "spa,second-by-link,restored-tabs",
    "deny-list": "spa,admin-one,admin-user,replaced",
}
"""The scenarios of a reduced run: those that must turn red, and some that must not."""


def prove(*arguments: str, module: str = "demo.prove") -> tuple[int, dict[str, Any]]:
    """Run the proof; returns its exit code and its JSON."""
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments, "--json"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=LIMIT_SECONDS,
    )
    assert done.stdout.startswith("{"), done.stderr
    return done.returncode, json.loads(done.stdout)


def rows(result: dict[str, Any], outcome: str) -> dict[str, str]:
    return {row["id"]: row["got"] for row in result["rows"] if row["outcome"] == outcome}


GREEN = (
    "spa,link,second-at-once,restored-tabs,backchannel-sid,admin-user,log-logout,in-flight,"
    "refresh,provider-503,redis-away"
)
"""The scenarios of a reduced run; `make prove` runs all."""


def test_the_proof_is_green_with_three_replicas() -> None:
    chosen = [] if ALL else ["--only", GREEN]
    status, result = prove("--replicas", "3", *chosen)
    assert rows(result, "broken") == {}
    assert rows(result, "not run") == {}
    assert status == 0
    assert result["held"] is True
    assert len(result["rows"]) > (100 if ALL else 30)
    assert len({row["id"] for row in result["rows"]}) == len(result["rows"])


@pytest.mark.parametrize("name", ["cookie", "access_token"])
def test_a_value_may_begin_with_a_dash(name: str) -> None:
    option = f"--{name.replace('_', '-')}"
    assert getattr(parsed([option, "--6eN7J-VOTh8", "--tries", "3"]), name) == "--6eN7J-VOTh8"


@pytest.mark.parametrize("build", RED)
def test_a_broken_build_turns_its_rows_red_and_no_others(build: str) -> None:
    chosen = [] if ALL else ["--only", SOME[build]]
    status, result = prove(build, *chosen, module="tests.prove.broken_proof")
    tried = {row["id"] for row in result["rows"]}
    assert set(rows(result, "broken")) == RED[build] & tried, rows(result, "broken")
    assert RED[build] & tried
    assert status == 1
    assert result["held"] is False


def test_a_running_deployment_is_proved_with_a_cookie() -> None:
    """Scenarios that need faults of the provider, or stop processes, are not run."""
    with Cluster(2) as cluster:
        browser = cluster.browser()
        browser.log_in()
        there = ("--url", cluster.url(), "--cookie", str(browser.cookie))
        status, result = prove(*there)
        assert status == 0
        assert set(rows(result, "held")) == {"spa/cookie-profile", "spa/cookie-api"}
        assert len(rows(result, "not run")) > 20
        # The cookie is revoked now, and a refusal of it proves nothing.
        status, result = prove(*there)
        assert status == 1
        assert "before the logout" in rows(result, "broken")["spa/prepare"]


def test_a_deployment_whose_api_does_not_check_is_red() -> None:
    with Cluster() as cluster:
        command = [
            sys.executable, "-m", "demo.api", "--port", "0",
            "--issuer", cluster.issuer, "--audience", AUDIENCE,
        ]  # fmt: skip
        with Process(command, name="an API without the deny-list") as api:
            api_url = f"http://127.0.0.1:{api.wait_ready(20)['port']}/items"
            browser = cluster.browser()
            browser.log_in()
            token = cluster.issued("access_token")[-1]["value"]
            status, result = prove(
                "--url", cluster.url(), "--cookie", str(browser.cookie),
                "--access-token", token, "--api-url", api_url,
            )  # fmt: skip
    assert status == 1
    assert rows(result, "broken") == {"spa/access-token": "200 ×20"}


def test_the_default_output_is_a_table() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "demo.prove", "--replicas", "1", "--only", "spa"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=LIMIT_SECONDS,
    )
    assert done.returncode == 0, done.stderr
    assert "Signed out by the SPA" in done.stdout
    assert "4 held, 0 broken, 0 not run." in done.stdout


@pytest.mark.parametrize(
    "arguments",
    [["--url", "https://x.example"], ["--cookie", "x"], ["--only", "spa,tea"], ["--replicas", "0"]],
    ids=" ".join,
)
def test_wrong_arguments_are_refused(arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "demo.prove", *arguments], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 2
    assert "error:" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_proof_that_is_stopped_leaves_nothing_behind(
    number: signal.Signals, tmp_path: Path
) -> None:
    env = os.environ | {"TMPDIR": str(tmp_path), "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    with Process([sys.executable, "-m", "demo.prove"], name="the proof", env=env) as process:
        process.wait_for_output("Signed out by a link", 60)
        started = family(process)
        os.kill(process.pid, number)
        process.process.wait(120)
        assert nothing_left(started, tmp_path)

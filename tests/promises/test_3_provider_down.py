"""Promise 3: the provider is down for the whole logout, and gets the revocation later."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.cluster import Cluster
from tests.support.waiting import wait_for

pytestmark = pytest.mark.session_cache

ROOT = Path(__file__).resolve().parents[2]
PROVIDER_TIMEOUT_SECONDS = 4.0
AFTER_RETURN_SECONDS = 10
ATTEMPTS = 4
"""Enough for the backoff to have grown."""


def test_promise_3_a_logout_while_the_provider_is_down() -> None:
    """Signed out within the timeout, listed by `revocations`, revoked soon after the recovery."""
    with Cluster(2, env={"BFF_PROVIDER_TIMEOUT_SECONDS": str(PROVIDER_TIMEOUT_SECONDS)}) as cluster:
        browser = cluster.browser()
        browser.log_in()
        cookie = browser.cookie or ""
        cluster.provider.pause()
        began = time.monotonic()
        assert browser.log_out().status_code == 200
        # One try, and a margin for a slow machine.
        assert time.monotonic() - began < 2 * PROVIDER_TIMEOUT_SECONDS
        browser.here.cookies.set("session", cookie)
        for replica in (0, 1):
            assert browser.profile(replica=replica).status_code == 401
        [entry] = waiting(cluster)
        assert entry["reason"] == "logout"
        cluster.provider.resume()
        revoked_within(cluster, AFTER_RETURN_SECONDS)
        # Also confirmed: the first request was processed, but its response came too late.
        wait_for(lambda: waiting(cluster) == [], "the confirmation")


def test_promise_3_a_long_outage_costs_no_more_than_ten_seconds_after_it() -> None:
    with Cluster(2, env={"BFF_PROVIDER_TIMEOUT_SECONDS": str(PROVIDER_TIMEOUT_SECONDS)}) as cluster:
        browser = cluster.browser()
        browser.log_in()
        cluster.control("POST", "faults", endpoint="revoke", times=1000, do="drop_before")
        browser.log_out()
        wait_for(lambda: cluster.counts().get("revoke", 0) >= ATTEMPTS, "the tries", 60)
        cluster.control("DELETE", "faults")
        revoked_within(cluster, AFTER_RETURN_SECONDS)


def waiting(cluster: Cluster) -> list[dict[str, Any]]:
    """The output of `python -m bff revocations`."""
    output = subprocess.run(
        [sys.executable, "-m", "bff", "revocations", "--json"],
        env=cluster.environment(),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return list(json.loads(output.stdout)["waiting"])


def revoked_within(cluster: Cluster, seconds: float) -> None:
    wait_for(
        lambda: all(t["state"] == "revoked" for t in cluster.issued("refresh_token")),
        "the revocation",
        seconds,
    )

"""How does a test see that trouble with Redis is told, and whether dead tokens stay dead?"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import requests

from tests.support.api_callers import WAYS
from tests.support.cluster import Cluster
from tests.support.waiting import wait_for

TOLD_SECONDS = 5
"""How soon the log and `/readyz` tell of it."""


def copied(cluster: Cluster) -> str:
    """The access token that the provider issued last."""
    newest: str = cluster.issued("access_token")[-1]["value"]
    return newest


def statuses(cluster: Cluster, access_token: str) -> set[int]:
    return {way(cluster, access_token) for way in WAYS}


def problems(cluster: Cluster, replica: int) -> list[str]:
    response = requests.get(f"{cluster.url(replica)}/readyz", timeout=TOLD_SECONDS)
    said = response.json()
    found: list[str] = said.get("problems", [])
    assert response.status_code == (200 if said["checks"]["redis"] else 503)
    return found if response.status_code == 503 else []


@contextmanager
def told(cluster: Cluster, problem: str, in_the_log: str) -> Iterator[None]:
    """Each process tells of what happens in the block: one in its log, all on `/readyz`."""
    assert all(problem not in problems(cluster, i) for i in range(len(cluster.replicas)))
    yield
    began = time.monotonic()
    wait_for(
        lambda: (
            any(problem in problems(cluster, i) for i in range(len(cluster.replicas)))
            and any("ERROR" in p.output and in_the_log in p.output for p in cluster.replicas)
        ),
        f"{problem} on /readyz and in the log",
    )
    assert time.monotonic() - began < TOLD_SECONDS

"""What does every test of promise 10 check? No writes, no effect on other sessions, quiet logs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.promises.refused.sending import MAX_BYTES
from tests.support.browser_client import BrowserClient
from tests.support.cluster import Cluster
from tests.support.raw_upstream import RawUpstream
from tests.support.refusal import assert_quiet_logs, written_keys

EXPIRING = (b":deny:", b":browser:", b":sign-in:")
"""What a sign-in leaves for a while: that it is spent, denied tokens, its browser as closed."""
PROVIDER_TIMEOUT_SECONDS = 3
"""Longer than a slow provider takes; a test with a hanging provider lasts as long."""


@pytest.fixture(scope="package")
def upstream() -> Iterator[RawUpstream]:
    with RawUpstream() as started:
        yield started


@pytest.fixture(scope="package")
def cluster(upstream: RawUpstream) -> Iterator[Cluster]:
    env = {
        "BFF_REQUEST_MAX_BYTES": str(MAX_BYTES),
        "BFF_SPA_DIR": "demo/spa",
        "BFF_PROVIDER_TIMEOUT_SECONDS": str(PROVIDER_TIMEOUT_SECONDS),
    }
    with Cluster(api_url=upstream.url, env=env) as started:
        yield started


@pytest.fixture(scope="package")
def bystander(cluster: Cluster) -> BrowserClient:
    """Another user's signed-in browser."""
    started = cluster.browser()
    started.log_in()
    return started


@pytest.fixture
def unharmed(cluster: Cluster, bystander: BrowserClient, upstream: RawUpstream) -> Iterator[None]:
    """Check that nothing was written or forwarded, and that no session ended."""
    upstream.forget()
    before = written_keys(cluster)
    yield
    assert written_keys(cluster) == before, "something was written to Redis"
    assert upstream.seen == []
    assert_bystander_is_fine(bystander)
    assert_quiet_logs(cluster, [bystander.cookie])


@pytest.fixture
def nothing_left(cluster: Cluster, bystander: BrowserClient) -> Iterator[None]:
    """For tests that sign in and out: check that only the deny-list has grown."""
    before = written_keys(cluster, without=EXPIRING)
    yield
    assert written_keys(cluster, without=EXPIRING) == before, "something stayed in Redis"
    assert_bystander_is_fine(bystander)
    assert_quiet_logs(cluster, [bystander.cookie])


def assert_bystander_is_fine(bystander: BrowserClient) -> None:
    assert bystander.profile().status_code == 200
    assert bystander.api("/x").status_code == 200

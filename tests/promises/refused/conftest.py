"""What holds for every test of promise 10: it costs nothing, harms nobody, and surprises no log."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.promises.refused.sending import MAX_BYTES
from tests.support.browser_client import BrowserClient
from tests.support.cluster import Cluster
from tests.support.raw_upstream import RawUpstream
from tests.support.refusal import assert_quiet_logs, kept

DENY_LIST = b":deny:"
PROVIDER_TIMEOUT_SECONDS = 3
"""So long a provider that is merely slow may take; one that hangs costs a test as much."""


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
    """Somebody who is signed in and does nothing wrong."""
    started = cluster.browser()
    started.log_in()
    return started


@pytest.fixture
def unharmed(cluster: Cluster, bystander: BrowserClient, upstream: RawUpstream) -> Iterator[None]:
    """Whatever was sent: nothing was written, nothing arrived, nobody is signed out."""
    upstream.forget()
    before = kept(cluster)
    yield
    assert kept(cluster) == before, "it was written down in Redis"
    assert upstream.seen == []
    assert_bystander_is_fine(bystander)
    assert_quiet_logs(cluster, [bystander.cookie])


@pytest.fixture
def nothing_left(cluster: Cluster, bystander: BrowserClient) -> Iterator[None]:
    """For tests that sign in and out between: only the deny-list has grown."""
    before = kept(cluster, without=DENY_LIST)
    yield
    assert kept(cluster, without=DENY_LIST) == before, "something stayed in Redis"
    assert_bystander_is_fine(bystander)
    assert_quiet_logs(cluster, [bystander.cookie])


def assert_bystander_is_fine(bystander: BrowserClient) -> None:
    assert bystander.profile().status_code == 200
    assert bystander.api("/x").status_code == 200

"""What do the tests against oidc-provider share? Three replicas in front of one provider."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.interop.cluster import InteropCluster

REPLICAS = 3


@pytest.fixture(scope="module")
def cluster() -> Iterator[InteropCluster]:
    """One installation for the tests of a module; each signs in with a browser of its own."""
    with InteropCluster(REPLICAS) as started:
        yield started

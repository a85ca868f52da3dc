"""What do the tests against Keycloak share? One Keycloak, and three replicas for each module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.interop_keycloak.cluster import KeycloakCluster
from tests.interop_keycloak.server import Keycloak

REPLICAS = 3


@pytest.fixture(scope="session")
def keycloak() -> Iterator[Keycloak]:
    """The one of this test run."""
    with Keycloak() as started:
        yield started


@pytest.fixture(scope="module")
def cluster(keycloak: Keycloak) -> Iterator[KeycloakCluster]:
    """One installation for the tests of a module; each signs in with a browser of its own."""
    with KeycloakCluster(keycloak, REPLICAS) as started:
        yield started

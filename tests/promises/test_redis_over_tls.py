"""Sentinel and a Redis Cluster over TLS alone, with passwords: a whole session, and a failover."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bff.core.errors import StoreUnavailable
from bff.store.connection import Database
from bff.store.redis_clients import make_client
from tests.support.ageing import age_access_token
from tests.support.certificate import Certificate
from tests.support.cluster import Cluster
from tests.support.redis_topology import RedisCluster, Sentinels, Topology
from tests.support.waiting import answered, wait_for

pytestmark = pytest.mark.session_cache

REPLICAS = 2
TIMEOUT = 5.0


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return Certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module", params=[Sentinels, RedisCluster], ids=["sentinel", "cluster"])
def topology(
    request: pytest.FixtureRequest, certificate: Certificate, session_cache: str
) -> Iterator[Topology]:
    with request.param(certificate) as started:
        yield started


@pytest.fixture(scope="module")
def cluster(topology: Topology, certificate: Certificate, session_cache: str) -> Iterator[Cluster]:
    env = {"BFF_REDIS_WAIT_REPLICAS": "1", "BFF_CA_FILE": str(certificate.ca_file)}
    with Cluster(REPLICAS, redis=topology, env=env) as started:  # type: ignore[arg-type]
        yield started


def test_sign_in_refresh_and_logout(cluster: Cluster) -> None:
    browser = cluster.browser()
    browser.log_in()
    age_access_token(cluster, browser.cookie, 0)
    assert browser.api("/items", replica=1).status_code == 200
    assert cluster.counts()["token.refresh_token.ok"] == 1
    assert browser.log_out(replica=1).status_code == 200
    assert browser.profile().status_code == 401
    wait_for(lambda: not cluster.active_refresh_tokens(), "the revocation")


@pytest.mark.parametrize("topology", [Sentinels], ids=["sentinel"], indirect=True, scope="module")
def test_the_master_tells_each_replica_what_has_changed(
    cluster: Cluster, session_cache: str
) -> None:
    expected = REPLICAS if session_cache == "cache on" else 0
    wait_for(lambda: cluster.tracking_connections() == expected, f"{expected} such connections")


@pytest.mark.parametrize("how", ["no CA", "another CA", "this CA", "this CA, in the address"])
def test_a_server_without_a_trusted_certificate_gets_no_command(
    how: str, topology: Topology, certificate: Certificate, tmp_path: Path
) -> None:
    """It could be any server, and a command contains credentials and keys."""
    ca_file = {
        "another CA": str(Certificate(tmp_path).ca_file),
        "this CA": str(certificate.ca_file),
    }.get(how)
    url = topology.url
    if how.endswith("address"):
        url += f"{'&' if '?' in url else '?'}ssl_ca_certs={certificate.ca_file}"
    client = make_client(url, TIMEOUT, ca_file)
    database = Database(client, "stranger", timeout_seconds=TIMEOUT)
    if how.startswith("this"):
        assert database.now() > 0
    else:
        with pytest.raises(StoreUnavailable):
            database.now()
    client.close()


def test_a_failover_ends_no_session(cluster: Cluster, topology: Topology) -> None:
    browser = cluster.browser()
    browser.log_in()
    topology.let_replicas_follow()
    topology.fail_over()
    for replica in range(REPLICAS):
        assert answered(lambda r=replica: browser.api("/items", replica=r)) == 200  # type: ignore[misc]
    assert answered(browser.log_out) == 200
    assert browser.profile(replica=1).status_code == 401

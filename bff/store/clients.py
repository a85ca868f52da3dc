"""Which kind of Redis is it, and how long do we wait for it?

One server, a master that sentinels know, or a cluster; the scheme of `REDIS_URL` says which:

    redis://…, rediss://…, unix://…                         one server
    redis+sentinel://host:26379,host:26379/mymaster/0       a master that sentinels know
    redis+cluster://host:6379,host:6379                     a cluster

User and password may stand in front of the hosts; they are those of the servers that keep the data.
Nothing is ever read from a replica.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote, urlsplit

import redis
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode, RedisCluster
from redis.retry import Retry
from redis.sentinel import Sentinel

from bff.store.cluster import ClusterClient

SENTINEL_PORT = 26_379
REDIS_PORT = 6379
MAX_CONNECTIONS = 10_000

Client = redis.Redis | ClusterClient


def make_client(url: str, timeout_seconds: float) -> Client:
    """Make the client that *url* asks for; nothing is sent before a command.

    redis-py's defaults are ten retries and five seconds each (LIBRARIES: 3.8 to 7.5 s before an
    answer). Here a dead pooled connection is replaced once and at once, and a time-out is final.
    A retried script can run twice; every script in `scripts` is written for that.
    """
    options: dict[str, Any] = {
        "socket_timeout": timeout_seconds,
        "socket_connect_timeout": timeout_seconds,
        "decode_responses": False,
        # redis-py stops at a hundred; here the server's threads are the bound.
        "max_connections": MAX_CONNECTIONS,
    }
    parts = urlsplit(url)
    if parts.scheme == "redis+cluster":
        return ClusterClient(lambda: make_cluster(url, options), timeout_seconds)
    options["retry"] = Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,))
    if parts.scheme == "redis+sentinel":
        service, _, database = parts.path.strip("/").partition("/")
        hosts = _hosts(parts.netloc, SENTINEL_PORT)
        sentinel = Sentinel(hosts, sentinel_kwargs=options)  # type: ignore[no-untyped-call]
        more = _login(parts.netloc) | options | {"db": int(database or 0)}
        master: redis.Redis = sentinel.master_for(service, **more)  # type: ignore[no-untyped-call]
        return master
    return redis.Redis.from_url(url, **options)


def make_cluster(url: str, options: dict[str, Any]) -> RedisCluster:
    """Make redis-py's own client of the cluster at *url*, by asking its nodes in turn.

    Raises:
        RedisClusterException: None of them answers.
    """
    netloc = urlsplit(url).netloc
    nodes = [ClusterNode(host, port) for host, port in _hosts(netloc, REDIS_PORT)]  # type: ignore[no-untyped-call]
    retry = Retry(NoBackoff(), 1)
    return RedisCluster(startup_nodes=nodes, retry=retry, **_login(netloc), **options)


def _hosts(netloc: str, default_port: int) -> list[tuple[str, int]]:
    found = []
    for host in netloc.rpartition("@")[2].split(","):
        parts = urlsplit(f"//{host}")
        found.append((parts.hostname or "", parts.port or default_port))
    return found


def _login(netloc: str) -> dict[str, Any]:
    name, _, password = netloc.rpartition("@")[0].partition(":")
    given = {"username": unquote(name), "password": unquote(password)}
    return {key: value for key, value in given.items() if value}

"""How is a client made for each kind of Redis: one server, Sentinel, Cluster?

The scheme of `REDIS_URL` selects the kind:

    redis://…, rediss://…, unix://…                         one server
    redis+sentinel://host:26379,host:26379/mymaster/0       a master, found through Sentinels
    redis+cluster://host:6379,host:6379                     a cluster

User and password before the hosts are those of the data servers; those of the Sentinels are in the
query (`?sentinel_username=…&sentinel_password=…`). `rediss+sentinel://` and `rediss+cluster://` use
TLS. All of them take redis-py's TLS options in the query (`?ssl_certfile=…&ssl_keyfile=…`). Nothing
is ever read from a replica.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

import redis
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode, RedisCluster
from redis.connection import parse_url
from redis.credentials import CredentialProvider
from redis.retry import Retry
from redis.sentinel import Sentinel

from bff.store.redis_cluster import ClusterClient
from bff.store.redis_login import without_login

SENTINEL_PORT = 26_379
REDIS_PORT = 6379
MAX_CONNECTIONS = 10_000

Client = redis.Redis | ClusterClient


def make_client(
    url: str,
    timeout_seconds: float,
    ca_file: str | None = None,
    on_connect: Callable[[Any], None] | None = None,
    login: CredentialProvider | None = None,
) -> Client:
    """Make a client for *url*; nothing is sent before the first command.

    Args:
        url: As in `REDIS_URL`.
        timeout_seconds: Upper bound for one command, and for connecting.
        ca_file: PEM certificates of CAs to trust besides the system's; ignored without TLS.
        on_connect: Makes a new connection ready in place of redis-py; not on a cluster, whose nodes
            have their own.
        login: Has user and password for each connection, in place of those in *url*.

    redis-py's defaults are ten retries and five seconds each: 3.8 to 7.5 s before an error. Here a
    broken pooled connection is replaced once, at once, and a time-out is final. A retried script
    can run twice; every script in `scripts` allows for that.
    """
    options: dict[str, Any] = {
        "socket_timeout": timeout_seconds,
        "socket_connect_timeout": timeout_seconds,
        "decode_responses": False,
        # redis-py's default is 100; here the server's threads are the limit.
        "max_connections": MAX_CONNECTIONS,
    }
    if login is not None:
        url, options["credential_provider"] = without_login(url), login
    parts = urlsplit(url)
    secure, _, kind = parts.scheme.partition("+")
    if secure == "rediss":
        options["ssl_ca_certs"] = ca_file
    if kind == "cluster":
        return ClusterClient(lambda: make_cluster(url, options), timeout_seconds)
    if on_connect is not None:
        options["redis_connect_func"] = on_connect
    options["retry"] = Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,))
    if kind == "sentinel":
        options |= _tls(parts)
        service, _, database = parts.path.strip("/").partition("/")
        hosts = _hosts(parts.netloc, SENTINEL_PORT)
        without = {"redis_connect_func": None, "credential_provider": None}
        sentinel_options = options | _sentinel_login(parts) | without
        sentinel = Sentinel(hosts, sentinel_kwargs=sentinel_options)  # type: ignore[no-untyped-call]
        more = _login(parts.netloc) | options | {"db": int(database or 0)}
        master: redis.Redis = sentinel.master_for(service, **more)  # type: ignore[no-untyped-call]
        return master
    return redis.Redis.from_url(url, **options)


def make_cluster(url: str, options: dict[str, Any]) -> RedisCluster:
    """Make redis-py's client of the cluster at *url*; it asks the nodes for the slots in turn.

    Raises:
        RedisClusterException: No node responds.
    """
    parts = urlsplit(url)
    nodes = [ClusterNode(host, port) for host, port in _hosts(parts.netloc, REDIS_PORT)]  # type: ignore[no-untyped-call]
    more = options | _tls(parts) | _login(parts.netloc)
    return RedisCluster(startup_nodes=nodes, retry=Retry(NoBackoff(), 1), **more)


def _tls(parts: SplitResult) -> dict[str, Any]:
    """redis-py's TLS options: whether to use it, and those of the query."""
    given = {name: value for name, value in _query(parts).items() if name.startswith("ssl_")}
    return given | {"ssl": True} if parts.scheme.startswith("rediss+") else {}


def _query(parts: SplitResult) -> dict[str, Any]:
    given: dict[str, Any] = parse_url(f"redis://localhost?{parts.query}")  # type: ignore[no-untyped-call]
    return given


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


def _sentinel_login(parts: SplitResult) -> dict[str, Any]:
    given = {name: _query(parts).get(f"sentinel_{name}") for name in ("username", "password")}
    return {name: value for name, value in given.items() if value}

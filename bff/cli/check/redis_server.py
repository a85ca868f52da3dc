"""Does Redis respond, is it new enough, and does it keep what it is told? Nothing is written."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

from bff.cli.check.finding import Finding, Status
from bff.config import Config
from bff.core.errors import StoreUnavailable
from bff.store.connection import Database, connect
from bff.store.server_info import ServerInfo

SUBJECT = "Redis"
OLDEST = (6, 2)
SLOW_MILLISECONDS = 20.0
"""Several times what a request may cost in all."""
LOOKS = 3
ADVICE = {
    "NoPermission": "Allow the user of REDIS_URL this, for keys under BFF_REDIS_PREFIX (ACL)",
    "auth|password": "Set user and password in REDIS_URL (redis://user:password@host:port/0)",
    "DB index": "Set the number at the end of REDIS_URL to a database that it has, such as 0",
    "BusyLoading": "Wait: the server of REDIS_URL has just started, and reads its data",
    "protected mode": "Set a password at the server of REDIS_URL, and in REDIS_URL",
    "max number of clients": "Raise maxclients at the server of REDIS_URL (docs/deploy.md)",
    "MovedError": "Set REDIS_URL to redis+cluster://host:port, as it is a cluster",
    "'SENTINEL'": "Set REDIS_URL to the address of a Sentinel, or to redis:// if there is none",
}
"""What to do, by a part of what redis-py or the server says."""
# A user in Redis may lack the right to `INFO`.
ASK = "local info = redis.pcall('INFO') if type(info) == 'table' then return '' end return info"


def findings(config: Config) -> list[Finding]:
    """Rows for the server, or for each master of a cluster."""
    database = connect(config)
    has_tls = config.redis_url.get_secret_value().startswith("rediss")
    try:
        infos = database.info_of_masters() or [_info(database)]
        milliseconds = min(_milliseconds(database) for _ in range(LOOKS))
    except StoreUnavailable as error:
        # Of a client, redis-py shows the inside.
        meaning = error.detail.partition(" : <")[0]
        return [Finding(SUBJECT, "failed", meaning, _advice(meaning, has_tls=has_tls))]
    finally:
        database.client.close()
    tls = "TLS" if has_tls else "no TLS"
    rows = [row for info in infos for row in _of_server(config, info, tls)]
    return list(dict.fromkeys([*rows, *_latency(milliseconds)]))


def _info(database: Database) -> bytes:
    info: bytes = database.command("EVAL", ASK, 1, database.keys.absent())
    return info


def _milliseconds(database: Database) -> float:
    began = time.monotonic()
    database.now()
    return (time.monotonic() - began) * 1000


def _advice(detail: str, *, has_tls: bool) -> str:
    for said, advice in ADVICE.items():
        if re.search(said, detail, re.IGNORECASE):
            return advice
    # Sentinel and Cluster hide the cause.
    tls = "BFF_CA_FILE to the CA of its certificate" if has_tls else "to rediss:// if it wants TLS"
    return f"Start it, or set REDIS_URL to its host and port, and {tls}"


def _of_server(config: Config, info: bytes, tls: str) -> Iterator[Finding]:
    if not info:
        meaning = f"responds ({tls}), but this user may not send INFO"
        advice = "Allow the user of REDIS_URL to, or nobody is told of evictions"
        yield Finding(SUBJECT, "warning", meaning, advice)
        return
    server = ServerInfo.of(info)
    version = tuple(int(part) for part in re.findall(r"\d+", server.version)[:2])
    if version < OLDEST:
        yield Finding(
            SUBJECT, "failed", f"version {server.version} is too old", "REDIS_URL: 6.2 or later"
        )
        return
    yield Finding(SUBJECT, "ok", f"version {server.version}, {tls}")
    if not server.is_master:
        yield Finding(SUBJECT, "failed", "is a replica", "Set REDIS_URL to the master")
    problems = server.problems().values()
    for problem in problems:
        meaning, _, advice = problem.partition(": ")
        meaning = meaning.removeprefix("Redis ")
        status: Status = "warning" if config.redis_may_lose_data else "failed"
        accepted = ", or BFF_REDIS_MAY_LOSE_DATA=true if you know better"
        yield Finding(SUBJECT, status, meaning, f"At the server of REDIS_URL: {advice}{accepted}")
    if not problems:
        yield Finding("Redis's memory", "ok", "append-only file on; no key is evicted")


def _latency(milliseconds: float) -> Iterator[Finding]:
    took = f"answers in {milliseconds:.1f} ms"
    if milliseconds > SLOW_MILLISECONDS:
        advice = "Put the server of REDIS_URL nearer"
        yield Finding("Redis's latency", "warning", f"{took}; each request waits for it", advice)
    else:
        yield Finding("Redis's latency", "ok", took)

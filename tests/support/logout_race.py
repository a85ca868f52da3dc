"""How does a test race a logout against requests and refreshes in flight, at several replicas?

Requests go to all replicas without a pause, and the logout to a random one. Requests that are sent
after its response must be refused.
"""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass, field

from tests.support.ageing import age_access_token, record_name
from tests.support.browser_client import BrowserClient
from tests.support.cluster import Cluster
from tests.support.storm import Response, Shot, run, shoot

REPLICAS = 3
CLIENTS = 6
AFTER = 4
"""Requests that each client sends after the response to the logout."""
PATHS = ("/api/items", "/auth/profile?slide=true", "/api/whoami")


@dataclass
class Seen:
    """What happened in all rounds, so that the test notices if there was no race."""

    before: int = 0
    after: int = 0
    refreshed: int = 0
    responses: list[Response] = field(default_factory=list)


def race_rounds(cluster: Cluster, count: int) -> None:
    """Sign in, race and check every response, *count* times."""
    seen = Seen()
    for number in range(count):
        one_round(cluster, random.Random(number), seen)  # noqa: S311
    assert seen.before > 0, "nothing was in flight before the logout"
    assert seen.after > 0, "nothing was sent after it"
    assert seen.refreshed > 0, "no logout met a refresh"
    every_refresh_token_is_revoked_or_waits(cluster)
    assert cluster.keys("session") == []


def one_round(cluster: Cluster, chance: random.Random, seen: Seen) -> None:
    """One sign-in, and the race at its logout."""
    browser = cluster.browser()
    browser.log_in(replica=chance.randrange(REPLICAS))
    # Expired, expiring or fresh: with and without a refresh in flight.
    age_access_token(cluster, browser.cookie, chance.choice([0, 0, 30, 299]), noticed=False)
    refreshed = cluster.counts().get("token.refresh_token.ok", 0)
    responses, logout = run(race(cluster, browser, chance))
    assert logout.status == 200, logout
    for response in responses:
        sets = response.headers.get("set-cookie", "")
        assert "session=" not in sets, f"a late Set-Cookie: {response}"
        if response.sent_at > logout.received_at:
            seen.after += 1
            assert response.status == 401, f"got through after the logout: {response}"
        elif response.status == 200:
            seen.before += 1
    assert cluster.store().exists(record_name(cluster, browser.cookie)) == 0
    seen.refreshed += cluster.counts().get("token.refresh_token.ok", 0) > refreshed
    browser.close()


async def race(
    cluster: Cluster, browser: BrowserClient, chance: random.Random
) -> tuple[list[Response], Response]:
    """Clients at all replicas, and a logout at a random instant at a random replica."""
    answered = asyncio.Event()
    cookie = browser.cookie or ""

    async def client(port: int) -> list[Response]:
        responses, left = [], AFTER
        while left:
            left -= answered.is_set()
            responses.append(await shoot(Shot(port, chance.choice(PATHS), cookie)))
        return responses

    async def logout() -> Response:
        # The random delay chooses the instant of the logout; it waits for nothing.
        await asyncio.sleep(chance.uniform(0, 0.03))
        port = cluster.ports[chance.randrange(REPLICAS)]
        response = await shoot(Shot(port, "/auth/logout", cookie, "POST", {"Content-Length": "0"}))
        answered.set()
        return response

    clients = asyncio.gather(*(client(cluster.ports[i % REPLICAS]) for i in range(CLIENTS)))
    response = await logout()
    return [a for responses in await clients for a in responses], response


def every_refresh_token_is_revoked_or_waits(cluster: Cluster) -> None:
    """Every refresh token is revoked at the provider, or its revocation is in the outbox."""
    give_up_at = time.monotonic() + 20
    while active := [t for t in cluster.issued("refresh_token") if t["state"] == "active"]:
        waiting = len(cluster.keys("{outbox}:entry"))
        if len(active) <= waiting:
            return
        assert time.monotonic() < give_up_at, f"{len(active)} active, {waiting} in the outbox"

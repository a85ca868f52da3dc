"""deploy/: slow clients in front of nginx, Caddy and Traefik keep nobody waiting (promise 11)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest

from tests.deploy.api import whole
from tests.deploy.caddy import BehindCaddy
from tests.deploy.installation import Installation
from tests.deploy.nginx import BehindNginx
from tests.deploy.traefik import BehindTraefik
from tests.support import raw_client
from tests.support.scale import rounds
from tests.support.slow_clients import (
    AT_MOST_SECONDS,
    ENVIRONMENT,
    OWN_ROUTES,
    head,
    resident_bytes,
    slow_clients,
    slowest_step,
    unfinished,
)
from tests.support.waiting import once_below, wait_for

PROXIES: dict[str, type[Installation]] = {
    "nginx": BehindNginx, "caddy": BehindCaddy, "traefik": BehindTraefik
}  # fmt: skip
CLIENTS = rounds(full=500, reduced=150)
KINDS = (
    "bodies", "uploads", "anonymous uploads", "unread responses", "unread responses to writes",
    "heads", "nothing",
)  # fmt: skip
LARGE_BYTES = 3_000_000
MEMORY_BYTES = 500_000_000
"""How much more a BFF may need."""
ENDED_SECONDS = 55
"""The BFF needs 42 for the announced length; Caddy gives up by itself after 60."""
MORE_THAN_PLACES = 60
"""A session's places on one route are 48."""
CSRF = {"X-CSRF": "1"}
LENGTH = f"Content-Length: {LARGE_BYTES}"
ONE_BYTE = "Content-Length: 1"


@pytest.fixture(scope="module", params=PROXIES.values(), ids=list(PROXIES))
def here(request: pytest.FixtureRequest) -> Iterator[Installation]:
    with request.param(env=ENVIRONMENT) as here:
        yield here


@pytest.mark.parametrize("kind", KINDS)
def test_promise_11_slow_clients_keep_nobody_waiting(here: Installation, kind: str) -> None:
    user, replica = here.user(), here.cluster.replicas[0]
    here.api.answers |= dict.fromkeys(("/large", "/events/large"), whole(bytes(LARGE_BYTES)))
    each = {
        "bodies": [unfinished(target) for target in OWN_ROUTES],
        # Only the BFF forwards this route.
        "uploads": [head(user, "POST", "/api/events", LENGTH) + b"x"],
        "anonymous uploads": [head(None, "POST", "/api/items", LENGTH) + b"x"],
        "unread responses": [head(user, "GET", "/api/large")],
        "unread responses to writes": [head(user, "POST", "/api/events/large", ONE_BYTE) + b"x"],
        "heads": [b"GET / HTTP/1.1\r\nHost:"],
        "nothing": [b""],
    }[kind]

    def slowest() -> float:
        return slowest_step(here.browser(signed_in=False), partial(here.ask, "/healthz"))

    sent = [each[number % len(each)] for number in range(CLIENTS)]
    before = resident_bytes(replica)
    with slow_clients(here.port, sent, here.tls()):
        for _ in range(2):
            once_below(AT_MOST_SECONDS, slowest, "seconds of the slowest step")
        assert resident_bytes(replica) - before < MEMORY_BYTES


def test_promise_11_uploads_that_stall_give_their_places_back(here: Installation) -> None:
    """Caddy and Traefik keep their connection to the client; nginx ends the upload itself."""
    user = here.user()
    stalled = head(user, "POST", "/api/events", LENGTH) + b"x"

    def upload() -> int:
        with user.fetch("POST", "/api/events", data=b"x", headers=CSRF, stream=True) as response:
            return response.status_code

    with slow_clients(here.port, [stalled] * MORE_THAN_PLACES, here.tls()) as clients:
        wait_for(lambda: upload() == 503, "the user's places are taken")
        wait_for(lambda: upload() == 200, "the places are given back", ENDED_SECONDS)
        assert user.profile().status_code == 200
        for client in clients if isinstance(here, BehindNginx) else []:
            client.settimeout(ENDED_SECONDS)
            assert raw_client.read_all(client).status in (0, 408, 503)

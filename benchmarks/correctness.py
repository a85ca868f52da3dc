"""What does everybody do right? Three things that go wrong in many a BFF, counted.

The access tokens live for seconds here, and the upstream refuses one that has expired. The provider
ends a grant when a refresh token is spent twice, as Auth0 does.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from benchmarks.browser import FETCH, Browser, Response, in_threads
from benchmarks.contestants import Contestant, Surroundings
from benchmarks.ground import Ground
from tests.support.storm import Response as Shown
from tests.support.storm import Shot, fire

ACCESS_TOKEN_SECONDS = 6
STORM_REQUESTS = 50
IN_FLIGHT = 10
REVOCATION_WAIT_SECONDS = 30
"""How long after the outage a revocation may still come."""


@dataclass
class Row:
    """What was counted of one contestant."""

    contestant: str
    storms: int = 0
    storm_requests: int = 0
    storm_failed: int = 0
    """Requests that were not answered 200."""
    storm_signed_out: int = 0
    """Sessions that were over after their storm."""
    storm_refreshes: list[int] = field(default_factory=list)
    """How often the provider was asked with a refresh token, per storm."""
    races: int = 0
    undone: int = 0
    """Logouts after which the session could be used again."""
    refreshing_races: int = 0
    refreshing_undone: int = 0
    """The same where the requests in flight find an access token that has expired."""
    alive_after_logout: bool = False
    """Whether the refresh token could be used after an ordinary logout."""
    alive_after_outage: bool = False
    """The same where the revocation endpoint was down during the logout, and came back."""


def measure(
    ground: Ground, kinds: Sequence[type[Contestant]], *, storms: int, races: int
) -> list[Row]:
    """Count everything for contestants of these kinds, which are started anew."""
    contestants = [kind() for kind in kinds]
    provider = ground.start_provider([c.client() for c in contestants], ACCESS_TOKEN_SECONDS)
    around = Surroundings(ground, provider, ground.checking_upstream, ACCESS_TOKEN_SECONDS)
    rows = {}
    for contestant in contestants:
        contestant.start(around)
        rows[contestant.name] = Row(contestant.name)
    for contestant in contestants:
        _storms(contestant, around, rows[contestant.name], storms)
    for contestant in contestants:
        _races(contestant, rows[contestant.name], races)
    _revocations(contestants, around, rows)
    return list(rows.values())


# ---------------------------------------------------------------- the refresh storm
def _storms(contestant: Contestant, around: Surroundings, row: Row, count: int) -> None:
    browsers = _signed_in(contestant, "storm", count)
    _wait_for_expiry()
    for browser in browsers:
        around.provider.control("counts")
        shown = fire([_shot(contestant, browser, "/1k")] * STORM_REQUESTS)
        for response in sorted(shown, key=lambda one: one.received_at):
            browser.keep(_response(contestant, response))
        row.storm_failed += sum(response.status != 200 for response in shown)
        counts = around.provider.control("counts")
        asked = [n for name, n in counts.items() if name.startswith("token.refresh_token.")]
        row.storm_refreshes.append(sum(asked))
    row.storms, row.storm_requests = count, count * STORM_REQUESTS
    # Signed out is who can't have the next access token.
    _wait_for_expiry()
    row.storm_signed_out = sum(contestant.call(browser).status != 200 for browser in browsers)


# ---------------------------------------------------------------- a logout and requests in flight
def _races(contestant: Contestant, row: Row, count: int) -> None:
    for number, browser in enumerate(_signed_in(contestant, "race", count)):
        row.undone += _is_undone(contestant, browser, number)
        row.races += 1
    browsers = _signed_in(contestant, "refreshing-race", count)
    _wait_for_expiry()
    for number, browser in enumerate(browsers):
        row.refreshing_undone += _is_undone(contestant, browser, number)
        row.refreshing_races += 1


def _is_undone(contestant: Contestant, browser: Browser, number: int) -> bool:
    """Sign out while requests are answered; whether the session can be used after that.

    By a thief who kept the cookie from before, or by the browser, which does what all answers say.
    """
    kept_before = browser.cookies(contestant.base_url)
    shots = [_shot(contestant, browser, f"/slow/{20 + 20 * n}") for n in range(IN_FLIGHT)]
    with ThreadPoolExecutor(1) as pool:
        in_flight = pool.submit(fire, shots)
        # The logout comes a little later each time, and so meets the requests in other places.
        time.sleep(0.005 * (number % 10 + 1))
        contestant.log_out_here(browser)
        shown = in_flight.result()
    for response in sorted(shown, key=lambda one: one.received_at):
        browser.keep(_response(contestant, response))
    thief = Browser()
    thief.hold(contestant.base_url, kept_before)
    return any(contestant.call(one).status == 200 for one in (thief, browser))


# ---------------------------------------------------------------- the revocation
def _revocations(
    contestants: Sequence[Contestant], around: Surroundings, rows: dict[str, Row]
) -> None:
    provider = around.provider
    for contestant in contestants:
        contestant.log_out(contestant.signed_in("leaving"))
    provider.control("revocation-down")
    staying = [contestant.signed_in("leaving-in-an-outage") for contestant in contestants]
    for contestant, browser in zip(contestants, staying, strict=True):
        contestant.log_out(browser)
    provider.control("revocation-up")
    time.sleep(REVOCATION_WAIT_SECONDS)
    alive = {
        (token["client_id"], token["account"])
        for token in provider.control("refresh-tokens")
        if token["alive"]
    }
    for contestant in contestants:
        row = rows[contestant.name]
        row.alive_after_logout = (contestant.client_id, "leaving") in alive
        row.alive_after_outage = (contestant.client_id, "leaving-in-an-outage") in alive


# ---------------------------------------------------------------- for all of them
def _signed_in(contestant: Contestant, what: str, count: int) -> list[Browser]:
    return in_threads([f"{what}-{number}" for number in range(count)], contestant.signed_in)


def _wait_for_expiry() -> None:
    """All access tokens that were issued until now."""
    time.sleep(ACCESS_TOKEN_SECONDS + 1)


def _shot(contestant: Contestant, browser: Browser, path: str) -> Shot:
    address = urlsplit(contestant.base_url).netloc
    cookies = browser.cookies(contestant.base_url)
    fields = FETCH | {"Host": address, "Cookie": cookies}
    return Shot(contestant.port, f"/api{path}", cookie="", headers=fields)


def _response(contestant: Contestant, shown: Shown) -> Response:
    headers = list(shown.headers.items())
    return Response(contestant.base_url, shown.status, headers, shown.body)

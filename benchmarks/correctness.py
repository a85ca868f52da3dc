"""What does each contestant get right? Three faults that many BFFs have, counted.

The access tokens are valid for seconds here, and the upstream refuses expired ones. The provider
ends a grant when a refresh token is used twice, as Auth0 does.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from benchmarks.browser import FETCH, Browser, Response, in_threads
from benchmarks.contestants import Contestant, RunContext
from benchmarks.testbed import Testbed
from tests.support.storm import Response as StormResponse
from tests.support.storm import Shot, fire

ACCESS_TOKEN_SECONDS = 6
STORM_REQUESTS = 50
IN_FLIGHT = 10
REVOCATION_WAIT_SECONDS = 30
"""How long after the outage a revocation may come."""


@dataclass
class Row:
    """The counts of one contestant."""

    contestant: str
    storms: int = 0
    storm_requests: int = 0
    storm_failed: int = 0
    """Requests with a status other than 200."""
    storm_signed_out: int = 0
    """Sessions that ended by the storm."""
    storm_refreshes: list[int] = field(default_factory=list)
    """Refresh requests at the provider, per storm."""
    races: int = 0
    undone: int = 0
    """Logouts after which the session could be used."""
    refreshing_races: int = 0
    refreshing_undone: int = 0
    """The same if the requests in flight need a refresh."""
    token_valid_after_logout: bool = False
    """Whether the refresh token was valid after an ordinary logout."""
    token_valid_after_outage: bool = False
    """The same if the revocation endpoint was down during the logout, and recovered."""


def measure(
    testbed: Testbed, kinds: Sequence[type[Contestant]], *, storms: int, races: int
) -> list[Row]:
    """Start contestants of these kinds and count everything."""
    contestants = [kind() for kind in kinds]
    provider = testbed.start_provider([c.client() for c in contestants], ACCESS_TOKEN_SECONDS)
    context = RunContext(testbed, provider, testbed.checking_upstream, ACCESS_TOKEN_SECONDS)
    rows = {}
    for contestant in contestants:
        contestant.start(context)
        rows[contestant.name] = Row(contestant.name)
    for contestant in contestants:
        _storms(contestant, context, rows[contestant.name], storms)
    for contestant in contestants:
        _races(contestant, rows[contestant.name], races)
    _revocations(contestants, context, rows)
    return list(rows.values())


# ---------------------------------------------------------------- the refresh storm
def _storms(contestant: Contestant, context: RunContext, row: Row, count: int) -> None:
    browsers = _signed_in(contestant, "storm", count)
    _wait_for_expiry()
    for browser in browsers:
        context.provider.control("counts")
        responses = fire([_shot(contestant, browser, "/1k")] * STORM_REQUESTS)
        for response in sorted(responses, key=lambda one: one.received_at):
            browser.store_cookies(_response(contestant, response))
        row.storm_failed += sum(response.status != 200 for response in responses)
        counts = context.provider.control("counts")
        asked = [n for name, n in counts.items() if name.startswith("token.refresh_token.")]
        row.storm_refreshes.append(sum(asked))
    row.storms, row.storm_requests = count, count * STORM_REQUESTS
    # A session counts as signed out if it can't get the next access token.
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
    """Sign out during requests; returns whether the session can be used afterwards.

    By a thief with the old cookie, or by the browser with the cookies of all responses.
    """
    cookies_before = browser.cookies(contestant.base_url)
    shots = [_shot(contestant, browser, f"/slow/{20 + 20 * n}") for n in range(IN_FLIGHT)]
    with ThreadPoolExecutor(1) as pool:
        in_flight = pool.submit(fire, shots)
        # The logout comes a little later each time, at another point of the requests.
        time.sleep(0.005 * (number % 10 + 1))
        contestant.log_out_here(browser)
        responses = in_flight.result()
    for response in sorted(responses, key=lambda one: one.received_at):
        browser.store_cookies(_response(contestant, response))
    thief = Browser()
    thief.set_cookies(contestant.base_url, cookies_before)
    return any(contestant.call(one).status == 200 for one in (thief, browser))


# ---------------------------------------------------------------- the revocation
def _revocations(
    contestants: Sequence[Contestant], context: RunContext, rows: dict[str, Row]
) -> None:
    provider = context.provider
    for contestant in contestants:
        contestant.log_out(contestant.signed_in("leaving"))
    provider.control("revocation-down")
    browsers = [contestant.signed_in("leaving-in-an-outage") for contestant in contestants]
    for contestant, browser in zip(contestants, browsers, strict=True):
        contestant.log_out(browser)
    provider.control("revocation-up")
    time.sleep(REVOCATION_WAIT_SECONDS)
    valid = {
        (token["client_id"], token["account"])
        for token in provider.control("refresh-tokens")
        if token["alive"]
    }
    for contestant in contestants:
        row = rows[contestant.name]
        row.token_valid_after_logout = (contestant.client_id, "leaving") in valid
        row.token_valid_after_outage = (contestant.client_id, "leaving-in-an-outage") in valid


# ---------------------------------------------------------------- for all of them
def _signed_in(contestant: Contestant, what: str, count: int) -> list[Browser]:
    return in_threads([f"{what}-{number}" for number in range(count)], contestant.signed_in)


def _wait_for_expiry() -> None:
    """Wait until all access tokens that were issued until now have expired."""
    time.sleep(ACCESS_TOKEN_SECONDS + 1)


def _shot(contestant: Contestant, browser: Browser, path: str) -> Shot:
    address = urlsplit(contestant.base_url).netloc
    cookies = browser.cookies(contestant.base_url)
    fields = FETCH | {"Host": address, "Cookie": cookies}
    return Shot(contestant.port, f"/api{path}", cookie="", headers=fields)


def _response(contestant: Contestant, responses: StormResponse) -> Response:
    headers = list(responses.headers.items())
    return Response(contestant.base_url, responses.status, headers, responses.body)

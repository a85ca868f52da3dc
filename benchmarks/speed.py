"""How fast is each contestant? All are measured in every round, so noise affects all alike."""

from __future__ import annotations

import json
import time
from base64 import urlsafe_b64decode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import load
from benchmarks.browser import FETCH, Browser, Response, ask, in_threads
from benchmarks.contestants import Contestant
from benchmarks.testbed import SIZES, Testbed

DIRECT = "direct call"
"""Requests of wrk directly to the upstream."""
WARM_UP_SECONDS = 1


@dataclass(frozen=True)
class Cell:
    """One kind of load."""

    size: str
    connections: int


@dataclass(frozen=True)
class Sample:
    """One measurement of one contestant."""

    contestant: str
    cell: Cell
    round: int
    load: load.Load
    cpu_us: float
    """CPU time per request of all processes, in user and system mode; 0 if direct."""
    resident_bytes: int


@dataclass(frozen=True)
class Candidate:
    """A contestant, or the upstream itself, that can be put under load."""

    name: str
    url: str
    sessions: Path
    contestant: Contestant | None = None
    sign_ins_per_second: float = 0.0
    """The provider on the other core is as busy with them."""
    sign_in_cpu_us: float = 0.0
    """CPU time of the contestant, per sign-in."""


def ready(contestant: Contestant, testbed: Testbed, sessions: int) -> Candidate:
    """Sign in *sessions* users, and check that the contestant works."""
    logins = [f"person-{number}" for number in range(sessions)]
    used, began = contestant.cpu_seconds(), time.monotonic()
    browsers = in_threads(logins, contestant.signed_in)
    took, used = time.monotonic() - began, contestant.cpu_seconds() - used
    check(contestant, browsers[0], logins[0])
    file = testbed.subfolder(f"{contestant.name}-sessions") / "cookies"
    lines = [f"Cookie: {browser.cookies(contestant.base_url)}\n" for browser in browsers]
    file.write_text("".join(lines))
    return Candidate(
        contestant.name,
        f"{contestant.base_url}/api",
        file,
        contestant,
        sign_ins_per_second=sessions / took,
        sign_in_cpu_us=used / sessions * 1e6,
    )


def ready_direct(testbed: Testbed, contestant: Contestant) -> Candidate:
    """The upstream itself, with a token of a contestant."""
    seen = _seen(contestant.call(contestant.signed_in("person-direct"), "/seen"))
    file = testbed.subfolder("direct-sessions") / "tokens"
    file.write_text(f"Authorization: {seen['authorization']}\n")
    return Candidate(DIRECT, testbed.upstream, file)


def check(contestant: Contestant, browser: Browser, login: str) -> None:
    """Check that the upstream gets this user's token and no cookie, and that others get 401."""
    seen = _seen(contestant.call(browser, "/seen"))
    payload = seen["authorization"].split(".")[1]
    claims = json.loads(urlsafe_b64decode(payload + "=="))
    assert claims["sub"] == login, claims
    assert claims["client_id"] == contestant.client_id, claims
    contestant.check_seen(seen)
    refused = ask("GET", f"{contestant.base_url}/api/1k", FETCH)
    assert refused.status == 401, (
        f"{contestant.name} lets in requests without a session: {refused.status}"
    )
    for size, size_bytes in SIZES.items():
        assert len(contestant.call(browser, f"/{size}").body) == size_bytes


def rounds(
    candidates: Sequence[Candidate], cells: Mapping[Cell, int], seconds: int
) -> Iterator[Sample]:
    """Measure all in every cell, as many rounds as it says; each round begins with another one.

    Many short rounds: other load on the machine then affects all alike.
    """
    for cell, count in cells.items():
        for one in candidates:
            _load(one, cell, WARM_UP_SECONDS)
        for number in range(count):
            begin = number % len(candidates)
            for one in (*candidates[begin:], *candidates[:begin]):
                yield measure_once(one, cell, number, seconds)


def measure_once(one: Candidate, cell: Cell, number: int, seconds: int) -> Sample:
    """Measure one contestant, in the round with this number."""
    before = one.contestant.cpu_seconds() if one.contestant else 0.0
    result = _load(one, cell, seconds)
    if not result.requests:
        # 256 responses of 1 MB are in flight, and none is complete yet.
        return measure_once(one, cell, number, 2 * seconds)
    used = one.contestant.cpu_seconds() - before if one.contestant else 0.0
    resident = one.contestant.resident_bytes() if one.contestant else 0
    return Sample(one.name, cell, number, result, used / result.requests * 1e6, resident)


def _load(one: Candidate, cell: Cell, seconds: int) -> load.Load:
    return load.run(
        f"{one.url}/{cell.size}",
        one.sessions,
        connections=cell.connections,
        seconds=seconds,
        size_bytes=SIZES[cell.size],
    )


def _seen(response: Response) -> dict[str, str]:
    assert response.status == 200, f"{response.url}: {response.status} {response.body[:300]!r}"
    result = json.loads(response.body)
    assert isinstance(result, dict)
    return result

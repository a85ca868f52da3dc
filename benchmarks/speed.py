"""How fast is everybody? Rounds in which all take turns, so that a noisy moment hits them alike."""

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
from benchmarks.ground import SIZES, Ground

DIRECT = "direct call"
"""The load's own call of the upstream, with nobody between."""
WARM_UP_SECONDS = 1


@dataclass(frozen=True)
class Cell:
    """One way to ask."""

    size: str
    connections: int


@dataclass(frozen=True)
class Sample:
    """One turn of one contestant."""

    contestant: str
    cell: Cell
    round: int
    load: load.Load
    cpu_us: float
    """Of all processes of the contestant, in user and system mode, per request; 0 if direct."""
    resident_bytes: int


@dataclass(frozen=True)
class Ready:
    """Who can be put under load."""

    name: str
    url: str
    sessions: Path
    contestant: Contestant | None = None
    sign_ins_per_second: float = 0.0
    """With the provider on the other core, which is as busy with them."""
    sign_in_cpu_us: float = 0.0
    """Of the contestant, per sign-in."""


def ready(contestant: Contestant, ground: Ground, sessions: int) -> Ready:
    """Sign in *sessions* people, and see that the contestant does its job."""
    people = [f"person-{number}" for number in range(sessions)]
    used, began = contestant.cpu_seconds(), time.monotonic()
    browsers = in_threads(people, contestant.signed_in)
    took, used = time.monotonic() - began, contestant.cpu_seconds() - used
    check(contestant, browsers[0], people[0])
    file = ground.subfolder(f"{contestant.name}-sessions") / "cookies"
    lines = [f"Cookie: {browser.cookies(contestant.base_url)}\n" for browser in browsers]
    file.write_text("".join(lines))
    return Ready(
        contestant.name,
        f"{contestant.base_url}/api",
        file,
        contestant,
        sign_ins_per_second=sessions / took,
        sign_in_cpu_us=used / sessions * 1e6,
    )


def ready_direct(ground: Ground, contestant: Contestant) -> Ready:
    """The upstream itself, with a token as the contestants send it."""
    seen = _seen(contestant.call(contestant.signed_in("person-direct"), "/seen"))
    file = ground.subfolder("direct-sessions") / "tokens"
    file.write_text(f"Authorization: {seen['authorization']}\n")
    return Ready(DIRECT, ground.upstream, file)


def check(contestant: Contestant, browser: Browser, login: str) -> None:
    """See that the upstream gets this person's own token and no cookie, and nobody else gets in."""
    seen = _seen(contestant.call(browser, "/seen"))
    payload = seen["authorization"].split(".")[1]
    claims = json.loads(urlsafe_b64decode(payload + "=="))
    assert claims["sub"] == login, claims
    assert claims["client_id"] == contestant.client_id, claims
    contestant.check_seen(seen)
    refused = ask("GET", f"{contestant.base_url}/api/1k", FETCH)
    assert refused.status == 401, f"{contestant.name} lets in whoever comes: {refused.status}"
    for size, size_bytes in SIZES.items():
        assert len(contestant.call(browser, f"/{size}").body) == size_bytes


def rounds(everybody: Sequence[Ready], cells: Mapping[Cell, int], seconds: int) -> Iterator[Sample]:
    """Measure everybody in every cell, as often as that says; each round begins with another one.

    Turns are short and rounds many: what else happens on the machine then hits all alike.
    """
    for cell, count in cells.items():
        for one in everybody:
            _loaded(one, cell, WARM_UP_SECONDS)
        for number in range(count):
            begin = number % len(everybody)
            for one in (*everybody[begin:], *everybody[:begin]):
                yield turn(one, cell, number, seconds)


def turn(one: Ready, cell: Cell, number: int, seconds: int) -> Sample:
    """One turn of one contestant, in the round with this number."""
    before = one.contestant.cpu_seconds() if one.contestant else 0.0
    came = _loaded(one, cell, seconds)
    if not came.requests:
        # 256 answers of 1 MB are under way, and none is whole yet.
        return turn(one, cell, number, 2 * seconds)
    used = one.contestant.cpu_seconds() - before if one.contestant else 0.0
    resident = one.contestant.resident_bytes() if one.contestant else 0
    return Sample(one.name, cell, number, came, used / came.requests * 1e6, resident)


def _loaded(one: Ready, cell: Cell, seconds: int) -> load.Load:
    return load.run(
        f"{one.url}/{cell.size}",
        one.sessions,
        connections=cell.connections,
        seconds=seconds,
        size_bytes=SIZES[cell.size],
    )


def _seen(response: Response) -> dict[str, str]:
    assert response.status == 200, f"{response.url}: {response.status} {response.body[:300]!r}"
    said = json.loads(response.body)
    assert isinstance(said, dict)
    return said

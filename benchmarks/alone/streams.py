"""How many event streams can be open, at which memory, and do they slow other requests?"""

from __future__ import annotations

import asyncio
import statistics
import time
from types import MappingProxyType
from urllib.parse import urlsplit

from benchmarks.browser import FETCH, Browser
from benchmarks.contestants import RunContext
from benchmarks.contestants.ours import Ours
from benchmarks.contestants.ours_behind_nginx import OursBehindNginx
from benchmarks.report import table
from benchmarks.testbed import Testbed

PATH = "/api/stream"
LIMIT = 48
"""Half of the default of `BFF_OPEN_ANSWERS_MAX`, for one session."""
MANY = 480
THROUGH_NGINX = 2000
AT_ONCE = 100
ORDINARY = 200
TOKEN_SECONDS = 3600
SETTLE_SECONDS = 1.0


class ManyStreams(Ours):
    """With a higher limit."""

    settings_changed = MappingProxyType({"BFF_OPEN_ANSWERS_MAX": str(2 * MANY)})


def measure(testbed: Testbed) -> str:
    """Through Granian with the default limit and a higher one, and through nginx."""
    plans: list[tuple[Ours, int, str]] = [
        (Ours(), LIMIT, "ours, as shipped"),
        (ManyStreams(), MANY, f"ours, `BFF_OPEN_ANSWERS_MAX={2 * MANY}`"),
        (OursBehindNginx(), THROUGH_NGINX, "through nginx, which carries them"),
    ]
    rows = []
    for ours, count, title in plans:
        with testbed.phase():
            rows.append([title, *_row(testbed, ours, count)])
    titles = [
        "", "open at once", "the next one", "memory per stream, kB",
        "ordinary request without, ms: p50; p99", "with all open",
    ]  # fmt: skip
    return f"### Event streams\n\n{table(titles, rows)}"


def _row(testbed: Testbed, ours: Ours, count: int) -> list[str]:
    provider = testbed.start_provider([ours.client()], TOKEN_SECONDS)
    ours.start(RunContext(testbed, provider, testbed.checking_upstream, TOKEN_SECONDS))
    browser = ours.signed_in("listener")
    _times(ours, browser)
    before, empty = _times(ours, browser), ours.resident_bytes()
    return asyncio.run(_with_streams(ours, browser, count, before, empty))


async def _with_streams(
    ours: Ours, browser: Browser, count: int, before: str, empty_bytes: int
) -> list[str]:
    gate = asyncio.Semaphore(AT_ONCE)
    opened = await asyncio.gather(*(_open(ours, browser, gate) for _ in range(count)))
    is_open = [writer for status, writer in opened if status == 200]
    await asyncio.sleep(SETTLE_SECONDS)
    each = (ours.resident_bytes() - empty_bytes) / max(1, len(is_open)) / 1000
    status, last = await _open(ours, browser, gate)
    next_one = str(status) if status != 200 else "open, too"
    after = await asyncio.to_thread(_times, ours, browser)
    for writer in (*(writer for _, writer in opened), last):
        writer.close()
    return [str(len(is_open)), next_one, f"{each:.0f}", before, after]


async def _open(
    ours: Ours, browser: Browser, gate: asyncio.Semaphore
) -> tuple[int, asyncio.StreamWriter]:
    """Open a stream and read its first event; returns the status."""
    async with gate:
        reader, writer = await asyncio.open_connection("127.0.0.1", ours.port)
        fields = FETCH | {
            "Host": urlsplit(ours.base_url).netloc,
            "Cookie": browser.cookies(ours.base_url),
            "Accept": "text/event-stream",
            "Accept-Encoding": "identity",
        }
        lines = [f"GET {PATH} HTTP/1.1", *(f"{name}: {text}" for name, text in fields.items())]
        writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
        status = int((await reader.readuntil(b"\r\n")).split()[1])
        if status == 200:
            await reader.readuntil(b"data: begin")
        return status, writer


def _times(ours: Ours, browser: Browser) -> str:
    """The duration of ordinary requests, one after the other."""
    took = []
    for _ in range(ORDINARY):
        began = time.perf_counter()
        assert ours.call(browser).status == 200
        took.append((time.perf_counter() - began) * 1000)
    return f"{statistics.median(took):.1f}; {statistics.quantiles(took, n=100)[98]:.1f}"

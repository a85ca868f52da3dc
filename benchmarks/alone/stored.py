"""How large is a session in Redis, and is a logout slower when there are many of them?"""

from __future__ import annotations

import secrets
import statistics
import time

import redis
from msgspec.structs import replace

from benchmarks.browser import in_threads
from benchmarks.contestants import RunContext
from benchmarks.contestants.ours import Ours
from benchmarks.report import table
from benchmarks.testbed import Testbed
from bff import config
from bff.access.session_cookie import cookie_name
from bff.core.model import Session
from bff.core.sealing import Sealer
from bff.sessions.lifecycle import session_key
from bff.store import SessionRecords
from tests.support.crowd import Crowd

LEVELS = (10, 1_000, 100_000)
LOGOUTS = 20
BATCH = 2_000
TOKEN_SECONDS = 3600


class Copies(Crowd):
    """A crowd whose sessions are as large as that of a real sign-in."""

    def __init__(self, settings: config.Config, cookie_id: str) -> None:
        super().__init__(settings)
        sealer = Sealer([key.get_secret_value() for key in settings.secrets])
        records = SessionRecords(
            self._database,
            sealer,
            idle_seconds=settings.session_idle_seconds,
            token_lifetime_seconds=settings.refresh_token_lifetime_seconds,
        )
        found = records.load(session_key(cookie_id) or "", slide=False)
        assert found, "there is no such session"
        self._template: Session = found[0]

    def _add(self, subject: str, sid: str) -> str:
        cookie_id = secrets.token_urlsafe(32)
        identity = self._template.identity
        claims = identity.claims | {"sub": subject, "email": f"{subject[6:]}@example.com"}
        session = replace(
            self._template,
            key=session_key(cookie_id) or "",
            identity=replace(identity, subject=subject, sid=sid, claims=claims),
        )
        self._indexes.add(session)
        self._records.create(session)
        return cookie_id


def measure(testbed: Testbed) -> str:
    """Fill Redis step by step, and measure logouts at every step."""
    ours = Ours()
    provider = testbed.start_provider([ours.client()], TOKEN_SECONDS)
    context = RunContext(testbed, provider, testbed.upstream, TOKEN_SECONDS)
    ours.start(context)
    settings = config.load(ours.environment(context))
    cookies = ours.signed_in("template").cookies(ours.base_url).split("; ")
    values = dict(cookie.split("=", 1) for cookie in cookies)
    crowd = Copies(settings, values[cookie_name(settings)])
    client = redis.Redis.from_url(testbed.redis_url)
    used_before, there = _used(client), 1
    logouts = []
    for level in LEVELS:
        crowd.of_others(level - there)
        there = level
        logouts.append([f"{level:,}", *_logouts(ours)])
    prefix = f"{settings.redis_prefix}:*"
    per_session = _key_bytes(client, prefix) / there
    used = (_used(client) - used_before) / there
    crowd.close()
    client.close()
    sizes = [
        [f"`MEMORY USAGE` of all its keys, {there:,} sessions", f"{per_session:.0f}"],
        ["`used_memory`, the same", f"{used:.0f}"],
        ["on paper: a million sessions", f"{used * 1_000_000 / 2**30:.1f} GiB"],
    ]
    return (
        f"### Sessions in Redis\n\n{table(['', 'bytes per session'], sizes)}\n\n"
        "### A logout, and how many sessions there are\n\n"
        + table(["sessions", "median, ms", "slowest, ms", "CPU ms"], logouts)
    )


def _logouts(ours: Ours) -> list[str]:
    """Sign in users, and sign them out one after the other."""
    logins = [f"leaving-{secrets.token_hex(4)}" for _ in range(LOGOUTS)]
    browsers = in_threads(logins, ours.signed_in)
    took, used = [], ours.cpu_seconds()
    for browser in browsers:
        began = time.perf_counter()
        ours.log_out_here(browser)
        took.append((time.perf_counter() - began) * 1000)
    used = (ours.cpu_seconds() - used) / LOGOUTS * 1000
    return [f"{statistics.median(took):.0f}", f"{max(took):.0f}", f"{used:.1f}"]


def _used(client: redis.Redis) -> int:
    return int(client.info("memory")["used_memory"])


def _key_bytes(client: redis.Redis, pattern: str) -> int:
    """The memory of all keys."""
    total, waiting, pipeline = 0, 0, client.pipeline(transaction=False)
    for key in client.scan_iter(pattern, count=BATCH):
        pipeline.memory_usage(key, samples=0)
        waiting += 1
        if waiting == BATCH:
            total, waiting = total + int(sum(pipeline.execute())), 0
    return total + int(sum(pipeline.execute()))

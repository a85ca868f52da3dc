"""Can Redis be trusted to remember? Its settings and its losses are watched, by every process.

What is wrong is an error in the log and on `/readyz`. What is lost closes the hole it leaves by
itself (`history_cut`).
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable

from bff.core.errors import StoreUnavailable
from bff.store.connection import Database, Script
from bff.store.history_cut import HistoryCut
from bff.store.server_info import NO_MASTER, ServerInfo

log = logging.getLogger(__name__)

EVICTED = "redis_evicted"
NOT_READY_SECONDS = 10.0
"""After a loss; long enough for a load balancer, which asks every few seconds, to see it."""
SHOWN_SECONDS = 3600.0
"""How long `/readyz` names a loss."""

# KEYS: the cut, the evictions. A user in Redis may lack the right to `INFO`.
_LOOK = Script(
    """
local info = redis.pcall('INFO')
if type(info) == 'table' then info = '' end
return {info, redis.call('GET', KEYS[1]) or '0', redis.call('GET', KEYS[2]) or '{}'}
"""
)


class RedisWatch:
    """Looks at Redis, from a background thread and for `/readyz`.

    Args:
        database: The Redis.
        cut: Closes the hole that a loss leaves.
        may_lose_data: Whether settings with which Redis forgets are accepted.
        on_cut: Called after a cut; told whether it was made here.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        database: Database,
        cut: HistoryCut,
        *,
        may_lose_data: bool,
        on_cut: Callable[[bool], None] = lambda made_here: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._cut = cut
        self._may_lose_data = may_lose_data
        self._on_cut = on_cut
        self._clock = clock
        self._looking = threading.Lock()
        self._settings_problems: dict[str, str] = {}
        self._losses: dict[str, float] = {}
        self._is_replica = False
        self._warned = False

    def look(self, wait_seconds: float = -1) -> None:
        """Look once.

        Args:
            wait_seconds: For another thread's look; -1 for as long as it takes.

        Raises:
            StoreUnavailable: Redis is away, or that look takes longer.
        """
        if not self._looking.acquire(timeout=wait_seconds):
            raise StoreUnavailable("Redis is being looked at for long")
        try:
            self._look()
        finally:
            self._looking.release()

    def _look(self) -> None:
        keys = self._database.keys
        info, cut_at, evicted = self._database.run(_LOOK, [keys.history_cut(), keys.evictions()])
        if self._cut.learn(int(cut_at)):
            self._on_cut(False)
        if not info:
            self._warn_of_silence()
            return
        servers = [ServerInfo.of(one) for one in self._database.info_of_masters() or [info]]
        if not all(server.is_master for server in servers):
            self._refuse_replica()
            return
        self._is_replica = False
        self._note_settings(servers)
        self._note_evictions(servers, json.loads(evicted))

    def problems(self) -> list[str]:
        """What is wrong with this Redis, as stable words; lost data for an hour."""
        now = self._clock()
        lost = [name for name, at in self._losses.items() if now < at + SHOWN_SECONDS]
        return [*[NO_MASTER] * self._is_replica, *self._refused_settings(), *lost]

    def is_sound(self) -> bool:
        """Whether this process may serve with this Redis."""
        since = self._clock() - NOT_READY_SECONDS
        lost = any(at >= since for at in self._losses.values())
        return not (lost or self._is_replica or self._refused_settings())

    def _refused_settings(self) -> list[str]:
        return [] if self._may_lose_data else list(self._settings_problems)

    def _note_settings(self, servers: list[ServerInfo]) -> None:
        found: dict[str, str] = {}
        for server in servers:
            found |= server.problems()
        for name, text in found.items():
            if name not in self._settings_problems:
                log.log(logging.WARNING if self._may_lose_data else logging.ERROR, text)
        self._settings_problems = found

    def _note_evictions(self, servers: list[ServerInfo], known: dict[str, int]) -> None:
        evicted = {server.run_id: server.evicted_keys for server in servers}
        lost = sum(max(0, count - known.get(run_id, 0)) for run_id, count in evicted.items())
        if lost:
            self._lose(EVICTED, f"Redis has evicted {lost} keys")
        if evicted != known:
            # After the cut: a process that is killed in between leaves it to the next look.
            self._database.command("SET", self._database.keys.evictions(), json.dumps(evicted))

    def _lose(self, name: str, text: str) -> None:
        now = self._clock()
        if now >= self._losses.get(name, -NOT_READY_SECONDS) + NOT_READY_SECONDS:
            log.error(
                "%s: access tokens and sign-ins from before count as revoked, and all sessions end "
                "(docs/operate.md, When Redis has lost data)", text,
            )  # fmt: skip
        self._losses[name] = now
        self._cut.make()
        self._on_cut(True)

    def _refuse_replica(self) -> None:
        if not self._is_replica:
            log.error("Redis is a replica now, so what it says may be outdated and is not believed")
        self._is_replica = True
        # Its address, or a Sentinel, may lead to the master by now.
        self._database.disconnect()

    def _warn_of_silence(self) -> None:
        if not self._warned:
            self._warned = True
            log.warning(
                "Redis doesn't answer INFO, so nobody is told if it evicts keys or has no "
                "append-only file"
            )

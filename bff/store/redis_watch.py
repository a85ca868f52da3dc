"""Can Redis be trusted to remember? Its settings and its losses are watched, by every process.

What is wrong is an error in the log and on `/readyz`. What is lost closes the hole it leaves by
itself (`history_cut`).
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from bff.core.errors import StoreUnavailable
from bff.core.own_clock import own_clock
from bff.store.clock_steps import ClockSteps
from bff.store.connection import Database
from bff.store.history_cut import HistoryCut
from bff.store.history_marks import HistoryMarks
from bff.store.known_servers import UNTOLD, KnownServers
from bff.store.node_marks import NodeMarks
from bff.store.redis_look import LOOK, Look
from bff.store.server_info import (
    NO_MASTER,
    TAKES_NO_WRITES,
    ServerInfo,
    hidden_in,
    problem_of_refusal,
)
from bff.store.watch_gap import MAY_BE_RESTORED, WatchGap

log = logging.getLogger(__name__)

LOST_DATA = "redis_lost_data"
NOT_READY_SECONDS = 10.0
"""After a loss; long enough for a load balancer, which asks every few seconds, to see it."""
SHOWN_SECONDS = 3600.0
"""How long `/readyz` names a loss."""
VET_WAIT_SECONDS = 1.0
MARKS_MAX = 10_000
"""More processes than there are at once, with those that are gone."""
SERVERS_MAX = 100


class RedisWatch:
    """Looks at Redis: every second, for `/readyz`, and before requests use another server.

    Args:
        database: The Redis, as requests use it.
        cut: Closes the hole that a loss leaves.
        may_lose_data: Whether settings with which Redis forgets are accepted.
        clock_skew_seconds: How far its clock may be set at once.
        on_cut: Called after a cut; told whether it was made here.
        clock: Seconds, never set.
    """

    def __init__(
        self,
        database: Database,
        cut: HistoryCut,
        *,
        may_lose_data: bool,
        clock_skew_seconds: float = 10,
        on_cut: Callable[[bool], None] = lambda made_here: None,
        clock: Callable[[], float] = own_clock,
    ) -> None:
        self._database = database
        self._own = cut.database
        self._keys = database.keys
        self._marks = database.marks or HistoryMarks(self._keys.marks())
        self._node_marks = NodeMarks(self._own, self._marks, MARKS_MAX)
        self._gap = WatchGap(self._own, self._keys.marks())
        self._servers = database.servers or KnownServers(self._keys.absent())
        self._cut = cut
        self._look_keys = [
            self._keys.history_cut(), self._keys.evictions(), self._keys.marks(), *cut.start_keys,
        ]  # fmt: skip
        self._may_lose_data = may_lose_data
        self._on_cut = on_cut
        self._clock = clock
        self._clock_steps = ClockSteps(clock_skew_seconds)
        self._lock = threading.Lock()
        self._born_at = -1
        """The history start at the last look; -1 before the first."""
        self._settings_problems: dict[str, str] = {}
        self._refusal: dict[str, str] = {}
        self._is_cut_due = False
        self._lost_at: float | None = None
        self._gap_at: float | None = None
        self._has_left = False
        self._vetted_at = 0.0
        self._is_replica = False
        self._warned = False
        self._servers.ask(self._vet)

    def look(self, wait_seconds: float = -1) -> None:
        """Look once.

        Args:
            wait_seconds: For another thread's look; -1 for as long as it takes.

        Raises:
            StoreUnavailable: Redis is away, or that look takes longer.
        """
        with self._looking(wait_seconds):
            self._look()

    def leave(self) -> None:
        """This process ends in good order, and looks no more. It never raises."""
        with suppress(StoreUnavailable), self._looking(VET_WAIT_SECONDS):
            self._has_left = True
            self._gap.leave()

    def problems(self) -> list[str]:
        """What is wrong with this Redis, as stable words; lost data for an hour."""
        lost = [LOST_DATA] * self._is_within(SHOWN_SECONDS, self._lost_at)
        gap = [MAY_BE_RESTORED] * self._is_within(SHOWN_SECONDS, self._gap_at)
        replica = [NO_MASTER] * self._is_replica
        return [*replica, *self._refusal, *self._refused_settings(), *lost, *gap]

    def is_sound(self) -> bool:
        """Whether this process may serve with this Redis."""
        lost = self._is_within(NOT_READY_SECONDS, self._lost_at)
        takes_nothing = self._is_replica or TAKES_NO_WRITES in self._refusal
        return not (lost or takes_nothing or self._refused_settings())

    def _is_within(self, seconds: float, since: float | None) -> bool:
        return since is not None and self._clock() < since + seconds

    def _refused_settings(self) -> list[str]:
        return [] if self._may_lose_data else list(self._settings_problems)

    @contextmanager
    def _looking(self, wait_seconds: float) -> Iterator[None]:
        if not self._lock.acquire(timeout=wait_seconds):
            raise StoreUnavailable("Redis is being looked at for long")
        try:
            yield
        finally:
            self._lock.release()

    def _vet(self, run_id: str) -> None:
        """Look at the server that a new connection leads to, unless another thread just has."""
        asked_at = self._clock()
        with self._looking(VET_WAIT_SECONDS):
            began_at = self._clock()
            if run_id not in self._servers and self._vetted_at <= asked_at:
                self._own.disconnect()
                self._look()
                self._vetted_at = began_at

    def _look(self) -> None:
        if self._has_left:
            return
        if self._gap.look():
            self._gap_at = self._clock()
        mark = self._marks.next()
        must_have = self._marks.confirmed
        asked_at = self._clock()
        reply, is_kept = self._own.run_kept(
            LOOK, self._look_keys, self._marks.member, mark, MARKS_MAX
        )
        found, answered_at = Look._make(reply), self._clock()
        servers = self._servers_of(found)
        if not all(server.is_master for server in servers):
            self._refuse_replica()
            return
        self._is_replica = False
        self._note_settings(servers, found.refusal)
        self._make_cut()
        has_learnt = self._learn(int(found.cut_at))
        if not has_learnt and int(float(found.marked)) < must_have:
            self._note_time_travel(found.born_at)
        redis_at = int(found.time[0]) + int(found.time[1]) / 1_000_000
        self._note_clock_step(self._clock_steps.seconds(asked_at, redis_at, answered_at))
        self._note_evictions(servers, json.loads(found.evicted))
        self._born_at = found.born_at
        if is_kept and not found.refusal:
            self._marks.confirm(mark)
        self._accept(servers)
        if self._node_marks.look() and not has_learnt:
            self._lose("a node of the Redis Cluster has gone back in time")

    def _servers_of(self, found: Look) -> list[ServerInfo]:
        infos = self._own.info_of_masters() or [found.info]
        if not self._warned and (hidden := sorted({n for info in infos for n in hidden_in(info)})):
            self._warned = True
            log.warning(
                "Redis doesn't answer INFO in full, so nobody is told if it evicts keys or has no "
                "append-only file; missing: %s", ", ".join(hidden)
            )  # fmt: skip
        return [ServerInfo.of(info) for info in infos if info]

    def _accept(self, servers: list[ServerInfo]) -> None:
        run_ids = {server.run_id for server in servers} or {UNTOLD}
        if not all(run_id in self._servers for run_id in run_ids - {UNTOLD}):
            self._database.disconnect()  # What still leads to another server.
        self._servers.accept(run_ids)

    def _refuse_replica(self) -> None:
        if not self._is_replica:
            log.error("Redis is a replica now, so what it says may be outdated and is not believed")
        self._is_replica = True
        self._servers.accept([])
        # Its address, or a Sentinel, may lead to the master by now.
        self._own.disconnect()
        self._database.disconnect()

    def _note_settings(self, servers: list[ServerInfo], refusal: bytes) -> None:
        found: dict[str, str] = {}
        for server in servers:
            found |= server.problems()
        level = logging.WARNING if self._may_lose_data else logging.ERROR
        self._settings_problems = _told(found, self._settings_problems, level)
        self._refusal = _told(problem_of_refusal(refusal), self._refusal, logging.ERROR)

    def _learn(self, cut_at: int) -> bool:
        """Learn of another process's cut; returns whether there was one since the last look."""
        if not self._cut.learn(cut_at):
            return False
        if self._born_at >= 0:
            self._tell("Redis has lost data, as another process has seen")
        self._on_cut(False)
        return True

    def _note_time_travel(self, born_at: int) -> None:
        is_older = 0 < born_at <= self._born_at
        if is_older or self._own.command("EXISTS", self._keys.deadlines()):
            self._lose("Redis has gone back in time (restored, or failed over to one far behind)")
            return
        # A new one: there is nothing in it that could be believed. Ends of all sessions are lost,
        # too, but a first start doesn't demand new authentications either.
        log.error("Redis was emptied: all sessions are gone, older access tokens count as revoked")
        self._lost_at = self._clock()
        self._on_cut(False)
        self._cut.refuse_sessions()  # For the other processes, too.

    def _note_clock_step(self, seconds: float) -> None:
        if seconds:
            where = "forward" if seconds > 0 else "back"
            self._lose(f"Redis's clock was set {where} by {abs(seconds):.0f} s")

    def _note_evictions(self, servers: list[ServerInfo], known: dict[str, int]) -> None:
        evicted = {server.run_id: server.evicted_keys for server in servers}
        before = {run_id: known.get(run_id, 0) for run_id in evicted}
        # A smaller number was reset (`CONFIG RESETSTAT`), and has risen again since.
        lost = sum(n - before[i] if n >= before[i] else n for i, n in evicted.items())
        if lost:
            self._lose(f"Redis has evicted {lost} keys")
        if evicted != before:
            # Also those of servers that may be back after the next failover.
            others = {i: n for i, n in known.items() if n and i not in evicted}
            kept = dict(list((others | evicted).items())[-SERVERS_MAX:])
            # After the cut: a process that is killed in between leaves it to the next look.
            self._own.command("SET", self._keys.evictions(), json.dumps(kept))

    def _lose(self, what: str) -> None:
        self._tell(what)
        self._is_cut_due = True
        self._make_cut()

    def _make_cut(self) -> None:
        """Make the cut that is due; if Redis fails, the next look does."""
        if self._is_cut_due:
            self._cut.make()
            self._is_cut_due = False
            self._on_cut(True)

    def _tell(self, what: str) -> None:
        if not self._is_within(NOT_READY_SECONDS, self._lost_at):
            log.error(
                "%s: access tokens and sign-ins from before count as revoked, and all sessions end "
                "(docs/operate.md, When Redis has lost data)", what,
            )  # fmt: skip
        self._lost_at = self._clock()


def _told(found: dict[str, str], known: dict[str, str], level: int) -> dict[str, str]:
    for name, text in found.items():
        if name not in known:
            log.log(level, text)
    return found

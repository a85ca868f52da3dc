"""Does a new connection lead to a server that was looked at?

A Redis with other data than before (restored, failed over, moved) is another process, so it is
reached by a new connection. Nothing is read over one before the watch has looked at that server.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from redis.exceptions import RedisError, ResponseError

from bff.core.errors import StoreUnavailable
from bff.store.server_info import ServerInfo

ASK = "return redis.call('INFO', 'server')"
UNTOLD = ""
"""In place of the run id of a server that doesn't say it: each connection is looked at."""


class KnownServers:
    """Called by redis-py with each new connection. Without a watch every server is accepted.

    Args:
        key: A key of ours, for the script.
    """

    def __init__(self, key: str) -> None:
        self._key = key
        self._run_ids: frozenset[str] | None = None
        self._accepts_untold = False
        self._look: Callable[[str], None] = lambda run_id: None

    def ask(self, look: Callable[[str], None]) -> None:
        """Let *look* look at a server that isn't known, by its run id; it may raise."""
        self._look = look

    def accept(self, run_ids: Collection[str]) -> None:
        """Accept these servers and no others; with `UNTOLD`, what doesn't say its run id, too."""
        self._run_ids = frozenset(run_ids) - {UNTOLD}
        self._accepts_untold = UNTOLD in run_ids

    def __contains__(self, run_id: str) -> bool:
        return self._run_ids is None or run_id in self._run_ids

    def __call__(self, connection: Any) -> None:
        """Make a connection ready, as redis-py does; raises RedisError if it must not be used."""
        connection.on_connect()
        if self._run_ids is None:
            return
        connection.send_command("EVAL", ASK, 1, self._key)
        try:
            run_id = ServerInfo.of(connection.read_response()).run_id
        except ResponseError:
            run_id = UNTOLD  # We may not ask, or it has lost its master.
        if run_id not in self:
            try:
                self._look(run_id)
            except StoreUnavailable as error:
                raise RedisError(error.detail) from error
        if run_id not in self and not (run_id == UNTOLD and self._accepts_untold):
            raise RedisError("not the server that was looked at")

"""Which idle connections to the provider are closed, although no request comes that would notice?

A pool looks at a connection only when it is to be used again. Until then the socket of one that the
provider has closed would stay (CLOSE_WAIT), at both ends of a firewall too.
"""

from __future__ import annotations

import contextlib
import queue
from typing import Any

from urllib3 import PoolManager


def close_idle(connections: PoolManager) -> int:
    """Close those idle *connections* that would not be used again; returns how many."""
    pools: Any = connections.pools
    found = [pools.get(key) for key in pools.keys()]  # noqa: SIM118 - It has no iterator.
    return sum(_close_idle(pool) for pool in found if pool is not None)


def _close_idle(pool: Any) -> int:
    # A request that comes meanwhile opens a connection of its own.
    taken: list[Any] = []
    closed = 0
    with contextlib.suppress(queue.Empty, AttributeError):  # A closed pool has no queue.
        while True:
            taken.append(pool.pool.get(block=False))
    # An empty place is None. The connection that was used last comes out first, so it goes in last.
    usable = [one for one in reversed(taken) if one is not None and one.is_connected]
    for one in taken:
        if one is not None and one not in usable:
            one.close()
            closed += 1
    for one in [None] * (len(taken) - len(usable)) + usable:
        try:
            pool.pool.put(one, block=False)
        except (queue.Full, AttributeError):
            if one is not None:
                one.close()
    return closed

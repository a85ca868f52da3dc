"""What does the log have at the level `debug`? A line for each call of the provider and an API.

It has no more than an operation tells (`bff.core.operations`): no query, header or body.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from bff.core.operations import Fact, Operation

log = logging.getLogger("bff.calls")

SHOWN = frozenset({"provider", "upstream", "refresh_wait"})


class DebugLines:
    """An observer of operations."""

    def begin(self, operation: Operation) -> Callable[[], object]:
        """An operation begins."""
        if operation.kind not in SHOWN or not log.isEnabledFor(logging.DEBUG):
            return _nothing
        began_at = time.perf_counter()

        def end() -> None:
            log.debug(
                "%s %s %s: %s in %.1f ms",
                operation.kind,
                operation.method or "-",
                operation.name,
                operation.status or operation.error or "ok",
                (time.perf_counter() - began_at) * 1000,
            )

        return end

    def note(self, fact: Fact, value: str) -> None:
        """Nothing is said of facts: errors have lines of their own."""


def _nothing() -> None:
    return None

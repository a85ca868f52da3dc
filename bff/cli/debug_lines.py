"""What does the log have at the level `debug`? A line for each call of the provider and an API.

It has no more than an operation tells (`bff.core.operations`): no query, header or body.
"""

from __future__ import annotations

import logging

from bff.core.operations import Fact, Operation

log = logging.getLogger("bff.calls")

SHOWN = frozenset({"provider", "upstream", "refresh_wait"})


class DebugLines:
    """An observer of operations."""

    begin = None

    def ended(self, operation: Operation) -> None:
        """Tell of an operation."""
        if operation.kind in SHOWN:
            log.debug(
                "%s %s %s: %s in %.1f ms",
                operation.kind,
                operation.method or "-",
                operation.name,
                operation.status or operation.error or "ok",
                operation.seconds * 1000,
            )

    def note(self, fact: Fact, value: str) -> None:
        """Nothing is said of facts: errors have lines of their own."""

"""At which steps between a logout request and the provider's confirmation can a process die?

Imported by a BFF process at its start (`start_with`): when a request reaches the step `KILL_AT`,
the process and its process group are killed with SIGKILL. The drain, which passes the same steps
for other processes, isn't affected.
"""

from __future__ import annotations

import functools
import os
import signal
from collections.abc import Callable
from typing import Any

from flask import has_request_context

from bff.provider.revocation_endpoint import RevocationEndpoint
from bff.store import DenyList, Indexes, Outbox, SessionRecords

STEPS: dict[str, tuple[type, str, bool]] = {
    "before the intent": (Outbox, "add", True),
    "after the intent": (Outbox, "add", False),
    "after the tombstone": (SessionRecords, "end_record", False),
    "after the deny-list": (DenyList, "add", False),
    "before the revocation": (RevocationEndpoint, "revoke", True),
    "after the revocation": (RevocationEndpoint, "revoke", False),
    "after the index": (Indexes, "remove", False),
    "after the tombstone went": (SessionRecords, "delete_tombstone", False),
    "after the intent went": (Outbox, "done", False),
}
"""Class, method, and whether the process dies before it or after; in the order of the steps."""


def die_at(step: str) -> None:
    """Patch the method of *step*."""
    owner, name, before = STEPS[step]
    setattr(owner, name, _deadly(getattr(owner, name), before))


def _deadly(method: Callable[..., Any], before: bool) -> Callable[..., Any]:
    @functools.wraps(method)
    def die(*args: Any, **options: Any) -> Any:
        if not has_request_context():
            return method(*args, **options)
        if not before:
            method(*args, **options)
        os.killpg(os.getpgrp(), signal.SIGKILL)
        raise AssertionError("the process wasn't killed")

    return die


if "KILL_AT" in os.environ:
    die_at(os.environ["KILL_AT"])

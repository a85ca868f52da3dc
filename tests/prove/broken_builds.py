"""Which part of the BFF does `BROKEN_BUILD` disable?

The BFF processes import this file at their start (`start_with`), so that `bff/` needs no switch.
"""

from __future__ import annotations

import os
import time
from typing import Any


def no_outbox() -> None:
    """No intents are written, so no interrupted end is completed later."""
    from bff.store import Outbox

    _replace(Outbox, "add_all", lambda self, entries, *, due_in_seconds: None)


def no_drain() -> None:
    """The outbox is never drained."""
    from bff.revocation.revocation import Revocation

    _replace(Revocation, "drain", lambda self: 0)


def no_existence_check() -> None:
    """New tokens are written even if the session has ended."""
    from bff.store import scripts
    from bff.store.connection import Script

    check = "if not r[1] then return 'gone' end"
    source = scripts.REPLACE_TOKENS.source
    assert check in source
    scripts.REPLACE_TOKENS = Script(source.replace(check, "r[1] = r[1] or ARGV[1]"))


def no_watermark() -> None:
    """An end of all sessions raises no watermark."""
    from bff.store import Watermarks

    _replace(Watermarks, "rise", lambda self, group, at=None: int(time.time()) + 1)


def no_deny_list() -> None:
    """Access tokens are valid until they expire."""
    from bff.store import DenyList

    _replace(DenyList, "add", lambda self, revoked: None)


def no_browser() -> None:
    """A sign-in doesn't learn which session its browser had before."""
    from bff.store.browsers import Browsers

    real = Browsers.take

    def take(self: Browsers, own: str, others: list[str], session_key: str) -> set[str]:
        real(self, own, others, session_key)
        return set()

    _replace(Browsers, "take", take)


def _replace(kind: type, name: str, function: Any) -> None:
    assert hasattr(kind, name), f"{kind.__name__} has no {name} any more"
    setattr(kind, name, function)


BUILDS = {
    "outbox": no_outbox,
    "drain": no_drain,
    "existence check": no_existence_check,
    "watermark": no_watermark,
    "one session of a browser": no_browser,
    "deny-list": no_deny_list,
}

if "BROKEN_BUILD" in os.environ:
    BUILDS[os.environ["BROKEN_BUILD"]]()

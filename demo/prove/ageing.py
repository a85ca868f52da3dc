"""How does the proof get a session whose access token is due for renewal, and still valid?

The BFF renews it in the last fifth of its lifetime, so the proof has to wait for that. These
sessions begin before all others and are used when they are due.
"""

from __future__ import annotations

import time

from demo.launch import AUDIENCE
from demo.prove.conditions import NORMAL_SECONDS
from demo.prove.endings import spa
from demo.prove.installation import Installation
from demo.prove.rows import Finding, ProofFailed, Section
from demo.prove.thief import Thief, signed_in

LIFETIME_SECONDS = 40
RENEWED_FROM_SECONDS = LIFETIME_SECONDS * 4 / 5 + 0.5
TOO_LATE_SECONDS = LIFETIME_SECONDS - 4


class Ageing:
    """A copied session that waits for the last fifth of its access token's lifetime."""

    def __init__(self, installation: Installation) -> None:
        """Sign in now; `due` waits."""
        self._world = installation
        self._sign_in()

    def _sign_in(self) -> None:
        self._world.control("POST", "lifetimes", access_token_seconds=LIFETIME_SECONDS)
        try:
            self._thief = signed_in(self._world)
        finally:
            self._world.control("POST", "lifetimes", access_token_seconds=NORMAL_SECONDS)
        self._began_at = time.monotonic()

    def due(self, installation: Installation) -> Thief:
        """Wait until the next request renews the token; sign in again if it is too late."""
        if self._age() > TOO_LATE_SECONDS:
            self._sign_in()
        time.sleep(max(0.0, RENEWED_FROM_SECONDS - self._age()))
        return self._thief

    def _age(self) -> float:
        return time.monotonic() - self._began_at


def replaced_token(installation: Installation, section: Section, thief: Thief) -> None:
    """A refresh replaces the access token just before the logout; both are valid until then."""
    thief.browser.fetch("GET", "/api/items")
    if len(thief.access_tokens(AUDIENCE)) != 2:
        raise ProofFailed("the access token wasn't replaced, or has expired already")
    spa(installation, thief)
    section.ended_now()
    section.attack(
        "two", "how many of both access tokens haven't expired?", "2",
        lambda: _two(thief),
    )  # fmt: skip
    thief.try_access_token(section)
    thief.try_cookie(section)
    thief.try_refresh_token(section)


def _two(thief: Thief) -> Finding:
    count = len(thief.access_tokens(AUDIENCE))
    return Finding(str(count), held=count == 2)

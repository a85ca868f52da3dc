"""What shows that a request comes from the browser that a session is bound to?

A short-lived cookie beside the session's: an instant, and an HMAC over it and the session's hash.
The browser gets the next one for a proof with its key (`bff/core/device_proof.py`). Nothing of
this is stored, so that every replica checks it without a round trip. All keys are derived from
`AUTH0_SECRET`: the newest makes, each one is accepted. Instants are those of Redis's clock.
"""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Iterable
from itertools import islice
from typing import Literal

from bff.core.keyed_hashes import KeyedHashes

COOKIE = "__Host-bound"
"""Chromium 156 binds no cookie whose name begins with `__Host-Http-`."""

EXTRA_SECONDS = 30
"""How much longer than in the browser the cookie is good here, at most: a request may be under way
when it ends there. With a short lifetime no longer than that."""
BINDING_SECONDS_MAX = 3_600
"""The largest `BFF_DEVICE_BINDING_SECONDS`. A cookie that ends later is from before a clock was
set back, and would be good for longer than any setting says."""
CHALLENGE_EXTRA_SECONDS = 180
"""How much longer than the cookie a challenge is good: the browser refreshes two minutes early."""
COOKIES_MAX = 4
"""A browser that doesn't enforce the prefix may send more than one of this name."""

CookieState = Literal["good", "no_cookie", "expired", "foreign"]
Purpose = Literal["register", "refresh"]

_COOKIE = re.compile(r"([1-9][0-9]{0,11})\.([0-9a-f]{64})", re.ASCII)
_CHALLENGE = re.compile(r"([1-9][0-9]{0,11})\.([A-Za-z0-9_-]{22})\.([0-9a-f]{64})", re.ASCII)


class BoundCookies:
    """Makes and checks the values of the short-lived cookie.

    Args:
        hashes: With the keys of the device binding (`Sealer.device_hashes`).
        lifetime_seconds: How long a cookie is good in the browser.
    """

    def __init__(self, hashes: KeyedHashes, lifetime_seconds: int) -> None:
        self._hashes = hashes
        self._good_seconds = lifetime_seconds + min(EXTRA_SECONDS, lifetime_seconds)

    def value(self, session_key: str, now: float) -> str:
        """The value of a cookie for this session that is given out *now*."""
        ends_at = str(int(now) + self._good_seconds)
        return f"{ends_at}.{self._hashes.name('bound cookie', session_key, ends_at)}"

    def state(self, values: Iterable[str], session_key: str, now: float) -> CookieState:
        """Whether one of *values* is good for this session *now*, and otherwise why none is.

        Args:
            values: Those of all cookies of the name, as the request has them.
            session_key: The session's hash.
            now: When, by Redis's clock.
        """
        found: CookieState = "no_cookie"
        for value in islice(values, COOKIES_MAX):
            match = _COOKIE.fullmatch(value)
            if match is None or not self._is_ours(session_key, match[1], match[2]):
                found = "foreign" if found == "no_cookie" else found
            elif now < int(match[1]) <= now + BINDING_SECONDS_MAX + EXTRA_SECONDS:
                return "good"
            else:
                found = "expired"
        return found

    def _is_ours(self, session_key: str, ends_at: str, given: str) -> bool:
        # Almost always by the newest key, and each request asks.
        if hmac.compare_digest(self._hashes.name("bound cookie", session_key, ends_at), given):
            return True
        others = self._hashes.names("bound cookie", session_key, ends_at)[1:]
        return any(hmac.compare_digest(name, given) for name in others)


class DeviceChallenges:
    """Makes and checks what a browser has to sign.

    Args:
        hashes: As for `BoundCookies`.
        lifetime_seconds: How long one is good.
    """

    def __init__(self, hashes: KeyedHashes, lifetime_seconds: int) -> None:
        self._hashes = hashes
        self.lifetime_seconds = lifetime_seconds

    def new(self, purpose: Purpose, session_key: str, now: float) -> str:
        """A challenge for this session and purpose that was never given out before."""
        issued_at, nonce = str(int(now)), secrets.token_urlsafe(16)
        name = self._hashes.name("device challenge", purpose, session_key, issued_at, nonce)
        return f"{issued_at}.{nonce}.{name}"

    def issued_at(
        self, challenge: str, purpose: Purpose, session_key: str, now: float
    ) -> int | None:
        """When a challenge was made that is still good; None for any other text.

        That it is used once only is up to the caller.
        """
        match = _CHALLENGE.fullmatch(challenge)
        if match is None or not int(match[1]) - 1 <= now <= int(match[1]) + self.lifetime_seconds:
            return None
        names = self._hashes.names("device challenge", purpose, session_key, match[1], match[2])
        is_ours = any(hmac.compare_digest(name, match[3]) for name in names)
        return int(match[1]) if is_ours else None


def device_session_ids(hashes: KeyedHashes, session_key: str) -> list[str]:
    """The session's names in the browser (`session_identifier`), that of the newest key first.

    Only the browser is told, so whoever has the cookies alone doesn't know it.
    """
    return [name[:32] for name in hashes.names("device session", session_key)]

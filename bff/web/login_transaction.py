"""Where is a sign-in remembered while the browser is at the provider?

In a sealed cookie of its own, found again by the `state`, so that several tabs can sign in at once
and nobody's memory fills up with sign-ins that were never finished. `SameSite=Lax`, since the
browser comes back from another site; ten minutes; gone once it was used, well or badly.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Callable, Mapping

import msgspec
from flask import Response

from bff.config import Config
from bff.core.errors import ReturnToInvalid, SealInvalid, StateInvalid
from bff.core.model import LoginTransaction
from bff.core.sealing import Sealer

LIFETIME_SECONDS = 600
CLOCKS_APART_SECONDS = 60
"""How far the clocks of two replicas may be apart."""
COOKIES_MAX = 6
COOKIE_MAX_BYTES = 4096
"""Name and value; browsers drop a larger one without a word (RFC 6265, 6.1)."""
COOKIES_MAX_BYTES = 6000
"""All of them together; gunicorn refuses a `Cookie` field of more than 8190 bytes."""
STATE_BYTES = 32
_NAME_CHARACTERS = 16


class LoginTransactions:
    """The sign-ins under way in one browser at a time.

    Args:
        config: Says whether cookies can be `Secure`.
        sealer: Seals what is in them.
        clock: UTC epoch seconds.
    """

    def __init__(
        self, config: Config, sealer: Sealer, clock: Callable[[], float] = time.time
    ) -> None:
        self._secure = config.https
        self._prefix = "__Host-login-" if config.https else "login-"
        self._pattern = re.compile(rf"{self._prefix}[0-9a-f]{{{_NAME_CHARACTERS}}}")
        self._sealer = sealer
        self._clock = clock

    def begin(
        self,
        *,
        return_to: str,
        silent: bool,
        max_age: int | None,
        organization: str | None = None,
        acr_values: str | None = None,
        old_session_key: str | None,
    ) -> LoginTransaction:
        """Make a transaction with a fresh state, nonce and verifier.

        Source: RFC 6749, 10.12; RFC 7636, 4.1; OpenID Connect Core, 15.5.2.
        """
        return LoginTransaction(
            state=secrets.token_urlsafe(STATE_BYTES),
            nonce=secrets.token_urlsafe(STATE_BYTES),
            code_verifier=secrets.token_urlsafe(48),
            return_to=return_to,
            started_at=int(self._clock()),
            silent=silent,
            max_age=max_age,
            organization=organization,
            acr_values=acr_values,
            old_session_key=old_session_key,
        )

    def again(self, pending: LoginTransaction) -> LoginTransaction:
        """The same sign-in once more, with a real authentication at the provider."""
        fresh = self.begin(
            return_to=pending.return_to,
            silent=False,
            max_age=0,
            organization=pending.organization,
            acr_values=pending.acr_values,
            old_session_key=pending.old_session_key,
        )
        return msgspec.structs.replace(fresh, repeated=True)

    def remember(
        self, response: Response, pending: LoginTransaction, cookies: Mapping[str, str]
    ) -> None:
        """Put *pending* into a cookie of *response*, and drop the oldest ones beyond the bounds.

        Raises:
            ReturnToInvalid: It does not fit into a cookie, which only the address can cause.
        """
        name = self._name(pending.state)
        value = self._sealer.seal_text(msgspec.json.encode(pending), _context(name))
        size = len(name) + len(value)
        if size > COOKIE_MAX_BYTES:
            raise ReturnToInvalid("the address to return to is too long for a cookie")
        for dropped in self._beyond_bounds(cookies, size):
            self.forget(response, dropped)
        response.set_cookie(
            name, value, max_age=LIFETIME_SECONDS, path="/",
            secure=self._secure, httponly=True, samesite="Lax",
        )  # fmt: skip

    def find(self, state: str, cookies: Mapping[str, str]) -> tuple[str, LoginTransaction]:
        """The cookie's name and the transaction that *state* belongs to.

        Raises:
            StateInvalid: There is none in this browser, or it is too old or not of our making.
        """
        name = self._name(state)
        pending = self._opened(name, cookies.get(name, ""))
        if pending is None or not hmac.compare_digest(pending.state.encode(), state.encode()):
            raise StateInvalid("no such sign-in in this browser")
        return name, pending

    def forget(self, response: Response, name: str) -> None:
        """Delete a cookie; all its attributes are repeated, or browsers keep a `__Host-` one."""
        response.set_cookie(
            name, "", max_age=0, expires=0, path="/",
            secure=self._secure, httponly=True, samesite="Lax",
        )  # fmt: skip

    def _name(self, state: str) -> str:
        # "surrogatepass": the state of a hostile callback may be anything.
        digest = hashlib.sha256(state.encode("utf-8", "surrogatepass")).hexdigest()
        return self._prefix + digest[:_NAME_CHARACTERS]

    def _opened(self, name: str, value: str) -> LoginTransaction | None:
        """The transaction in a cookie; None if it is not ours, or over."""
        try:
            content = self._sealer.open_text(value, _context(name))
            pending = msgspec.json.decode(content, type=LoginTransaction)
        except (SealInvalid, msgspec.MsgspecError, UnicodeError):
            return None
        age_seconds = self._clock() - pending.started_at
        return pending if -CLOCKS_APART_SECONDS <= age_seconds <= LIFETIME_SECONDS else None

    def _beyond_bounds(self, cookies: Mapping[str, str], new_bytes: int) -> list[str]:
        """The names of those that must go to make room for one of *new_bytes*.

        What can't be opened is left alone: it may belong to another application on this host.
        """
        ours = [
            (pending.started_at, name, len(name) + len(value))
            for name, value in cookies.items()
            if self._pattern.fullmatch(name) and (pending := self._opened(name, value))
        ]
        ours.sort(reverse=True)
        dropped, room_bytes = [], COOKIES_MAX_BYTES - new_bytes
        for position, (_, name, size) in enumerate(ours):
            room_bytes -= size
            if position >= COOKIES_MAX - 1 or room_bytes < 0:
                dropped.append(name)
        return dropped


def _context(name: str) -> str:
    return f"login transaction {name}"

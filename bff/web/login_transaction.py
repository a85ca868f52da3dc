"""Where is a sign-in stored while the browser is at the provider?

In a sealed cookie of its own, found again by the `state`. So several tabs can sign in at once, and
sign-ins that are never finished fill no store. `SameSite=Lax`, since the browser returns from
another site. The cookie is valid for an hour, and is deleted once the code has been used.

`state` carries the page to return to, and what was asked for, a second time, sealed: a callback
that comes again, or too late, has no cookie any more, and its user still gets to that page.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Callable, Mapping
from types import MappingProxyType

import msgspec
from flask import Response

from bff.config import Config
from bff.core.errors import ReturnToInvalid, SealInvalid, StateInvalid
from bff.core.model import LoginTransaction
from bff.core.sealing import Sealer
from bff.web.login_parameters import COUNTS_ONCE, asked_for
from bff.web.return_to import MAX_CHARACTERS

LIFETIME_SECONDS = 3600
"""A user may have to look for a phone, or wait for a mail."""
CLOCK_SKEW_SECONDS = 60
"""How much the clocks of two replicas may differ."""
COOKIES_MAX = 6
COOKIE_MAX_BYTES = 4096
"""Name and value; browsers silently drop a larger cookie (RFC 6265, 6.1)."""
COOKIES_MAX_BYTES = 6000
"""All of them together; gunicorn rejects a `Cookie` header of more than 8190 bytes."""
STATE_BYTES = 32
SILENT_CONTEXT = "silent sign-in"
PAGE_CONTEXT = "page of a sign-in"
REQUEST_CONTEXT = "parameters of a sign-in"
"""Of a `state` that carries more than the page: an older version reads no page in it."""
STATE_MAX_BYTES = {SILENT_CONTEXT: 512, REQUEST_CONTEXT: 200, PAGE_CONTEXT: 200}
"""More isn't carried in `state` too, which providers and logs have to take whole.

With the lower number, as many cookies as `COOKIES_MAX` always have room.
"""
_NAME_CHARACTERS = 16
_RETURN_TO = "returnTo"
_OWN_FIELDS = ("organization", "acr_values")


class LoginTransactions:
    """Creates login transactions and stores them in cookies.

    Args:
        config: Decides whether cookies are `Secure`.
        sealer: Seals their content.
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
        browser_id: str = "",
        prompt_login: bool = False,
        keep_shared_cookie: bool = False,
        asked: Mapping[str, str] = MappingProxyType({}),
        dpop_jkt: str = "",
    ) -> LoginTransaction:
        """Create a transaction with a new state, nonce and code verifier.

        Source: RFC 6749, 10.12; RFC 7636, 4.1; OpenID Connect Core, 15.5.2.
        """
        transaction = LoginTransaction(
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
            browser_id=browser_id,
            prompt_login=prompt_login,
            keep_shared_cookie=keep_shared_cookie,
            asked={} if silent else _kept(asked, return_to),
            dpop_jkt=dpop_jkt,
        )
        transaction = msgspec.structs.replace(transaction, state=self._state(transaction))
        return transaction if self.fits(transaction) else _without(transaction)

    def _state(self, transaction: LoginTransaction) -> str:
        """The state of *transaction*, with what it carries sealed, if that is short enough."""
        page, asked = transaction.return_to, asked_for(transaction)
        asked.pop(COUNTS_ONCE, None)
        carried: dict[str, bytes] = {}
        if transaction.silent:
            carried[SILENT_CONTEXT] = page.encode()
        elif asked:
            carried[REQUEST_CONTEXT] = msgspec.json.encode({_RETURN_TO: page, **asked})
        if page != "/" and not transaction.silent:
            carried[PAGE_CONTEXT] = page.encode()
        for context, content in carried.items():
            if len(content) <= STATE_MAX_BYTES[context]:
                return f"{transaction.state}.{self._sealer.seal_text(content, context)}"
        return transaction.state

    def repeat(self, transaction: LoginTransaction, watermark_at: int) -> LoginTransaction:
        """Create a second try of *transaction* that demands a new authentication.

        Args:
            transaction: The first try.
            watermark_at: The end of all sessions for which it was too old.
        """
        second = self.begin(
            return_to=transaction.return_to,
            silent=False,
            max_age=0,
            organization=transaction.organization,
            acr_values=transaction.acr_values,
            old_session_key=transaction.old_session_key,
            browser_id=transaction.browser_id,
            prompt_login=True,
            keep_shared_cookie=transaction.keep_shared_cookie,
            asked=transaction.asked,
            dpop_jkt=transaction.dpop_jkt,
        )
        return msgspec.structs.replace(second, repeated=True, watermark_at=watermark_at)

    def fits(self, transaction: LoginTransaction) -> bool:
        """Whether `set_cookie` can store *transaction*."""
        return sum(map(len, self._cookie(transaction))) <= COOKIE_MAX_BYTES

    def set_cookie(
        self, response: Response, transaction: LoginTransaction, cookies: Mapping[str, str]
    ) -> None:
        """Store *transaction* in a cookie, and make room for it among those of other sign-ins.

        The oldest first lose a long page to return to and what they asked for, then their cookies
        are deleted.

        Raises:
            ReturnToInvalid: It doesn't fit into a cookie; only `returnTo` can be that long.
        """
        name, value = self._cookie(transaction)
        size = len(name) + len(value)
        if size > COOKIE_MAX_BYTES:
            raise ReturnToInvalid("the address to return to is too long for a cookie")
        for other, shorter in self._beyond_bounds(cookies, size).items():
            if shorter is None:
                self.delete_cookie(response, other)
            else:
                self._set(response, other, shorter)
        self._set(response, name, value)

    def _set(self, response: Response, name: str, value: str) -> None:
        response.set_cookie(
            name, value, max_age=LIFETIME_SECONDS, path="/",
            secure=self._secure, httponly=True, samesite="Lax",
        )  # fmt: skip

    def find(self, state: str, cookies: Mapping[str, str]) -> tuple[str, LoginTransaction]:
        """The name of the cookie and the transaction to which *state* belongs.

        Raises:
            StateInvalid: This browser has none, or it is expired or was not sealed by us.
        """
        name = self._name(state)
        transaction = self._opened(name, cookies.get(name, ""))
        if transaction is None or not hmac.compare_digest(
            transaction.state.encode(), state.encode()
        ):
            raise StateInvalid("no such sign-in in this browser")
        page, asked = self.begun_with(state)
        if transaction.return_to == "/" and page is not None:
            transaction = msgspec.structs.replace(transaction, return_to=page)
        asked = {**(transaction.asked or asked)}
        asked.pop(COUNTS_ONCE, None)
        return name, msgspec.structs.replace(transaction, asked=asked)

    def silent_return_to(self, state: str) -> str | None:
        """Where a silent sign-in was begun, if *state* is one's whose cookie was dropped.

        Ten restored tabs begin more sign-ins than fit into cookies, and no user has clicked in any
        of them: an error page would be shown for nothing.
        """
        return self._page_in(state, SILENT_CONTEXT)

    def begun_with(self, state: str) -> tuple[str | None, dict[str, str]]:
        """With which page and parameters a sign-in that isn't silent was begun.

        As far as *state* is ours and says so.
        """
        page = self._page_in(state, PAGE_CONTEXT)
        content = None if page is not None else self._page_in(state, REQUEST_CONTEXT)
        if content is None:
            return page, {}
        asked = msgspec.json.decode(content, type=dict[str, str])
        return asked.pop(_RETURN_TO), asked

    def _page_in(self, state: str, context: str) -> str | None:
        try:
            return self._sealer.open_text(state.partition(".")[2], context).decode()
        except (SealInvalid, UnicodeError):
            return None

    def delete_cookie(self, response: Response, name: str) -> None:
        """Delete a cookie. Without all its attributes, browsers would not delete `__Host-` ones."""
        response.set_cookie(
            name, "", max_age=0, expires=0, path="/",
            secure=self._secure, httponly=True, samesite="Lax",
        )  # fmt: skip

    def _cookie(self, transaction: LoginTransaction) -> tuple[str, str]:
        name = self._name(transaction.state)
        return name, self._sealer.seal_text(msgspec.json.encode(transaction), _context(name))

    def _name(self, state: str) -> str:
        # "surrogatepass": a hostile callback may send any state.
        digest = hashlib.sha256(state.encode("utf-8", "surrogatepass")).hexdigest()
        return self._prefix + digest[:_NAME_CHARACTERS]

    def _opened(self, name: str, value: str) -> LoginTransaction | None:
        """The transaction in a cookie; None if it is not ours or has expired."""
        try:
            content = self._sealer.open_text(value, _context(name))
            transaction = msgspec.json.decode(content, type=LoginTransaction)
        except (SealInvalid, msgspec.MsgspecError, UnicodeError):
            return None
        age_seconds = self._clock() - transaction.started_at
        return transaction if -CLOCK_SKEW_SECONDS <= age_seconds <= LIFETIME_SECONDS else None

    def _beyond_bounds(self, cookies: Mapping[str, str], new_bytes: int) -> dict[str, str | None]:
        """The cookies to change, to make room for one of *new_bytes*: a shorter value, or None.

        A cookie that can't be opened stays: it may belong to another application on this host.
        """
        ours = [
            (transaction, name, value)
            for name, value in cookies.items()
            if self._pattern.fullmatch(name) and (transaction := self._opened(name, value))
        ]
        oldest_first = sorted(ours, key=lambda one: one[0].started_at)
        too_many = max(0, len(ours) - (COOKIES_MAX - 1))
        changed: dict[str, str | None] = {name: None for _, name, _ in oldest_first[:too_many]}
        left = oldest_first[too_many:]
        room_bytes = COOKIES_MAX_BYTES - new_bytes - sum(len(n) + len(v) for _, n, v in left)
        for transaction, name, value in left:
            if room_bytes < 0 and (transaction.return_to != "/" or transaction.asked):
                least = msgspec.structs.replace(_without(transaction), return_to="/")
                shorter = self._cookie(least)[1]
                room_bytes += len(value) - len(shorter)
                changed[name] = shorter
        for _, name, value in left:
            if room_bytes < 0:
                room_bytes += len(name) + len(changed.get(name) or value)
                changed[name] = None
        return changed


def _kept(asked: Mapping[str, str], return_to: str) -> dict[str, str]:
    """*asked*, without what has a field of its own; nothing if it takes the room of other tabs."""
    kept = {name: value for name, value in asked.items() if name not in _OWN_FIELDS}
    too_long = len(msgspec.json.encode(kept)) + len(return_to) > MAX_CHARACTERS
    return {} if too_long else kept


def _without(transaction: LoginTransaction) -> LoginTransaction:
    return msgspec.structs.replace(transaction, asked={})


def _context(name: str) -> str:
    return f"login transaction {name}"

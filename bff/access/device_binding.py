"""Does a request come from the browser that its session is bound to? (`BFF_DEVICE_BINDING`)

Device Bound Session Credentials: after a sign-in the browser makes a key that it can't copy, and
proves from time to time that it has it. For each proof it gets a short-lived cookie, and a request
of a bound session needs that cookie beside the session's. The browser registers its key at the
sign-in only; later, whoever has a copy of the cookie could register theirs. The two endpoints are
in `bff/web/device_proofs.py`, the values in `bff/core/device_binding.py`.
Source: W3C Device Bound Session Credentials (Editor's Draft of 2026); docs/device-binding.md.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

import msgspec
from flask import Response, after_this_request

from bff.access.cookie_header import cookie_values
from bff.config import Config
from bff.core import audit
from bff.core.device_binding import (
    CHALLENGE_EXTRA_SECONDS,
    COOKIE,
    BoundCookies,
    CookieState,
    DeviceChallenges,
    device_session_ids,
)
from bff.core.errors import (
    DeviceCheckUnavailable,
    DeviceProofInvalid,
    DeviceUnbound,
    DeviceUnproven,
    SealInvalid,
    SealKeyUnknown,
)
from bff.core.model import Session
from bff.core.sealing import Sealer
from bff.store import Stores

REGISTER_PATH = "/auth/device/register"
REFRESH_PATH = "/auth/device/refresh"

BEGINNING_SECONDS = 5
"""Requests that were under way while the browser made its key must not fail."""
REGISTRATION_SECONDS = 60
"""From the sign-in on: a browser makes its key at once, hardware takes a second."""
COOKIE_ATTRIBUTES = "Path=/; Secure; HttpOnly; SameSite=Strict"

_AUTHORIZATION = "device registration"
_SKIPPED = re.compile(r'\s*([a-z_]{1,40})\s*;\s*session_identifier="([A-Za-z0-9_-]{1,128})"\s*')
_OUR_FAILURES = frozenset({"unreachable", "server_error"})


class Registration(msgspec.Struct, frozen=True):
    """Which session a browser may bind, and until when; sealed in `authorization`."""

    session_key: str
    ends_at: int


class DeviceBinding:
    """Decides about the requests of bound sessions, and makes what browsers need for a binding.

    Args:
        config: The mode, and how long the short-lived cookie is good.
        sealer: Has the derived keys.
        stores: Have the sessions' records, and the clock.
    """

    def __init__(self, config: Config, sealer: Sealer, stores: Stores) -> None:
        self._required = config.device_binding == "require"
        self._records, self._database = stores.records, stores.database
        self._sealer = sealer
        self._hashes = sealer.device_hashes
        self.lifetime_seconds = config.device_binding_seconds
        self._cookies = BoundCookies(self._hashes, self.lifetime_seconds)
        challenge_seconds = self.lifetime_seconds + CHALLENGE_EXTRA_SECONDS
        self.challenges = DeviceChallenges(self._hashes, challenge_seconds)

    @classmethod
    def of(cls, config: Config, sealer: Sealer, stores: Stores) -> DeviceBinding | None:
        """What the settings say; None if nothing is bound and nothing is checked."""
        return None if config.device_binding == "off" else cls(config, sealer, stores)

    def check(self, session: Session, environ: Mapping[str, Any]) -> None:
        """Return if the request may use *session*; without a round trip, unless it may not.

        Args:
            session: That of the request's cookie; `read_at` is the present.
            environ: Of the request.

        Raises:
            DeviceUnproven: The session is bound, and the request has no good short-lived cookie.
            DeviceCheckUnavailable: The same, and the browser says that it couldn't get one of us.
            DeviceUnbound: A binding is required, and the session has none.
            StoreUnavailable: The request must not extend the session, and has.
        """
        if session.bound_at is None:
            age_seconds = abs(session.read_at - session.created_at)
            if self._required and age_seconds >= REGISTRATION_SECONDS:
                self._records.undo_slide(session)
                raise DeviceUnbound("the session isn't bound")
            return
        state = self._state(session, environ)
        if state == "good":
            return
        if state != "no_cookie":
            # While the browser has one, it asks for no other.
            after_this_request(delete_cookie)
        # Whoever has a copy of the cookie doesn't keep the session alive.
        self._records.undo_slide(session)
        self._refuse(session, state, environ)

    def proves(self, session: Session, environ: Mapping[str, Any]) -> bool:
        """Whether a request that is let through in any case comes from the session's browser.

        Args:
            session: As in `check`.
            environ: Of the request.
        """
        return session.bound_at is None or self._state(session, environ) == "good"

    def _state(self, session: Session, environ: Mapping[str, Any]) -> CookieState:
        state = self._cookies.state(cookie_values(environ, COOKIE), session.key, session.read_at)
        # On both sides: a clock that is set back must not begin the time anew.
        begins = abs(session.read_at - (session.bound_at or 0)) < BEGINNING_SECONDS
        return "good" if begins else state

    def _refuse(self, session: Session, state: str, environ: Mapping[str, Any]) -> None:
        user, skipped = session.identity.user, self._skipped(session.key, environ)
        if skipped is None:
            audit.record(
                "device_refused", "refused", reason=state, session_key=session.key, user=user
            )
            raise DeviceUnproven(f"the short-lived cookie: {state}")
        outcome: Literal["failed", "refused"] = "failed" if skipped in _OUR_FAILURES else "refused"
        audit.record(
            "device_unbound_by_browser", outcome,
            reason=skipped, session_key=session.key, user=user,
        )  # fmt: skip
        if skipped in _OUR_FAILURES:
            raise DeviceCheckUnavailable(f"the browser says: {skipped}")
        raise DeviceUnproven(f"the browser says: {skipped}")

    def _skipped(self, session_key: str, environ: Mapping[str, Any]) -> str | None:
        """Why the browser sent no cookie, as it says itself; None if it doesn't.

        It names the session by an id that no cookie has, so a copied cookie is no excuse.
        """
        ours = device_session_ids(self._hashes, session_key)
        for one in environ.get("HTTP_SECURE_SESSION_SKIPPED", "").split(","):
            match = _SKIPPED.fullmatch(one)
            if match and match[2] in ours:
                return match[1]
        return None

    # ------------------------------------------------------------ what a browser gets
    def registration(self, session_key: str) -> str:
        """`Secure-Session-Registration`, by which the browser binds its new session.

        Args:
            session_key: The session that has just begun.

        Raises:
            StoreUnavailable: The time can't be told.
        """
        now = self._database.now()
        right = Registration(session_key, int(now) + REGISTRATION_SECONDS)
        authorization = self._sealer.seal_text(msgspec.json.encode(right), _AUTHORIZATION)
        challenge = self.challenges.new("register", session_key, now)
        return (
            f'(ES256);path="{REGISTER_PATH}";challenge="{challenge}";'
            f'authorization="{authorization}"'
        )

    def open_registration(self, authorization: str) -> Registration:
        """What `registration` has sealed; its time is not checked yet.

        Raises:
            DeviceProofInvalid: It was sealed by nobody here, or for something else.
            SealKeyUnknown: It was sealed by another replica, with a secret that is missing here.
        """
        try:
            opened = self._sealer.open_text(authorization, _AUTHORIZATION)
        except SealKeyUnknown:
            raise
        except SealInvalid as error:
            raise DeviceProofInvalid("no authorization of ours") from error
        return msgspec.json.decode(opened, type=Registration)

    def session_ids(self, session_key: str) -> list[str]:
        """The names that the session has in its browser, the one to give first."""
        return device_session_ids(self._hashes, session_key)

    def set_cookie(self, response: Response, session_key: str, now: float) -> None:
        """Give the browser the next short-lived cookie; it has just proved itself."""
        _write(response, self._cookies.value(session_key, now), self.lifetime_seconds)


def delete_cookie(response: Response) -> Response:
    """Delete the short-lived cookie."""
    _write(response, "", 0)
    return response


def _write(response: Response, value: str, max_age_seconds: int) -> None:
    response.set_cookie(
        COOKIE, value, max_age=max_age_seconds, expires=None if value else 0,
        path="/", secure=True, httponly=True, samesite="Strict",
    )  # fmt: skip

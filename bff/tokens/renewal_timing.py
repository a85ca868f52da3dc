"""When is an access token renewed, how long does a request wait, how long is a failure stored?"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from bff.core import operations
from bff.core.errors import (
    BFFError,
    ProviderMisconfigured,
    ProviderRejected,
    ProviderUnavailable,
    RouteTokenRefused,
    SignInRequired,
)
from bff.core.model import RouteToken, Tokens
from bff.core.work_slots import Waiting

POLL_SECONDS = (0.01, 0.02, 0.04, 0.08)
"""Waits between two tries while another process has the lock; the last repeats."""
REMEMBER_FAILURE_SECONDS = 2.0
"""How long after a failure the provider isn't asked again."""
REMEMBER_MAX_SECONDS = 30.0
"""A provider's `Retry-After` is honoured up to this."""
REMEMBER_REFUSAL_SECONDS = 30.0
"""The same for a refusal of a route's token, which only a change of registration can cure."""
EXPIRED_MARGIN_SECONDS = 1.0
"""An access token counts as expired this long before its end: the upstream reads it later."""

_T = TypeVar("_T")


def window_seconds(token: Tokens | RouteToken, before_seconds: float) -> float:
    """How long before its end *token* is renewed: never more than a fifth of its lifetime."""
    return min(before_seconds, (token.expires_at - token.issued_at) / 5)


def expired_margin_seconds(window: float) -> float:
    """How long before its end a token with this renewal window counts as expired."""
    return min(EXPIRED_MARGIN_SECONDS, window / 2)


def wait_for_lock(try_lock: Callable[[], _T | None], wait_seconds: float, message: str) -> _T:
    """The first result of *try_lock*, which returns None while another process has the lock.

    Raises:
        ProviderUnavailable: There was none within *wait_seconds*; *message* is for the log.
    """
    give_up_at = time.monotonic() + wait_seconds
    found = try_lock()
    if found is not None:
        return found
    polls = iter(POLL_SECONDS)
    with operations.begun("refresh_wait", "lock"):
        while found is None:
            if time.monotonic() >= give_up_at:
                raise ProviderUnavailable(message)
            with Waiting():
                time.sleep(next(polls, POLL_SECONDS[-1]))
            found = try_lock()
    return found


def failure_seconds(error: BFFError) -> float:
    """How long *error* is stored, so that the provider isn't asked again."""
    if isinstance(error, RouteTokenRefused | SignInRequired):
        return REMEMBER_REFUSAL_SECONDS
    asked = error.asked_seconds if isinstance(error, ProviderUnavailable) else 0
    return min(max(REMEMBER_FAILURE_SECONDS, asked), REMEMBER_MAX_SECONDS)


def remembered_failure(code: str) -> BFFError:
    """The failure of another request a moment ago, made from its stored *code*."""
    if code == ProviderMisconfigured.code:
        return ProviderMisconfigured("remembered")
    if code == ProviderRejected.code:
        return ProviderRejected("remembered", 400)
    if code == SignInRequired.code:
        return SignInRequired("remembered")
    if code == RouteTokenRefused.code:
        return RouteTokenRefused("remembered")
    return ProviderUnavailable("remembered")

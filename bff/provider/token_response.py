"""What did the provider's token or revocation endpoint say, and what does it mean for us?

Decided by the status class and the parsed `error` alone (RFC 6749, 5.2): never by a substring, and
not by the exact status, since Auth0 refuses a bad refresh token with 403. What the provider wrote
for people (`error_description`) goes nowhere: it may quote a token.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec
import requests

from bff.core.errors import (
    ClientRefused,
    ProviderError,
    ProviderMisconfigured,
    ProviderRejected,
    ProviderUnavailable,
    TokenResponseUnusable,
)

LIFETIME_UNKNOWN_SECONDS = 300
"""Taken for an access token whose `expires_in` is missing or no number."""
LIFETIME_MAX_SECONDS = 30 * 86_400
"""Auth0's longest; a larger `expires_in` is cut to it."""
RETRY_AFTER_MAX_SECONDS = 86_400

OUR_FAULT = frozenset({"unauthorized_client", "unsupported_grant_type"})
PASSING = frozenset({"temporarily_unavailable", "server_error", "too_many_requests", "slow_down"})

NO_SUCH_ENDPOINT = frozenset({404, 405, 410, 501})

_ERROR = re.compile(r"[\x20\x21\x23-\x5b\x5d-\x7e]{1,64}")
_HEADER_SAFE = re.compile(r"[\x21-\x7e]+")


class TokenResponse(msgspec.Struct, frozen=True, kw_only=True):
    """A successful token answer (RFC 6749, 5.1), every field checked."""

    access_token: str
    expires_in_seconds: int
    refresh_token: str | None
    id_token: str | None
    scope: str | None
    token_type: str = "Bearer"  # noqa: S105 - A kind of token, not one.
    issued_token_type: str | None = None


def granted(
    response: requests.Response, retry_after_seconds: int | None, *, any_type: bool = False
) -> TokenResponse:
    """The tokens in *response*; of any type only for who looks at it, as after an exchange.

    Raises:
        ProviderUnavailable: 5xx, 429, a redirect, or anything that can't be understood.
        ProviderMisconfigured: Our registration is at fault (`invalid_client` and its like).
        ProviderRejected: Refused; `.error` has the parsed code, such as `invalid_grant`.
    """
    body = parsed(response)
    if response.status_code != 200 or (body is not None and "error" in body):
        raise refusal(response.status_code, body, retry_after_seconds)
    if body is None:
        raise TokenResponseUnusable("the token answer is not a JSON object")
    return _checked(body, any_type)


def check_client(response: requests.Response) -> None:
    """Return unless *response* says that our secret or key is not taken.

    Raises:
        ClientRefused: It does.
    """
    if 400 <= response.status_code < 500:
        error = _error_code(parsed(response))
        if error is not None and refuses_client(response.status_code, error):
            raise ClientRefused(error, response.status_code)


def check_revoked(response: requests.Response, retry_after_seconds: int | None) -> None:
    """Return if *response* confirms a revocation; the body doesn't matter (RFC 7009, 2.2).

    Raises:
        ProviderUnavailable: 5xx, 429, or anything that can't be understood.
        ProviderRejected: Refused for good, or there is no such endpoint.
    """
    status, body = response.status_code, parsed(response)
    if 200 <= status < 300:
        return
    if status in NO_SUCH_ENDPOINT and _error_code(body) is None:
        raise ProviderRejected("unsupported_revocation", status)
    error = refusal(status, body, retry_after_seconds)
    if isinstance(error, ProviderMisconfigured):
        # Nobody is at the page to be told: it stays in the outbox and is reported there.
        raise ProviderRejected(_error_code(body) or "unreadable", status)
    raise error


def refusal(
    status: int, body: dict[str, Any] | None, retry_after_seconds: int | None
) -> ProviderError:
    """What an answer that is no success means; to be raised by the caller."""
    error = _error_code(body)
    if status == 429 or (error in PASSING and status < 500):
        # Turned away at the door: it has not acted.
        return ProviderUnavailable(f"status {status}", retry_after_seconds=retry_after_seconds)
    if status >= 500 or error is None:
        return ProviderUnavailable(
            f"status {status} without a usable error",
            retry_after_seconds=retry_after_seconds,
            maybe_acted=True,
        )
    if refuses_client(status, error):
        return ClientRefused(error, status)
    if error in OUR_FAULT:
        return ProviderMisconfigured(f"{error} (HTTP {status})")
    return ProviderRejected(error, status)


def refuses_client(status: int, error: str) -> bool:
    """Whether our secret or key is at fault; Auth0 says `access_denied` to a wrong secret, too."""
    return error == "invalid_client" or (status == 401 and error == "access_denied")


def parsed(response: requests.Response) -> dict[str, Any] | None:
    """The JSON object in *response*, or None if there is none."""
    try:
        body = json.loads(response.content)
    except (ValueError, RecursionError):
        return None
    return body if isinstance(body, dict) else None


def retry_after(headers: Mapping[str, str], now: float) -> int | None:
    """The pause asked for, in seconds: a number, or the time until a date (RFC 9110, 10.2.3)."""
    value = headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdigit():
        return bounded_pause(int(value[:12]))
    try:
        return bounded_pause(parsedate_to_datetime(value).timestamp() - now + 1)
    except (ValueError, TypeError, OverflowError):
        return None


def bounded_pause(seconds: float) -> int:
    """Whole seconds, at least 1 and at most a day."""
    return int(max(1, min(seconds, RETRY_AFTER_MAX_SECONDS)))


def _error_code(body: dict[str, Any] | None) -> str | None:
    error = body.get("error") if body is not None else None
    return error if isinstance(error, str) and _ERROR.fullmatch(error) else None


def is_header_safe(access_token: str) -> bool:
    """Whether it may become a header's value: nothing else may be in it (CWE-113)."""
    return _HEADER_SAFE.fullmatch(access_token) is not None


def _checked(body: dict[str, Any], any_type: bool) -> TokenResponse:
    refresh_token = _text(body, "refresh_token")
    access_token = _text(body, "access_token")
    token_type = _text(body, "token_type") or ""
    if access_token is None or not (any_type or is_header_safe(access_token)):
        raise TokenResponseUnusable("the token answer has no usable access_token", refresh_token)
    if not any_type and token_type.lower() != "bearer":
        raise TokenResponseUnusable("the token answer's token_type is not Bearer", refresh_token)
    return TokenResponse(
        access_token=access_token,
        expires_in_seconds=_lifetime_seconds(body.get("expires_in")),
        refresh_token=refresh_token,
        id_token=_text(body, "id_token"),
        scope=_text(body, "scope"),
        token_type=token_type,
        issued_token_type=_text(body, "issued_token_type"),
    )


def _text(body: dict[str, Any], name: str) -> str | None:
    value = body.get(name)
    return value if isinstance(value, str) and value else None


def _lifetime_seconds(value: object) -> int:
    """`expires_in`, as a number or digits; what is no lifetime counts as unknown."""
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value[:12])
    if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 1:
        return LIFETIME_UNKNOWN_SECONDS
    return int(min(value, LIFETIME_MAX_SECONDS))

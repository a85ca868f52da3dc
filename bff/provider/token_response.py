"""What does a response of the token or revocation endpoint mean, and what of it do we store?

The status class and the parsed `error` decide alone (RFC 6749, 5.2): never a substring, and not the
exact status. `error_description` only goes to the log (`error_description.py`).
"""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec
import requests

from bff.config import Config
from bff.core.errors import (
    ClientRefused,
    ProviderError,
    ProviderMisconfigured,
    ProviderRejected,
    ProviderUnavailable,
    TokenResponseUnusable,
)
from bff.core.model import IssuedTokens, Tokens
from bff.provider.dialect import Dialect
from bff.provider.error_description import log_description
from bff.provider.expected_token import BEARER, Expected
from bff.provider.jws import is_unicode, text
from bff.provider.unused_token import unused_refresh_tokens

LIFETIME_UNKNOWN_SECONDS = 300
"""Assumed for an access token whose `expires_in` is missing or invalid."""
# Auth0: the longest lifetime that can be set for the access tokens of an API is 30 days.
LIFETIME_MAX_SECONDS = 30 * 86_400
"""A larger `expires_in` is reduced to it."""
REFRESH_LIFETIMES = ("refresh_token_expires_in", "refresh_expires_in")
"""No standard's: that of Microsoft, GitHub and others, and Keycloak's."""
REFRESH_LIFETIME_MAX_SECONDS = 10 * 366 * 86_400

OUR_FAULT = frozenset({"unauthorized_client", "unsupported_grant_type"})
TEMPORARY = frozenset({"temporarily_unavailable", "server_error", "too_many_requests", "slow_down"})

INTERACTION = frozenset(
    {
        "interaction_required", "login_required", "consent_required", "mfa_required",
        "account_selection_required", "insufficient_user_authentication",
        "unmet_authentication_requirements",
    }
)  # fmt: skip
"""A new token needs the user (OpenID Connect Core, 3.1.2.6; RFC 9470)."""
# Auth0: an Action that denies a refresh gives `access_denied`, with status 500.
NEEDS_USER = INTERACTION | {"access_denied", "unauthorized", "expired_token"}
"""Such an error is an answer with a status of 5xx, too."""

NO_SUCH_ENDPOINT = frozenset({404, 405, 410, 501})

_ERROR = re.compile(r"[\x20\x21\x23-\x5b\x5d-\x7e]{1,64}")
_HEADER_SAFE = re.compile(r"[\x21-\x7e]+")


class TokenResponse(msgspec.Struct, frozen=True, kw_only=True):
    """A successful token response (RFC 6749, 5.1), every field checked."""

    access_token: str
    expires_in_seconds: int
    refresh_token: str | None
    id_token: str | None
    scope: str | None
    token_type: str = "Bearer"  # noqa: S105 - A kind of token, not one.
    issued_token_type: str | None = None
    refresh_expires_in_seconds: int | None = None
    """None if the provider doesn't say; 0 if the refresh token has no end."""
    jkt: str = ""
    """The thumbprint of the key that the access token is bound to; empty for a bearer token."""
    unused_refresh_tokens: tuple[str, ...] = ()
    """More than the one above, such as those of a member that came twice; they must be revoked."""


def read_token_response(
    response: requests.Response, dialect: Dialect, now: float, expected: Expected = BEARER
) -> TokenResponse:
    """The tokens in *response*.

    Args:
        response: Of the token endpoint.
        dialect: The provider's.
        now: UTC epoch seconds.
        expected: Which types of token it may have.

    Raises:
        ProviderUnavailable: 5xx, 429, a redirect, or anything that can't be understood.
        TokenResponseUnusable: One of these; the refresh tokens that it brings must be revoked.
        ProviderMisconfigured: Our registration is at fault (`invalid_client` and its like).
        ProviderRejected: Refused; `.error` has the parsed code, such as `invalid_grant`.
    """
    body = json_object(response)
    # Some providers write `"error": null` beside the tokens.
    is_error = body is not None and bool(body.get("error"))
    if response.status_code == 200 and body is not None and not is_error:
        return _checked(response, body, expected)
    if unused := unused_refresh_tokens(response, body):
        raise TokenResponseUnusable("the token answer contradicts itself", unused)
    if response.status_code == 200 and body is None:
        raise TokenResponseUnusable("the token answer is not a JSON object")
    error = _error_code(body)
    if response.status_code >= 500 and error in NEEDS_USER:
        log_description(response, body)
        raise ProviderRejected(error, response.status_code)
    raise refusal(response, dialect, now)


def check_client(response: requests.Response, dialect: Dialect) -> None:
    """Return unless *response* says that our secret or key is refused.

    Raises:
        ClientRefused: It does.
    """
    if 400 <= response.status_code < 500:
        body = json_object(response)
        error = _error_code(body)
        if error is not None and dialect.refuses_client(response.status_code, error):
            log_description(response, body)
            raise ClientRefused(error, response.status_code)


def check_revoked(response: requests.Response, dialect: Dialect, now: float) -> None:
    """Return if *response* confirms a revocation; its body doesn't count (RFC 7009, 2.2).

    Raises:
        ProviderUnavailable: 5xx, 429, or anything that can't be understood.
        ProviderRejected: Refused for good, or there is no such endpoint.
    """
    status, body = response.status_code, json_object(response)
    if 200 <= status < 300:
        return
    if status in NO_SUCH_ENDPOINT and _error_code(body) is None:
        raise ProviderRejected("unsupported_revocation", status)
    error = refusal(response, dialect, now)
    if isinstance(error, ProviderMisconfigured):
        # No page can show it: the token stays in the outbox, which reports it.
        raise ProviderRejected(_error_code(body) or "unreadable", status)
    raise error


def refusal(response: requests.Response, dialect: Dialect, now: float) -> ProviderError:
    """What a response that is no success means; to be raised by the caller."""
    status, body = response.status_code, json_object(response)
    error = _error_code(body)
    log_description(response, body)
    retry_after_seconds = dialect.retry_after_seconds(response, now)
    if status == 429 or (error in TEMPORARY and status < 500):
        # Refused before the provider acted.
        return ProviderUnavailable(f"status {status}", retry_after_seconds=retry_after_seconds)
    if status >= 500 or error is None:
        return ProviderUnavailable(
            f"status {status} without a usable error",
            retry_after_seconds=retry_after_seconds,
            maybe_acted=True,
        )
    if dialect.refuses_client(status, error):
        return ClientRefused(error, status)
    if error in OUR_FAULT:
        return ProviderMisconfigured(f"{error} (HTTP {status})")
    # Auth0: an invalid refresh token gets a 403, so that every 4xx counts, not only 400.
    return ProviderRejected(error, status)


def json_object(response: requests.Response) -> dict[str, Any] | None:
    """The JSON object in *response*, or None if there is none."""
    try:
        body = json.loads(response.content)
    except (ValueError, RecursionError):
        return None
    return body if isinstance(body, dict) else None


def _error_code(body: dict[str, Any] | None) -> str | None:
    error = body.get("error") if body is not None else None
    return error if isinstance(error, str) and _ERROR.fullmatch(error) else None


def is_header_safe(access_token: str) -> bool:
    """Whether it can be a header's value without adding anything else to the request (CWE-113)."""
    return _HEADER_SAFE.fullmatch(access_token) is not None


def _checked(
    response: requests.Response, body: dict[str, Any], expected: Expected
) -> TokenResponse:
    access_token = _unicode(body.get("access_token"))
    token_type = _unicode(body.get("token_type")) or ""
    if access_token is None or not (expected.any_type or is_header_safe(access_token)):
        unused = unused_refresh_tokens(response, body)
        raise TokenResponseUnusable("the token answer has no usable access_token", unused)
    if (problem := expected.problem(token_type)) is not None:
        raise TokenResponseUnusable(problem, unused_refresh_tokens(response, body))
    refresh_token = _unicode(body.get("refresh_token"))
    return TokenResponse(
        access_token=access_token,
        expires_in_seconds=_lifetime_seconds(body.get("expires_in")),
        refresh_token=refresh_token,
        id_token=_unicode(body.get("id_token")),
        scope=_scope(body.get("scope")),
        token_type=token_type,
        issued_token_type=_unicode(body.get("issued_token_type")),
        refresh_expires_in_seconds=_refresh_lifetime_seconds(body),
        jkt=expected.jkt if token_type.lower() == "dpop" else "",
        unused_refresh_tokens=unused_refresh_tokens(response, body, refresh_token),
    )


def _unicode(value: object) -> str | None:
    """*value* as `text`; None also for what UTF-8, and so the session's record, can't hold."""
    found = text(value)
    return found if found is not None and is_unicode(found) else None


def _scope(value: object) -> str | None:
    """`scope`; some providers (Twitch, SimpleIdServer) write a list."""
    if isinstance(value, list):
        value = " ".join(one for one in value if isinstance(one, str))
    return _unicode(value)


def _lifetime_seconds(value: object) -> int:
    """`expires_in`, as a number or digits; `LIFETIME_UNKNOWN_SECONDS` if it is neither."""
    return _seconds(value, LIFETIME_MAX_SECONDS) or LIFETIME_UNKNOWN_SECONDS


def _refresh_lifetime_seconds(body: dict[str, Any]) -> int | None:
    # Keycloak: 0 is a token without an end (an offline session without a maximum).
    told = (_seconds(body.get(name), REFRESH_LIFETIME_MAX_SECONDS) for name in REFRESH_LIFETIMES)
    return next((seconds for seconds in told if seconds is not None), None)


def _seconds(value: object, most: int) -> int | None:
    """A number or digits as whole seconds, *most* at most; None for anything else."""
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value[:12])
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if value != 0 and not value >= 1:
        return None
    return int(min(value, most))


def tokens_of(response: TokenResponse, issued_at: int, config: Config) -> Tokens:
    """What a session stores of the token response to a sign-in."""
    refresh_expires_at = _refresh_expires_at(response, issued_at) if response.refresh_token else 0
    return Tokens(
        access_token=response.access_token,
        expires_at=issued_at + response.expires_in_seconds,
        issued_at=issued_at,
        # A missing scope means the requested one (RFC 6749, 5.1).
        scope=config.scope if response.scope is None else response.scope,
        refresh_token=response.refresh_token,
        refresh_expires_at=refresh_expires_at or 0,
        id_token=_id_token_hint(response, config),
        jkt=response.jkt,
    )


def refreshed_tokens_of(response: TokenResponse, issued_at: int, config: Config) -> IssuedTokens:
    """What is used of the token response to a refresh, or to a route's own grant."""
    return IssuedTokens(
        access_token=response.access_token,
        expires_at=issued_at + response.expires_in_seconds,
        issued_at=issued_at,
        scope=response.scope,
        refresh_token=response.refresh_token,
        refresh_expires_at=_refresh_expires_at(response, issued_at),
        id_token=_id_token_hint(response, config),
        token_type=response.token_type,
        issued_token_type=response.issued_token_type,
        jkt=response.jkt,
    )


def _refresh_expires_at(response: TokenResponse, issued_at: int) -> int | None:
    seconds = response.refresh_expires_in_seconds
    return issued_at + seconds if seconds else seconds


def _id_token_hint(response: TokenResponse, config: Config) -> str | None:
    """The ID token, if the logout sends it (`BFF_LOGOUT_ID_TOKEN_HINT`)."""
    return response.id_token if config.id_token_hint else None

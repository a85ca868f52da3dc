"""Is this security event token genuine, for us, and fresh (RFC 8417)?

The checks that logout tokens and Shared Signals have in common; `logout_token` and `security_event`
have the rest. No claim is read before the signature is verified.
"""

from __future__ import annotations

from typing import Any

import msgspec

from bff.core.errors import TokenRefused
from bff.core.signing_keys import FindKeys
from bff.provider.jws import number, present, text_of, verified


class ExpectedEventToken(msgspec.Struct, frozen=True, kw_only=True):
    """The values that a token is compared with."""

    issuer: str
    audience: str
    algorithms: tuple[str, ...]
    types: tuple[str, ...]
    """The accepted values of `typ`."""
    age_max_seconds: int
    """An older token is rejected, so that its `jti` need not be stored for longer."""
    now: float
    clock_skew_seconds: int


class EventToken(msgspec.Struct, frozen=True, kw_only=True):
    """A token that passed every check."""

    claims: dict[str, Any]
    jti: str
    issued_at: int
    events: dict[str, Any]
    refused_from: int
    """From then on it is too old, so that its `jti` can be deleted."""


def verified_event_token(
    token: str, expected: ExpectedEventToken, find_keys: FindKeys
) -> EventToken:
    """*token*, once signature, type, issuer, audience and times are checked.

    Whether an event that matters is an object is left to the caller: Keycloak adds members that
    are none.

    Raises:
        TokenRefused: One check failed; the detail names which.
        ProviderError: The keys can't be loaded, so the signature can't be checked.

    Source: RFC 8417, 2.2; RFC 7519, 7.2; OpenID Connect Back-Channel Logout 1.0, 2.6.
    """
    header, claims = verified(token, expected.algorithms, find_keys)
    claims = present(claims)
    _check_type(header.get("typ"), expected.types)
    if claims.get("iss") != expected.issuer:
        raise TokenRefused("invalid_issuer", "iss names another issuer")
    if expected.audience not in _audiences(claims.get("aud")):
        raise TokenRefused("invalid_audience", "aud does not name us")
    issued_at = _issued_at(claims, expected)
    return EventToken(
        claims=claims,
        jti=text_of(claims, "jti"),
        issued_at=issued_at,
        events=_events(claims.get("events")),
        refused_from=issued_at + expected.age_max_seconds + expected.clock_skew_seconds + 1,
    )


def media_type(typ: object) -> str:
    """*typ* in lower case and without `application/`, which may be left out (RFC 7515, 4.1.9)."""
    if not isinstance(typ, str):
        return ""
    name = typ.lower().removeprefix("application/")
    return name if "/" not in name else typ.lower()


def _check_type(typ: object, types: tuple[str, ...]) -> None:
    """A token of another kind must not be accepted (RFC 8725, 3.11)."""
    if media_type(typ) not in {media_type(one) for one in types} - {""}:
        raise TokenRefused("invalid_request", "typ is missing or of another kind of token")


def _audiences(aud: object) -> list[str]:
    if isinstance(aud, str):
        return [aud]
    if isinstance(aud, list) and all(isinstance(one, str) for one in aud):
        return aud
    raise TokenRefused("invalid_audience", "aud is missing or malformed")


def _issued_at(claims: dict[str, Any], expected: ExpectedEventToken) -> int:
    issued_at = number(claims.get("iat"))
    skew = expected.clock_skew_seconds
    if issued_at is None:
        raise TokenRefused("invalid_request", "iat is missing or no number")
    if issued_at > expected.now + skew:
        raise TokenRefused("invalid_request", "iat lies ahead")
    if issued_at < expected.now - skew - expected.age_max_seconds:
        raise TokenRefused("invalid_request", "iat is too long ago")
    if "nbf" in claims:
        not_before = number(claims["nbf"])
        if not_before is None or not_before > expected.now + skew:
            raise TokenRefused("invalid_request", "nbf lies ahead or is no number")
    return issued_at


def _events(events: object) -> dict[str, Any]:
    if not isinstance(events, dict) or not events:
        raise TokenRefused("invalid_request", "events is missing, empty or no object")
    return events

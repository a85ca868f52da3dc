"""Does the provider say, with this token, that a session or all of a user's sessions are over?"""

from __future__ import annotations

import msgspec

from bff.config import Config
from bff.core.errors import TokenRefused
from bff.provider.event_token import EventToken, Expected, verified_event_token
from bff.provider.jws import FindKey, number, text_of

EVENT = "http://schemas.openid.net/event/backchannel-logout"
AGE_MAX_SECONDS = 3600
"""The specification advises two minutes in `exp`; a provider that tries again may give more."""


class LogoutToken(msgspec.Struct, frozen=True, kw_only=True):
    """Whose sessions are over: at least one of `subject` and `sid` is there."""

    issuer: str
    subject: str | None
    sid: str | None
    jti: str
    refused_from: int
    """From then on the token is refused for its age, so that its `jti` can be forgotten."""


def expected_of(config: Config, now: float) -> Expected:
    """What the logout tokens of our provider are held against."""
    return Expected(
        issuer=config.issuer,
        audience=config.client_id,
        algorithms=config.id_token_algorithms,
        types=config.logout_token_types,
        age_max_seconds=AGE_MAX_SECONDS,
        now=now,
        clock_skew_seconds=config.clock_skew_seconds,
    )


def validated_logout_token(token: str, expected: Expected, find_key: FindKey) -> LogoutToken:
    """What *token* says, once every check has passed that needs no memory.

    `exp` is required, as in the specification since it is final, and so is `jti`. That the token
    wasn't seen before, and doesn't contradict what we know, is for the caller to see.

    Raises:
        TokenRefused: One check failed; the detail names which.
        ProviderError: The keys can't be had, so nothing can be said.

    Source: OpenID Connect Back-Channel Logout 1.0, sections 2.4 and 2.6.
    """
    found = verified_event_token(token, expected, find_key)
    _check_expiry(found, expected)
    if EVENT not in found.events:
        raise TokenRefused("invalid_request", "events has no back-channel logout")
    if "nonce" in found.claims:
        # An ID token has one; so neither can stand in for the other.
        raise TokenRefused("invalid_request", "nonce is present")
    if "sub" not in found.claims and "sid" not in found.claims:
        raise TokenRefused("invalid_request", "neither sub nor sid")
    return LogoutToken(
        issuer=expected.issuer,
        subject=text_of(found.claims, "sub") if "sub" in found.claims else None,
        sid=text_of(found.claims, "sid") if "sid" in found.claims else None,
        jti=found.jti,
        refused_from=found.refused_from,
    )


def _check_expiry(found: EventToken, expected: Expected) -> None:
    expires_at = number(found.claims.get("exp"))
    if expires_at is None:
        raise TokenRefused("invalid_request", "exp is missing or no number")
    if expires_at <= expected.now - expected.clock_skew_seconds:
        raise TokenRefused("invalid_request", "expired")

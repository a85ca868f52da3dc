"""Which sessions does a logout token of the provider end?"""

from __future__ import annotations

import msgspec

from bff.config import Config
from bff.core.errors import TokenRefused
from bff.core.signing_keys import FindKeys
from bff.provider.event_token import EventToken, ExpectedEventToken, verified_event_token
from bff.provider.jws import number, text_of

EVENT = "http://schemas.openid.net/event/backchannel-logout"
AGE_MAX_SECONDS = 3600
"""The specification recommends two minutes for `exp`; a provider that retries may set more."""


class LogoutToken(msgspec.Struct, frozen=True, kw_only=True):
    """Whose sessions end: at least one of `subject` and `sid` is set."""

    issuer: str
    subject: str | None
    sid: str | None
    jti: str
    refused_from: int
    """From then on the token is rejected for its age, so that its `jti` can be deleted."""


def expected_of(config: Config, now: float) -> ExpectedEventToken:
    """The values that logout tokens of our provider are compared with."""
    return ExpectedEventToken(
        issuer=config.issuer,
        audience=config.client_id,
        algorithms=config.id_token_algorithms,
        types=config.logout_token_types,
        age_max_seconds=AGE_MAX_SECONDS,
        now=now,
        clock_skew_seconds=config.clock_skew_seconds,
    )


def validated_logout_token(
    token: str, expected: ExpectedEventToken, find_keys: FindKeys
) -> LogoutToken:
    """What *token* says, once every check has passed that needs no stored data.

    `jti` is required, as in the final specification. Without `exp`, as in its drafts, `iat` and the
    age limit bound the token's life. The caller checks that the token is no replay and that its
    `sub` and `sid` fit together.

    Raises:
        TokenRefused: One check failed; the detail names which.
        ProviderError: The keys can't be loaded, so the signature can't be checked.

    Source: OpenID Connect Back-Channel Logout 1.0, sections 2.4 and 2.6.
    """
    found = verified_event_token(token, expected, find_keys)
    _check_expiry(found, expected)
    if not isinstance(found.events.get(EVENT), dict):
        raise TokenRefused("invalid_request", "events has no back-channel logout")
    if "nonce" in found.claims:
        # An ID token has one, so that neither is accepted in place of the other.
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


def _check_expiry(found: EventToken, expected: ExpectedEventToken) -> None:
    if "exp" not in found.claims:
        return  # Hydra leaves it out; `iat` was checked.
    expires_at = number(found.claims["exp"])
    if expires_at is None:
        raise TokenRefused("invalid_request", "exp is no number")
    if expires_at <= expected.now - expected.clock_skew_seconds:
        raise TokenRefused("invalid_request", "expired")

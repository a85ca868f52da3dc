"""What of a token answer and of an ID token is kept?"""

from __future__ import annotations

from typing import Any

from bff.config import Config
from bff.core.model import Identity, IssuedTokens, Tokens
from bff.provider.id_token import number
from bff.provider.token_response import TokenResponse


def identity_of(claims: dict[str, Any], config: Config) -> Identity:
    """Who signed in and how, from validated claims; of the others only the allowed ones."""
    amr = claims.get("amr")
    return Identity(
        issuer=claims["iss"],
        subject=claims["sub"],
        sid=_text(claims.get("sid")),
        auth_time=number(claims.get("auth_time")),
        acr=_text(claims.get("acr")),
        amr=tuple(a for a in amr if isinstance(a, str)) if isinstance(amr, list) else (),
        claims={name: claims[name] for name in config.profile_claims if name in claims},
    )


def session_end_of(claims: dict[str, Any]) -> int | None:
    """When the provider's own session ends (Auth0's `session_expiry`), if it says so."""
    return number(claims.get("session_expiry"))


def tokens_of(answer: TokenResponse, issued_at: int, config: Config) -> Tokens:
    """The tokens of a sign-in."""
    return Tokens(
        access_token=answer.access_token,
        expires_at=issued_at + answer.expires_in_seconds,
        issued_at=issued_at,
        # Left out, it is what was asked for (RFC 6749, 5.1).
        scope=config.scope if answer.scope is None else answer.scope,
        refresh_token=answer.refresh_token,
        id_token=_hint(answer, config),
    )


def refreshed_tokens_of(answer: TokenResponse, issued_at: int, config: Config) -> IssuedTokens:
    """The tokens of a refresh."""
    return IssuedTokens(
        access_token=answer.access_token,
        expires_at=issued_at + answer.expires_in_seconds,
        issued_at=issued_at,
        scope=answer.scope,
        refresh_token=answer.refresh_token,
        id_token=_hint(answer, config),
        token_type=answer.token_type,
        issued_token_type=answer.issued_token_type,
    )


def _hint(answer: TokenResponse, config: Config) -> str | None:
    """The ID token, only where the logout needs it."""
    return answer.id_token if config.id_token_hint else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None

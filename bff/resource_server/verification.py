"""Is this access token alive?

The one rule, for introspection, for nginx and for APIs: a JWT that the provider signed for this
audience and that hasn't expired; not on the deny-list; not older than a watermark over its user or
over everybody; not older than what Redis remembers. An opaque token is never called alive: the
deny-list could say that it is dead, but nobody here can say that it isn't. Source: RFC 9068,
section 4; RFC 8725, sections 3.1 and 3.11.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import Key

from bff.core.errors import ScopeMissing, TokenInvalid
from bff.resource_server.bearer import TOKEN_MAX_CHARACTERS
from bff.resource_server.revoked_tokens import RevokedTokens

TYPES = ("jwt", "at+jwt", "none")
"""Auth0's two dialects; some providers leave `typ` out. A logout token has its own."""
MARKS_OF_OTHER_TOKENS = ("at_hash", "c_hash", "s_hash", "events")
"""ID tokens, logout tokens and security events have these, access tokens don't."""

FindKey = Callable[[str, str | None], Key | None]
"""Finds the provider's key by algorithm and key id; raises ProviderUnavailable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What an access token is held against.

    `audience` must be in `aud`, `not_audience` (our own client id, to which ID tokens are
    addressed) must not. The skew is for `iat` and `nbf`. It is not for `exp`, nor for watermarks:
    there it would make dead tokens live on.
    """

    issuer: str
    audience: str | None
    not_audience: str | None = None
    algorithms: tuple[str, ...] = ("RS256", "PS256", "ES256")
    clock_skew_seconds: int = 10


class AccessTokenVerifier:
    """Judges access tokens.

    Args:
        expected: What a token must be like.
        find_key: The provider's keys.
        revoked_tokens: Asks Redis; None judges the JWT alone.
        clock: UTC epoch seconds.
    """

    def __init__(
        self,
        expected: Expected,
        find_key: FindKey,
        revoked_tokens: RevokedTokens | None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._expected = expected
        self._find_key = find_key
        self._dead_tokens = revoked_tokens
        self._clock = clock
        self._registry = jws.JWSRegistry(algorithms=expected.algorithms, strict_check_header=False)
        self._registry.max_header_length = TOKEN_MAX_CHARACTERS

    def verify(self, access_token: str, scope: str = "") -> dict[str, Any]:
        """The claims of a token that is alive.

        Args:
            access_token: As it was sent.
            scope: What it must allow, blank-separated; Auth0's `permissions` count as well.

        Raises:
            TokenInvalid: It is not alive; the detail says why, for the log.
            ScopeMissing: It is alive, but doesn't allow this.
            StoreUnavailable: Redis is away, so that nothing can be said.
            ProviderError: The provider's keys can't be had, likewise.
        """
        claims = self._genuine(access_token)
        reason = self._dead_tokens.reason(access_token, claims) if self._dead_tokens else None
        if reason is not None:
            raise TokenInvalid(reason)
        if not set(scope.split()) <= scopes_of(claims):
            raise ScopeMissing(scope)
        return claims

    def _genuine(self, access_token: str) -> dict[str, Any]:
        """The claims once signature, type, issuer, audience and times have been checked."""
        if len(access_token) > TOKEN_MAX_CHARACTERS:
            raise TokenInvalid("too long")
        algorithms = self._expected.algorithms
        try:
            token = jwt.decode(access_token, self._key, algorithms, self._registry)
            self._check(token.header, token.claims)
        except (JoseError, ValueError, TypeError, KeyError, RecursionError) as error:
            # joserfc's texts name claim and reason, never the token; others may quote it.
            raise TokenInvalid(f"not acceptable: {type(error).__name__}") from error
        return token.claims

    def _key(self, token: Any) -> Key:
        header = token.headers()
        kid = header.get("kid")
        key = self._find_key(header["alg"], kid) if kid is None or isinstance(kid, str) else None
        if key is None:
            raise TokenInvalid("signed with a key that the provider doesn't list")
        return key

    def _check(self, header: Mapping[str, Any], claims: dict[str, Any]) -> None:
        typ = str(header.get("typ")).lower().removeprefix("application/")
        if typ not in TYPES or any(mark in claims for mark in MARKS_OF_OTHER_TOKENS):
            raise TokenInvalid("a token of another kind")
        expected, now = self._expected, self._clock()
        jwt.JWTClaimsRegistry(
            now=int(now),
            leeway=expected.clock_skew_seconds,
            iss={"essential": True, "value": expected.issuer},
            sub={"essential": True},
            iat={"essential": True},
            exp={"essential": True},
        ).validate(claims)
        # They become names in Redis, and a lone surrogate can't; it raises ValueError here.
        (claims["iss"] + claims["sub"]).encode()
        # The deny-list forgets a token soon after its end, so this end is taken to the letter.
        if now >= claims["exp"]:
            raise TokenInvalid("expired")
        audiences = audiences_of(claims)
        if expected.audience is not None and expected.audience not in audiences:
            raise TokenInvalid("for another audience")
        if expected.not_audience is not None and expected.not_audience in audiences:
            raise TokenInvalid("an ID token")


def audiences_of(claims: Mapping[str, Any]) -> list[Any]:
    """`aud` as a list; it may be one string (RFC 7519, 4.1.3)."""
    aud = claims.get("aud")
    return aud if isinstance(aud, list) else [aud]


def scopes_of(claims: Mapping[str, Any]) -> set[str]:
    """What the token allows: `scope` (RFC 9068, 2.2.3), and Auth0's `permissions`."""
    scope, permissions = claims.get("scope"), claims.get("permissions")
    granted = scope.split() if isinstance(scope, str) else []
    granted += permissions if isinstance(permissions, list) else []
    return {one for one in granted if isinstance(one, str)}

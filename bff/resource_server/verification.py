"""Is this access token valid?

The same rule for introspection, nginx and APIs. It is a JWT, signed by the provider for this
audience, and not expired; it is not on the deny-list; and it is not older than a watermark over its
user or over everyone, nor than Redis's history. An opaque token is never valid here: the deny-list
could tell that it is revoked, but nothing here can tell that it isn't. Source: RFC 9068, section 4;
RFC 8725, sections 3.1 and 3.11.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from joserfc import jws, jwt
from joserfc.errors import JoseError, MissingKeyError

from bff.core.errors import ScopeMissing, TokenInvalid
from bff.core.signing_keys import FindKeys, verified_jwt
from bff.resource_server.bearer import TOKEN_MAX_CHARACTERS
from bff.resource_server.dpop_proof import PresentedProof, ProofName, bound_key, checked_proof
from bff.resource_server.revoked_tokens import RevokedTokens
from bff.resource_server.used_proofs import UsedProofs

# Auth0: `jwt` in its own dialect, `at+jwt` in that of RFC 9068. Some providers omit `typ`: "none".
# A logout token has a type of its own.
TYPES = ("jwt", "at+jwt", "none")
CLAIMS_OF_OTHER_TOKENS = ("at_hash", "c_hash", "s_hash", "events")
"""ID tokens, logout tokens and security events have these, access tokens don't."""
# Keycloak: `typ` is a claim, too. Cognito: `token_use`.
KINDS_OF_OTHER_TOKENS = {"typ": ("ID", "Refresh", "Offline", "Logout"), "token_use": ("id",)}
CLAIMS_OF_CLIENTS = ("azp", "client_id", "cid", "appid")
"""The client that a token was issued to; an ID token is addressed to it."""
CLAIMS_OF_SCOPES = ("scope", "scp", "permissions")

AUD_SHOWN_CHARACTERS = 200

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedAccessToken:
    """What a valid access token has.

    `audience` must be in `aud`; `not_audience` (our client id, to which ID tokens are addressed)
    must not. Without an audience, what may be another client's ID token is refused, too. The clock
    skew applies to `iat` and `nbf` only: with `exp` or watermarks it would accept expired or
    revoked tokens.
    """

    issuer: str
    audience: str | None
    not_audience: str | None = None
    algorithms: tuple[str, ...] = ("RS256", "PS256", "ES256")
    clock_skew_seconds: int = 10


class AccessTokenVerifier:
    """Verifies access tokens.

    Args:
        expected: What a valid token has.
        find_keys: Finds the provider's keys.
        revoked_tokens: Looks up revoked tokens and used proofs; None checks the JWT alone, and
            remembers the proofs of this process.
        clock: UTC epoch seconds.
    """

    def __init__(
        self,
        expected: ExpectedAccessToken,
        find_keys: FindKeys,
        revoked_tokens: RevokedTokens | None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._expected = expected
        self._find_keys = find_keys
        self._revoked_tokens = revoked_tokens
        self._used_proofs = UsedProofs()
        self._clock = clock
        self._logged: set[str] = set()
        self._registry = jws.JWSRegistry(algorithms=expected.algorithms, strict_check_header=False)
        self._registry.max_header_length = TOKEN_MAX_CHARACTERS

    def verify(
        self, access_token: str, scope: str = "", presented: PresentedProof | None = None
    ) -> dict[str, Any]:
        """Return the claims of a valid token that a request brings.

        Args:
            access_token: As it was sent.
            scope: What it must allow, separated by spaces; Auth0's `permissions` count, too.
            presented: With what proof it was sent; None if it was sent as Bearer. A token that is
                bound to a key (DPoP) is never valid as Bearer, and no other one is as DPoP
                (RFC 9449, 7.1 and 7.2).

        Raises:
            TokenInvalid: It isn't valid; the detail has the reason, for the log.
            ProofInvalid: It is, but the proof isn't.
            ScopeMissing: It is valid, but doesn't allow this.
            StoreUnavailable: Redis is away, so validity is unknown.
            ProviderError: There are no keys of the provider, likewise.
        """
        claims = self._checked_claims(access_token)
        proof = self._proven(access_token, claims, presented)
        self._check_revocation(access_token, claims, proof)
        if not set(scope.split()) <= scopes_of(claims):
            raise ScopeMissing(scope)
        return claims

    def introspect(self, access_token: str) -> dict[str, Any]:
        """Return the claims of a valid token, whoever has it; who asks checks possession itself.

        Raises:
            TokenInvalid, StoreUnavailable, ProviderError: As `verify`.
        """
        claims = self._checked_claims(access_token)
        bound_key(claims)
        self._check_revocation(access_token, claims)
        return claims

    def _check_revocation(
        self, access_token: str, claims: Mapping[str, Any], proof: ProofName | None = None
    ) -> None:
        """Raise TokenInvalid for a revoked token, ProofInvalid for a proof that came before."""
        if self._revoked_tokens is not None:
            reason = self._revoked_tokens.reason(access_token, claims, proof)
            if reason is not None:
                raise TokenInvalid(reason)
        elif proof is not None:
            self._used_proofs.use(proof)

    def _proven(
        self, access_token: str, claims: Mapping[str, Any], presented: PresentedProof | None
    ) -> ProofName | None:
        """The proof of possession, if the token needs one."""
        jkt = bound_key(claims)
        if presented is None:
            if jkt is not None:
                raise TokenInvalid("bound to a key (cnf.jkt), and sent as Bearer")
            return None
        if jkt is None:
            raise TokenInvalid("sent as DPoP, and bound to no key")
        return checked_proof(presented, access_token, jkt, self._clock())

    def _checked_claims(self, access_token: str) -> dict[str, Any]:
        """The claims, after signature, type, issuer, audience and times have been checked."""
        if len(access_token) > TOKEN_MAX_CHARACTERS:
            raise TokenInvalid("too long")
        try:
            token = verified_jwt(access_token, self._registry, self._find_keys)
            self._check(token.header, token.claims)
        except MissingKeyError as error:
            raise TokenInvalid("signed with a key that the provider doesn't list") from error
        except (JoseError, ValueError, TypeError, KeyError, RecursionError) as error:
            # joserfc's messages name claim and reason, never the token; others may quote it.
            raise TokenInvalid(f"not acceptable: {type(error).__name__}") from error
        return token.claims

    def _check(self, header: Mapping[str, Any], claims: dict[str, Any]) -> None:
        typ = str(header.get("typ")).lower().removeprefix("application/")
        if typ not in TYPES or _is_of_another_kind(claims):
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
        # Both become part of a key in Redis. A lone surrogate can't, and raises ValueError here.
        (claims["iss"] + claims["sub"]).encode()
        # Without leeway: the deny-list drops a token soon after it expires.
        if now >= claims["exp"]:
            raise TokenInvalid("expired")
        self._check_audience(claims, typ)

    def _check_audience(self, claims: dict[str, Any], typ: str) -> None:
        """Check `aud` of a token that is valid otherwise; the first that fails is logged.

        A provider may issue none for our APIs, and callers learn no reason.
        """
        expected, audiences = self._expected, audiences_of(claims)
        if expected.audience is not None and expected.audience not in audiences:
            problem, wanted = "for another audience", repr(expected.audience)
        elif expected.not_audience is not None and expected.not_audience in audiences:
            problem, wanted = "an ID token", f"an API, not the client {expected.not_audience!r}"
        elif expected.audience is None and typ != "at+jwt" and _may_be_id_token(claims):
            problem, wanted = "perhaps an ID token", "an API. Set AUTH0_AUDIENCE to it"
        else:
            return
        if problem not in self._logged:
            self._logged.add(problem)
            shown = repr(claims.get("aud"))[:AUD_SHOWN_CHARACTERS]
            log.warning(
                "a token of the provider is refused for its aud, %s; expected is %s. "
                "If all of its tokens are so, none is ever active. Logged once", shown, wanted,
            )  # fmt: skip
        raise TokenInvalid(problem)


def _is_of_another_kind(claims: Mapping[str, Any]) -> bool:
    return any(name in claims for name in CLAIMS_OF_OTHER_TOKENS) or any(
        claims.get(name) in kinds for name, kinds in KINDS_OF_OTHER_TOKENS.items()
    )


def _may_be_id_token(claims: Mapping[str, Any]) -> bool:
    """Whether it may be the ID token of any client, which no API must accept.

    Matters where no audience is expected. An ID token is addressed to the client that it was issued
    to, and has a `nonce` but no scope (OpenID Connect Core, section 2).
    """
    if claims.get("typ") == "Bearer":  # Keycloak: older ones put a `nonce` into access tokens, too.
        return False
    clients = [claims[name] for name in CLAIMS_OF_CLIENTS if name in claims]
    to_its_client = any(client in audiences_of(claims) for client in clients)
    has_scope = any(name in claims for name in CLAIMS_OF_SCOPES)
    return to_its_client or "nonce" in claims or not has_scope


def audiences_of(claims: Mapping[str, Any]) -> list[Any]:
    """`aud` as a list; it may be one string (RFC 7519, 4.1.3)."""
    aud = claims.get("aud")
    return aud if isinstance(aud, list) else [aud]


def scopes_of(claims: Mapping[str, Any]) -> set[str]:
    """What the token allows: `scope` (RFC 9068, 2.2.3) and `permissions`."""
    # Auth0: `permissions` lists what a role allows (RBAC), beside `scope`.
    scope, permissions = claims.get("scope"), claims.get("permissions")
    granted = scope.split() if isinstance(scope, str) else []
    granted += permissions if isinstance(permissions, list) else []
    return {one for one in granted if isinstance(one, str)}

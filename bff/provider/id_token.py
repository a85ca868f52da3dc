"""Is this ID token genuine, fresh, for us and for this very sign-in, and whose is it?"""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
from collections.abc import Callable
from typing import Any

import msgspec
from joserfc import jwt
from joserfc.errors import JoseError

from bff.config import Config
from bff.core.errors import (
    AuthTimeMissing,
    BFFError,
    IDTokenInvalid,
    ProviderError,
    TokenRefused,
)
from bff.core.model import Identity
from bff.core.signing_keys import FindKeys
from bff.provider.discovery import Discovery
from bff.provider.http_transport import Deadline
from bff.provider.jws import is_unicode, number, present, text, verified
from bff.provider.storable_claims import storable
from bff.provider.token_response import TokenResponse

log = logging.getLogger("bff.provider")

SUBJECT_MAX_CHARACTERS = 255
IDENTIFIERS = ("iss", "sub", "sid", "nonce", "at_hash")
"""Claims that identify a user, a session or a sign-in: they are compared, hashed and stored."""


class ExpectedIDToken(msgspec.Struct, frozen=True, kw_only=True):
    """The values that an ID token is compared with."""

    issuer: str
    client_id: str
    algorithms: tuple[str, ...]
    now: float
    clock_skew_seconds: int
    access_token: str
    nonce: str | None = None
    """None for a refresh, which belongs to no sign-in."""
    subject: str | None = None
    """Known for a refresh only."""
    authenticated_after: float | None = None
    """Set if `max_age` was requested: the earliest `auth_time` that is accepted."""
    iat_suffices: bool = False
    """`prompt=login` was requested, and `iat` may stand for a missing `auth_time` then."""
    organization: str | None = None
    """Set if an organization was requested, by id or by name."""


class IDTokens:
    """Checks the ID tokens that come with token responses.

    Args:
        config: Issuer, client id, algorithms and the allowed clock skew.
        discovery: The provider's keys.
        clock: UTC epoch seconds.
    """

    def __init__(self, config: Config, discovery: Discovery, clock: Callable[[], float]) -> None:
        self._config = config
        self._discovery = discovery
        self._clock = clock

    def claims(
        self, response: TokenResponse, deadline: Deadline, **expected: Any
    ) -> dict[str, Any]:
        """The claims of the ID token in *response*; for *expected* see `ExpectedIDToken`.

        Raises:
            IDTokenInvalid: There is none, or it failed a check.
            ProviderError: The provider's keys can't be loaded.
        """
        whole = self._expected(response, expected)
        return validated_claims(response.id_token, whole, self._key_finder(deadline))

    def refreshed(
        self, response: TokenResponse, subject: str | None, deadline: Deadline
    ) -> tuple[TokenResponse, dict[str, Any]]:
        """*response*, once the ID token that a refresh may bring is checked; and its claims.

        One that can't be verified is dropped, and the rest is used: it may be due to a new key, an
        outage or a clock, and is no logout. Only the profile and the logout there need it.

        Raises:
            IDTokenInvalid: It is genuine, and of another user, another issuer or another client.

        Source: OpenID Connect Core 1.0, section 12.2.
        """
        if response.id_token is None:
            return response, {}
        expected = self._expected(response, {"subject": subject})
        find_keys = self._key_finder(deadline)
        try:
            alg, claims = _verified(response.id_token, expected.algorithms, find_keys)
        except (IDTokenInvalid, ProviderError) as error:
            return _without_id_token(response, error), {}
        _refuse_another(claims, expected)
        try:
            _check(claims, alg, expected)
        except IDTokenInvalid as error:
            return _without_id_token(response, error), {}
        return response, claims

    def _expected(self, response: TokenResponse, more: dict[str, Any]) -> ExpectedIDToken:
        return ExpectedIDToken(
            issuer=self._config.issuer,
            client_id=self._config.client_id,
            algorithms=self._config.id_token_algorithms,
            now=self._clock(),
            clock_skew_seconds=self._config.clock_skew_seconds,
            access_token=response.access_token,
            **more,
        )

    def _key_finder(self, deadline: Deadline) -> FindKeys:
        return lambda alg, kid: self._discovery.find_keys(alg, kid, deadline)


def _without_id_token(response: TokenResponse, error: BFFError) -> TokenResponse:
    log.warning("a refreshed ID token can't be verified, dropped: %s", error.detail)
    return msgspec.structs.replace(response, id_token=None)


def identity_of(claims: dict[str, Any], config: Config, *, iat_suffices: bool = False) -> Identity:
    """Who signed in and how, from validated claims; of the others what `_shown` picks."""
    amr, auth_time = claims.get("amr"), number(claims.get("auth_time"))
    return Identity(
        issuer=claims["iss"],
        subject=claims["sub"],
        sid=text(claims.get("sid")),
        auth_time=auth_time,
        prompted_at=number(claims["iat"]) if iat_suffices and auth_time is None else None,
        acr=storable(text(claims.get("acr"))),
        amr=tuple(storable(a) for a in amr if isinstance(a, str)) if isinstance(amr, list) else (),
        claims=_shown(claims, config),
    )


def _shown(claims: dict[str, Any], config: Config) -> dict[str, Any]:
    """The claims that the profile shows; always who acts as the user (RFC 8693, 4.1)."""
    acting = ["act"] if isinstance(claims.get("act"), dict) else []
    names = dict.fromkeys([*config.profile_claims, *acting])
    return {name: storable(claims[name]) for name in names if name in claims}


def validated_claims(
    id_token: object, expected: ExpectedIDToken, find_keys: FindKeys
) -> dict[str, Any]:
    """The claims of *id_token* once every check has passed.

    Raises:
        IDTokenInvalid: It is missing, or one check failed; the detail names which.

    Source: OpenID Connect Core 1.0, sections 3.1.3.6, 3.1.3.7 and 12.2.
    """
    if not isinstance(id_token, str) or not id_token:
        raise IDTokenInvalid("the provider sent no ID token")
    alg, claims = _verified(id_token, expected.algorithms, find_keys)
    _check(claims, alg, expected)
    return claims


def _check(claims: dict[str, Any], alg: str, expected: ExpectedIDToken) -> None:
    claims = present(claims)
    _check_unicode(claims)
    _check_registered(claims, expected)
    _check_authorized_party(claims, expected.client_id)
    _check_subject(claims, expected.subject)
    _check_nonce(claims, expected.nonce)
    _check_auth_time(claims, expected)
    _check_at_hash(claims, alg, expected.access_token)
    _check_organization(claims, expected.organization)


def _verified(
    id_token: str, algorithms: tuple[str, ...], find_keys: FindKeys
) -> tuple[str, dict[str, Any]]:
    try:
        header, claims = verified(id_token, algorithms, find_keys)
    except TokenRefused as error:
        raise IDTokenInvalid(error.detail) from error
    return str(header["alg"]), claims


def _check_unicode(claims: dict[str, Any]) -> None:
    """Half a character in a name is replaced (`identity_of`), but an identifier must be exact."""
    for name in IDENTIFIERS:
        if isinstance(value := claims.get(name), str) and not is_unicode(value):
            raise IDTokenInvalid(f"{name} is no Unicode text")


def _refuse_another(claims: dict[str, Any], expected: ExpectedIDToken) -> None:
    """Refuse what names another issuer, client or user; a claim that is missing names none."""
    audiences = claims.get("aud")
    audiences = audiences if isinstance(audiences, list) else [audiences]
    named = [one for one in audiences if isinstance(one, str)]
    if named and expected.client_id not in named:
        raise IDTokenInvalid("a refresh brought an ID token for another client")
    for name, ours in (
        ("iss", expected.issuer),
        ("azp", expected.client_id),
        ("sub", expected.subject),
    ):
        if ours is not None and text(claims.get(name)) not in (None, ours):
            raise IDTokenInvalid(f"a refresh brought an ID token with another {name}")


def _check_registered(claims: dict[str, Any], expected: ExpectedIDToken) -> None:
    registry = jwt.JWTClaimsRegistry(
        now=int(expected.now),
        leeway=expected.clock_skew_seconds,
        iss={"essential": True, "value": expected.issuer},
        aud={"essential": True, "value": expected.client_id},
        sub={"essential": True},
        exp={"essential": True},
        iat={"essential": True},
    )
    try:
        registry.validate(claims)
    except JoseError as error:
        raise IDTokenInvalid(f"{type(error).__name__}: {error.description}") from error


def _check_authorized_party(claims: dict[str, Any], client_id: str) -> None:
    several = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
    if (several or "azp" in claims) and claims.get("azp") != client_id:
        raise IDTokenInvalid("azp names another client, or is missing beside several audiences")


def _check_subject(claims: dict[str, Any], subject: str | None) -> None:
    if len(claims["sub"]) > SUBJECT_MAX_CHARACTERS:
        raise IDTokenInvalid("sub is too long")
    if subject is not None and claims["sub"] != subject:
        raise IDTokenInvalid("a refresh brought the ID token of another user")


def _check_nonce(claims: dict[str, Any], nonce: str | None) -> None:
    if nonce is None:
        return
    found = claims.get("nonce")
    if not isinstance(found, str) or not hmac.compare_digest(found.encode(), nonce.encode()):
        raise IDTokenInvalid("nonce is missing or belongs to another sign-in")


def _check_auth_time(claims: dict[str, Any], expected: ExpectedIDToken) -> None:
    if expected.authenticated_after is None:
        return
    name = "auth_time"
    if claims.get(name) is None:
        if not expected.iat_suffices:
            raise AuthTimeMissing(
                "the provider sent no auth_time: docs/logout.md, Providers without auth_time"
            )
        name = "iat"
    at = number(claims.get(name))
    if at is None or at < expected.authenticated_after - expected.clock_skew_seconds:
        raise IDTokenInvalid(f"{name} is no number, or the user authenticated too long ago")


def _check_at_hash(claims: dict[str, Any], alg: str, access_token: str) -> None:
    if "at_hash" not in claims:
        return
    # The algorithm is on the allow-list: its name contains its hash, Ed25519 uses SHA-512.
    is_edwards = alg in ("EdDSA", "Ed25519")
    digest = hashlib.new("sha512" if is_edwards else f"sha{alg[-3:]}", access_token.encode())
    half = base64.urlsafe_b64encode(digest.digest()[: digest.digest_size // 2]).rstrip(b"=")
    found = claims["at_hash"]
    if not isinstance(found, str) or not hmac.compare_digest(found.rstrip("=").encode(), half):
        raise IDTokenInvalid("at_hash does not belong to the access token")


def _check_organization(claims: dict[str, Any], organization: str | None) -> None:
    """A requested organization must be the one of the ID token.

    Source: Auth0 docs, manage-users/organizations/using-tokens.
    """
    # Auth0: `org_id` and `org_name`.
    if organization is None:
        return
    name = claims.get("org_name")
    named = isinstance(name, str) and name.casefold() == organization.casefold()
    if claims.get("org_id") != organization and not named:
        raise IDTokenInvalid("org_id and org_name are not of the organization that was asked for")

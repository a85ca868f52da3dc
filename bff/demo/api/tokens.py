"""Is this access token one that this API may accept?

The checks are those of RFC 9068, section 4, and cover both dialects of Auth0: `typ: JWT` (its
default) and `typ: at+jwt`. Signing keys come from the issuer's discovery document.
"""

import base64
import json
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import requests
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

ALGORITHMS = ["RS256"]
# None: a BFF that sends a dead token should see it refused, also in a demo on one clock.
LEEWAY_SECONDS = 0
KEYS_LIFETIME_SECONDS = 600
REFETCH_PAUSE_SECONDS = 10
FETCH_TIMEOUT_SECONDS = 5


class TokenInvalid(Exception):
    """The token is refused; the text says why and contains no part of the token."""


class KeysUnavailable(Exception):
    """The issuer's keys could not be loaded, so nothing can be said about any token."""


def fetch_json(url: str) -> Any:
    """Get the JSON document at *url*, without redirects and with a timeout.

    Raises:
        requests.RequestException: No answer, or not a 200.
        ValueError: The answer isn't JSON.
    """
    response = requests.get(url, timeout=FETCH_TIMEOUT_SECONDS, allow_redirects=False)
    if response.status_code != 200:
        raise requests.HTTPError(f"{url} answered {response.status_code}")
    return response.json()


class IssuerKeys:
    """The signing keys of one issuer, fetched when needed and no more often than that."""

    def __init__(
        self,
        issuer: str,
        fetch: Callable[[str], Any] = fetch_json,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Remember where to look; nothing is fetched before the first token.

        Args:
            issuer: Exactly as in the tokens' `iss`, trailing slash included.
            fetch: Gets a URL and returns the parsed JSON.
            clock: Monotonic seconds.
        """
        self._issuer = issuer
        self._fetch = fetch
        self._clock = clock
        self._lock = threading.Lock()
        self._keys: KeySet | None = None
        self._kids: frozenset[str] = frozenset()
        self._fetched_at = 0.0

    def containing(self, kid: str) -> KeySet:
        """Return the issuer's key set, fetched again if it doesn't have *kid*.

        Raises:
            KeysUnavailable: There are no keys and they can't be fetched.
            TokenInvalid: The issuer has no key of this name.
        """
        with self._lock:
            age_seconds = self._clock() - self._fetched_at
            if self._keys is None or age_seconds > KEYS_LIFETIME_SECONDS:
                self._load()
            elif kid not in self._kids and age_seconds > REFETCH_PAUSE_SECONDS:
                # A made-up `kid` costs the issuer at most one fetch per pause.
                self._load()
            if self._keys is None:
                raise KeysUnavailable("The issuer's signing keys can't be loaded.")
            if kid not in self._kids:
                raise TokenInvalid("The token is signed with an unknown key.")
            return self._keys

    def _load(self) -> None:
        """Replace the keys; when that fails, the ones we have stay in use."""
        try:
            base_url = self._issuer.rstrip("/")
            metadata = self._fetch(f"{base_url}/.well-known/openid-configuration")
            if metadata["issuer"] != self._issuer:
                raise ValueError("The discovery document names another issuer.")
            document = self._fetch(metadata["jwks_uri"])
            keys = KeySet.import_key_set(document)
        except (requests.RequestException, ValueError, KeyError, TypeError, JoseError) as error:
            if self._keys is None:
                raise KeysUnavailable("The issuer's signing keys can't be loaded.") from error
        else:
            self._keys = keys
            self._kids = frozenset(str(key["kid"]) for key in document["keys"] if "kid" in key)
        self._fetched_at = self._clock()


class TokenValidator:
    """Checks access tokens of one issuer for one audience."""

    def __init__(
        self,
        issuer: str,
        audience: str,
        keys: IssuerKeys | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        """Tie the validator to an issuer and to this API's identifier.

        Args:
            issuer: The expected `iss`, compared exactly.
            audience: What `aud` must be or contain.
            keys: Where signing keys come from; by default the issuer's discovery.
            now: UTC epoch seconds.
        """
        self._keys = keys or IssuerKeys(issuer)
        self._now = now
        self._claims_rules: dict[str, Any] = {
            "iss": {"essential": True, "value": issuer},
            "aud": {"essential": True, "value": audience},
            "exp": {"essential": True},
            "sub": {"essential": True},
        }

    def validate(self, token: str) -> Mapping[str, Any]:
        """Return the claims of *token*.

        Raises:
            TokenInvalid: Any check failed.
            KeysUnavailable: The issuer can't be asked for its keys.

        Source: RFC 9068, section 4; RFC 8725, sections 3.1 and 3.11.
        """
        header = _header_of(token)
        kid = header.get("kid")
        if header.get("alg") not in ALGORITHMS or not isinstance(kid, str):
            raise TokenInvalid("The token's algorithm or key name isn't acceptable.")
        if _media_type(header.get("typ")) not in ("jwt", "at+jwt"):
            raise TokenInvalid("The token is of another type.")
        keys = self._keys.containing(kid)
        try:
            claims = jwt.decode(token, keys, algorithms=ALGORITHMS).claims
        except (JoseError, ValueError) as error:
            raise TokenInvalid("The token's signature isn't valid.") from error
        self._check_claims(claims)
        return claims

    def _check_claims(self, claims: dict[str, Any]) -> None:
        registry = jwt.JWTClaimsRegistry(
            now=lambda: int(self._now()), leeway=LEEWAY_SECONDS, **self._claims_rules
        )
        try:
            registry.validate(claims)
        except JoseError as error:
            # joserfc's texts name the claim and the reason, never the token.
            raise TokenInvalid(f"The token was refused: {error.error}.") from error
        except (TypeError, ValueError) as error:
            raise TokenInvalid("The token's claims are malformed.") from error


def _header_of(token: str) -> dict[str, Any]:
    """Read the unverified header, only to choose the key that verifies it."""
    try:
        segment = token.split(".")[0]
        header = json.loads(base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4)))
    except ValueError as error:
        raise TokenInvalid("The token is malformed.") from error
    if token.count(".") != 2 or not isinstance(header, dict):
        raise TokenInvalid("The token is malformed.")
    return header


def _media_type(typ: object) -> str:
    """Return `typ` in lower case, without the optional `application/` (RFC 9068, section 4)."""
    return str(typ).lower().removeprefix("application/")

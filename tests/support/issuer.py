"""How do tests of tokens get a provider without a network: its metadata, keys and forgeries?"""

from __future__ import annotations

import hmac
import json
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from typing import Any

import requests
from joserfc.jwk import ECKey, Key, RSAKey
from joserfc.jws import JWSRegistry

from bff.resource_server import IssuerKeys

ISSUER = "https://issuer.test/"
AUDIENCE = "https://api.test"
CLIENT_ID = "client-id"
KEY = RSAKey.generate_key(2048, {"kid": "k1", "use": "sig"})
OTHER_KEY = RSAKey.generate_key(2048, {"kid": "k1", "use": "sig"})
NEXT_KEY = RSAKey.generate_key(2048, {"kid": "k2", "use": "sig"})
EC_KEY = ECKey.generate_key("P-256", {"kid": "e1", "use": "sig"})


class Issuer:
    """Stands in for discovery and JWKS; counts the lookups."""

    def __init__(self) -> None:
        self.listed: list[RSAKey | ECKey] = [KEY, EC_KEY]
        self.discovery_issuer = ISSUER
        self.broken = False
        self.fetched: list[str] = []

    def fetch(self, url: str) -> Any:
        self.fetched.append(url)
        if self.broken:
            raise requests.ConnectionError("refused")
        if url == f"{ISSUER}.well-known/openid-configuration":
            return {"issuer": self.discovery_issuer, "jwks_uri": f"{ISSUER}jwks"}
        assert url == f"{ISSUER}jwks"
        return {"keys": [key.as_dict(private=False) for key in self.listed]}

    def keys(self, clock: Any = time.monotonic) -> IssuerKeys:
        return IssuerKeys(ISSUER, self.fetch, clock)


def first(keys: Iterator[Key]) -> Key | None:
    """The first of *keys*, if there is one."""
    return next(keys, None)


class Clock:
    """Monotonic seconds that a test advances."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def claims(**changes: Any) -> dict[str, Any]:
    now = int(time.time())
    base = {
        "iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "iat": now, "exp": now + 60,
        "scope": "openid read:items",
    }  # fmt: skip
    return {name: value for name, value in {**base, **changes}.items() if value is not None}


def token(
    key: Any = KEY,
    header: dict[str, Any] | None = None,
    *,
    without_typ: bool = False,
    **changes: Any,
) -> str:
    head = {"alg": "RS256", "typ": "JWT", "kid": "k1", **(header or {})}
    if without_typ:
        del head["typ"]
    return signed(head, json.dumps(claims(**changes)).encode(), key)


def signed(header: dict[str, Any], payload: bytes, key: Any) -> str:
    """A compact JWS, also one that a library would refuse to make."""
    algorithm = JWSRegistry.algorithms[header["alg"]]
    content = f"{encode(header)}.{encode(payload)}"
    return f"{content}.{encode(algorithm.sign(content.encode(), key))}"


def encode(part: bytes | dict[str, Any]) -> str:
    data = part if isinstance(part, bytes) else json.dumps(part).encode()
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def unsigned_token(**changes: Any) -> str:
    return f"{encode({'alg': 'none', 'typ': 'JWT', 'kid': 'k1'})}.{encode(claims(**changes))}."


def hmac_token(
    secret: bytes | None = None, header: dict[str, Any] | None = None, **changes: Any
) -> str:
    """A token whose HMAC secret is the public key (RFC 8725, section 2.1)."""
    head = header or {"alg": "HS256", "typ": "JWT", "kid": "k1"}
    content = f"{encode(head)}.{encode(claims(**changes))}"
    mac = hmac.digest(secret or KEY.as_pem(private=False), content.encode(), "sha256")
    return f"{content}.{encode(mac)}"


def _other_payload() -> str:
    head, _, signature = token().split(".")
    return ".".join((head, encode(claims(sub="mallory")), signature))


def _own_key_inside() -> str:
    """Signed with an attacker's key, which is in the header (RFC 8725, 3.10)."""
    return token(OTHER_KEY, {"jwk": OTHER_KEY.as_dict(private=False)})


REFUSED: dict[str, Callable[[], str]] = {
    "alg_none": unsigned_token,
    "hs256_with_the_public_key": hmac_token,
    "hs256_with_the_jwks": lambda: hmac_token(json.dumps(KEY.as_dict(private=False)).encode()),
    "other_rsa_algorithm": lambda: token(header={"alg": "RS512"}),
    "rsa_token_that_names_an_ec_key": lambda: token(header={"kid": "e1"}),
    "another_key_of_the_same_name": lambda: token(OTHER_KEY),
    "a_key_in_the_header": _own_key_inside,
    "unknown_kid": lambda: token(NEXT_KEY, {"kid": "k2"}),
    "empty_kid": lambda: token(header={"kid": ""}),
    "critical_extension": lambda: token(header={"crit": ["x"], "x": 1}),
    "logout_token": lambda: token(header={"typ": "logout+jwt"}),
    "logout_token_as_auth0_sends_it": lambda: token(events={}),
    "security_event": lambda: token(header={"typ": "secevent+jwt"}),
    "id_token": lambda: token(aud=CLIENT_ID),
    "id_token_of_another_flow": lambda: token(at_hash="x"),
    "wrong_issuer": lambda: token(iss="https://issuer.test"),
    "no_issuer": lambda: token(iss=None),
    "issuer_is_a_list": lambda: token(iss=[ISSUER]),
    "wrong_audience": lambda: token(aud="https://other-api.test"),
    "wrong_audience_list": lambda: token(aud=["a", "b"]),
    "no_audience": lambda: token(aud=None),
    "expired": lambda: token(exp=int(time.time()) - 1),
    "no_expiry": lambda: token(exp=None),
    "expiry_is_text": lambda: token(exp="tomorrow"),
    "not_yet_valid": lambda: token(nbf=int(time.time()) + 60),
    "issued_in_the_future": lambda: token(iat=int(time.time()) + 60),
    "no_issue_instant": lambda: token(iat=None),
    "issue_instant_is_true": lambda: token(iat=True),
    "no_subject": lambda: token(sub=None),
    "subject_is_a_number": lambda: token(sub=7),
    "subject_that_is_no_text": lambda: token(sub="\ud800"),
    "changed_payload": _other_payload,
    "no_signature": lambda: token().rsplit(".", 1)[0] + ".",
    "no_jwt_at_all": lambda: "opaque",
    "header_is_a_list": lambda: "W10.W10.W10",
    "deep_header": lambda: f"{encode(b'[' * 5000)}.W10.W10",
    "five_parts": lambda: f"{token()}.x.y",
    "a_hundred_kilobytes": lambda: token(padding="x" * 100_000),
}
"""Tokens that every verifier must refuse, whatever is in Redis."""

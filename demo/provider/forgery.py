"""Which of the next tokens and responses are wrong, so that the client's checks are tested?"""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, TypeVar

from joserfc import jws
from joserfc.jwk import RSAKey

ID_TOKEN_ALGORITHMS = ("RS256", "none", "HS256-with-public-key", "RS256-with-other-key")
WRONG_ISSUER = "https://wrong-issuer.example/"


@dataclass
class IDTokenForgery:
    """Change the next `times` ID tokens: claims (null removes one), header, signature."""

    override: Mapping[str, Any] = field(default_factory=dict)
    header: Mapping[str, Any] = field(default_factory=dict)
    omit: bool = False
    alg: str = "RS256"
    times: int = 1

    def __post_init__(self) -> None:
        if self.alg not in ID_TOKEN_ALGORITHMS:
            raise ValueError(f"alg must be one of {', '.join(ID_TOKEN_ALGORITHMS)}")


@dataclass
class AuthorizationForgery:
    """Change the next `times` authorization responses; `iss: wrong` stands for `WRONG_ISSUER`."""

    iss: str | None = None
    state: str | None = None
    code: str | None = None
    times: int = 1

    def parameters(self) -> dict[str, str]:
        """The query parameters that replace the original ones."""
        iss = WRONG_ISSUER if self.iss == "wrong" else self.iss
        wanted = {"iss": iss, "state": self.state, "code": self.code}
        return {name: value for name, value in wanted.items() if value is not None}


Forgery = TypeVar("Forgery", IDTokenForgery, AuthorizationForgery)


class Forgeries:
    """The forgeries to apply, oldest first, and the changes of the discovery document."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._id_tokens: list[IDTokenForgery] = []
        self._authorizations: list[AuthorizationForgery] = []
        self._discovery: dict[str, Any] = {}

    def add_id_token(self, forgery: IDTokenForgery) -> None:
        with self._lock:
            self._id_tokens.append(forgery)

    def take_id_token(self) -> IDTokenForgery | None:
        with self._lock:
            return _take(self._id_tokens)

    def add_authorization(self, forgery: AuthorizationForgery) -> None:
        with self._lock:
            self._authorizations.append(forgery)

    def take_authorization(self) -> AuthorizationForgery | None:
        with self._lock:
            return _take(self._authorizations)

    def change_discovery(self, changes: Mapping[str, Any]) -> None:
        with self._lock:
            self._discovery.update(changes)

    def discovery_changes(self) -> dict[str, Any]:
        with self._lock:
            return dict(self._discovery)

    def clear(self) -> None:
        with self._lock:
            self._id_tokens, self._authorizations, self._discovery = [], [], {}


def forge(id_token: str, forgery: IDTokenForgery, key: RSAKey, other_key: RSAKey) -> str:
    """Return the original ID token, changed and signed as the forgery says."""
    head, payload, _ = id_token.split(".")
    claims = changed(_decode(payload), forgery.override)
    alg = forgery.alg.partition("-")[0]
    header = changed(_decode(head) | {"alg": alg}, forgery.header)
    signed = f"{_encode(header)}.{_encode(claims)}".encode()
    return f"{signed.decode()}.{_base64(_signature(forgery.alg, signed, key, other_key))}"


def changed(original: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the original values with the changes applied; null removes a value."""
    return {k: v for k, v in {**original, **changes}.items() if v is not None}


def _signature(alg: str, signed: bytes, key: RSAKey, other_key: RSAKey) -> bytes:
    if alg == "none":
        return b""
    if alg == "HS256-with-public-key":
        return hmac.digest(key.as_pem(private=False), signed, hashlib.sha256)
    signer = other_key if alg == "RS256-with-other-key" else key
    rs256 = jws.JWSRegistry.algorithms["RS256"]
    return rs256.sign(signed, signer)


def _take(queue: list[Forgery]) -> Forgery | None:
    if not queue:
        return None
    queue[0].times -= 1
    return queue.pop(0) if queue[0].times <= 0 else queue[0]


def _encode(value: Mapping[str, Any]) -> str:
    return _base64(json.dumps(value, separators=(",", ":")).encode())


def _base64(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def _decode(part: str) -> dict[str, Any]:
    decoded = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return dict(decoded)

"""A stand-in for the demo API's issuer, tokens good and bad, and a client of the API."""

import hmac
import http.client
import json
import socket
import time
from base64 import urlsafe_b64encode
from typing import Any

import requests
from joserfc import jwt
from joserfc.jwk import RSAKey

from bff.demo.api.serving import APIServer

ISSUER = "https://issuer.test/"
AUDIENCE = "https://api.test"
KEY = RSAKey.generate_key(2048, {"kid": "k1", "use": "sig"})
OTHER_KEY = RSAKey.generate_key(2048, {"kid": "k1", "use": "sig"})
NEXT_KEY = RSAKey.generate_key(2048, {"kid": "k2", "use": "sig"})


class Issuer:
    """A stand-in for discovery and keys that counts what it is asked."""

    def __init__(self) -> None:
        self.keys = [KEY]
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
        return {"keys": [key.as_dict(private=False) for key in self.keys]}


class Clock:
    """Monotonic seconds that move when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def claims(**changes: Any) -> dict[str, Any]:
    now = int(time.time())
    base = {"iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "iat": now, "exp": now + 60}
    return {name: value for name, value in {**base, **changes}.items() if value is not None}


def token(key: Any = KEY, header: dict[str, Any] | None = None, **changes: Any) -> str:
    head = {"alg": "RS256", "typ": "JWT", "kid": "k1", **(header or {})}
    algorithms = ["RS256", "RS512"]
    return jwt.encode(head, claims(**changes), key, algorithms=algorithms)


def encode(part: bytes | dict[str, Any]) -> str:
    data = part if isinstance(part, bytes) else json.dumps(part).encode()
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def unsigned_token() -> str:
    return f"{encode({'alg': 'none', 'typ': 'JWT', 'kid': 'k1'})}.{encode(claims())}."


def hmac_token() -> str:
    """A token whose HMAC secret is the public key (RFC 8725, section 2.1)."""
    signed = f"{encode({'alg': 'HS256', 'typ': 'JWT', 'kid': 'k1'})}.{encode(claims())}"
    mac = hmac.digest(KEY.as_pem(private=False), signed.encode(), "sha256")
    return f"{signed}.{encode(mac)}"


class API:
    """A client with a token."""

    def __init__(self, server: APIServer) -> None:
        self.port = server.server_port
        self.headers = {"Authorization": f"Bearer {token()}"}

    def connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)

    def __call__(self, method: str, path: str, **options: Any) -> requests.Response:
        headers = {**self.headers, **options.pop("headers", {})}
        url = f"http://127.0.0.1:{self.port}{path}"
        return requests.request(method, url, headers=headers, timeout=10, **options)

    def raw(self, request: bytes) -> bytes:
        """Send *request* as it is and return everything up to the close."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            connection.sendall(request)
            received = b""
            while chunk := connection.recv(65536):
                received += chunk
            return received

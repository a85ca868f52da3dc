"""A provider that says exactly what a test wants, over real HTTP and with real keys.

The demo provider behaves; this one can be told to answer anything, byte by byte if need be.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from joserfc import jws
from joserfc.jwk import Key, RSAKey
from joserfc.jws import JWSRegistry

from bff.config import Config, load
from bff.core.model import LoginTransaction
from tests.support.scale import cache_environment

CLIENT_ID = "client-one"
CLIENT_SECRET = "s3cret/with+odd chars:%é"
KEY = RSAKey.generate_key(2048, {"kid": "one", "use": "sig", "alg": "RS256"})
OTHER_KEY = RSAKey.generate_key(2048, {"kid": "two", "use": "sig", "alg": "RS256"})


class Asked(msgspec.Struct):
    """One request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    form: dict[str, str]
    connection: int
    """The client's port: the same for requests over one connection."""
    names: list[str] = []
    """Of the form's fields, as often as each came."""


class Says(msgspec.Struct):
    """One answer: JSON unless it is bytes."""

    body: Any = None
    status: int = 200
    headers: dict[str, str] = {}


Answer = Callable[["_Handler", Asked], Says | None]
"""Gives the answer; None if it has written to the socket itself."""


class FakeProvider:
    """Listens on a free port of the loopback until `stop`."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.answers: dict[str, Answer] = {}
        self.stopping = threading.Event()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.fake = self
        self.issuer = f"http://127.0.0.1:{self._server.server_port}/"
        self.metadata: dict[str, Any] = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}authorize",
            "token_endpoint": f"{self.issuer}oauth/token",
            "jwks_uri": f"{self.issuer}jwks",
            "revocation_endpoint": f"{self.issuer}oauth/revoke",
            "end_session_endpoint": f"{self.issuer}oidc/logout",
        }
        self.keys: list[Any] = [KEY.as_dict(private=False)]
        self.says("/.well-known/openid-configuration", lambda: Says(self.metadata))
        self.says("/jwks", lambda: Says({"keys": self.keys}))
        self.says("/oauth/revoke", lambda: Says(b""))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def says(self, path: str, answer: Callable[[], Says]) -> None:
        """Let *path* answer so, whatever it is asked."""
        self.answers[path] = lambda _handler, _asked: answer()

    def token(self, body: Any = None, status: int = 200, **headers: str) -> None:
        """Let the token endpoint answer so."""
        shown = {name.replace("_", "-"): value for name, value in headers.items()}
        self.says("/oauth/token", lambda: Says(body, status, shown))

    def count(self, path: str) -> int:
        """How often *path* was asked for."""
        return sum(asked.path == path for asked in self.asked)

    def stop(self) -> None:
        """Stop listening and let every held answer go."""
        self.stopping.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def id_token(
        self,
        key: Key = KEY,
        alg: str = "RS256",
        header: dict[str, Any] | None = None,
        **changes: Any,
    ) -> str:
        """A good ID token, changed; None takes a claim away."""
        now = int(time.time())
        claims: dict[str, Any] = {
            "iss": self.issuer, "sub": "auth0|demo", "aud": CLIENT_ID, "iat": now,
            "exp": now + 600, "nonce": "the-nonce", "sid": "sid-one", "name": "Dana",
        }  # fmt: skip
        return self.sign(claims | changes, header, key, alg)

    def logout_token(
        self,
        key: Key = KEY,
        alg: str = "RS256",
        header: dict[str, Any] | None = None,
        **changes: Any,
    ) -> str:
        """A good logout token as Auth0 sends it, changed; None takes a claim away."""
        now = int(time.time())
        claims: dict[str, Any] = {
            "iss": self.issuer, "sub": "auth0|demo", "aud": CLIENT_ID, "iat": now,
            "exp": now + 120, "jti": secrets.token_hex(16), "sid": "sid-one",
            "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
            "trace_id": "b2c3",
        }  # fmt: skip
        return self.sign(claims | changes, {"typ": "JWT"} | (header or {}), key, alg)

    def sign(
        self,
        claims: dict[str, Any],
        header: dict[str, Any] | None = None,
        key: Key = KEY,
        alg: str = "RS256",
    ) -> str:
        """Whatever a test wants, signed; what is None is left out."""
        protected = {"alg": alg, "kid": key.get("kid")} | (header or {})
        # In ASCII, so that half a character can be sent as its escape.
        payload = json.dumps(_given(claims)).encode()
        return jws.serialize_compact(
            _given(protected), payload, key, registry=_Unchecked(algorithms=[alg])
        )

    def grant(self, **changes: Any) -> dict[str, Any]:
        """A good token answer, changed; None takes a field away."""
        body = {
            "access_token": "the-access-token", "token_type": "Bearer", "expires_in": 600,
            "refresh_token": "the-refresh-token", "id_token": self.id_token(), "scope": "openid",
        } | changes  # fmt: skip
        return _given(body)

    def config(self, **changes: str) -> Config:
        """Settings that point here."""
        return load(
            {
                "OIDC_ISSUER": self.issuer,
                "AUTH0_CLIENT_ID": CLIENT_ID,
                "AUTH0_CLIENT_SECRET": CLIENT_SECRET,
                "AUTH0_SECRET": "0123456789abcdef0123456789abcdef",
                "APP_BASE_URL": "http://localhost:8000",
                "BFF_API_URL": "http://127.0.0.1:9",
                "BFF_PROVIDER_TIMEOUT_SECONDS": "5",
                # A machine that stalls for a moment is no outage.
                "BFF_REDIS_TIMEOUT_SECONDS": "10",
            }
            | cache_environment()
            | changes
        )


def at_hash(access_token: str) -> str:
    """What stands in an RS256 ID token for *access_token*."""
    half = hashlib.sha256(access_token.encode()).digest()[:16]
    return base64.urlsafe_b64encode(half).rstrip(b"=").decode()


def pending(**changes: Any) -> LoginTransaction:
    """A sign-in under way."""
    usual = LoginTransaction(
        state="the-state", nonce="the-nonce", code_verifier="v" * 43, return_to="/",
        started_at=int(time.time()),
    )  # fmt: skip
    return msgspec.structs.replace(usual, **changes)


def _given(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


class _Unchecked(JWSRegistry):
    """Signs whatever header a test wants."""

    def check_header(self, header: Any) -> None:
        """Everything goes."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    fake: FakeProvider

    def handle_error(self, *_: Any) -> None:
        """A client that hung up is what some tests want."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        """Answer as told."""
        length = int(self.headers.get("Content-Length") or 0)
        fields = parse_qsl(self.rfile.read(length).decode(), keep_blank_values=True)
        fake = self.server.fake  # type: ignore[attr-defined]
        names = [name for name, _ in fields]
        asked = Asked(self.command, self.path.partition("?")[0], dict(self.headers.items()),
                      dict(fields), self.client_address[1], names)  # fmt: skip
        fake.asked.append(asked)
        says = fake.answers[asked.path](self, asked)
        if says is not None:
            self.answer(says)

    do_POST = do_GET

    def answer(self, says: Says) -> None:
        """Write *says*."""
        body = says.body if isinstance(says.body, bytes) else json.dumps(says.body).encode()
        self.send_response(says.status)
        for name, value in says.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Quiet."""

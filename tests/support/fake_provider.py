"""A provider that replies exactly as a test wants, over real HTTP and with real keys.

The demo provider follows the standard; this one can reply with anything, byte by byte if need be.
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
NULL = object()
"""A claim that is there, and null; None removes it."""


class Request(msgspec.Struct):
    """One received request."""

    method: str
    path: str
    headers: dict[str, str]
    form: dict[str, str]
    connection: int
    """The client's port: the same for requests over one connection."""
    names: list[str] = []
    """Of the form's fields, with repetitions."""


class Reply(msgspec.Struct):
    """One response: JSON unless it is bytes."""

    body: Any = None
    status: int = 200
    headers: dict[str, str] = {}


Responder = Callable[["_Handler", Request], Reply | None]
"""Makes the reply; None if it has written to the socket itself."""


class FakeProvider:
    """Listens on a free port of the loopback until `stop`."""

    def __init__(self) -> None:
        self.asked: list[Request] = []
        self.responders: dict[str, Responder] = {}
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
        self.says("/.well-known/openid-configuration", lambda: Reply(self.metadata))
        self.says("/jwks", lambda: Reply({"keys": self.keys}))
        self.says("/oauth/revoke", lambda: Reply(b""))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def says(self, path: str, reply: Callable[[], Reply]) -> None:
        """Reply so to every request to *path*."""
        self.responders[path] = lambda _handler, _request: reply()

    def token(self, body: Any = None, status: int = 200, **headers: str) -> None:
        """Reply so to every token request."""
        shown = {name.replace("_", "-"): value for name, value in headers.items()}
        self.says("/oauth/token", lambda: Reply(body, status, shown))

    def count(self, path: str) -> int:
        """How many requests to *path* were received."""
        return sum(asked.path == path for asked in self.asked)

    def stop(self) -> None:
        """Stop listening, and release every reply that waits."""
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
        """A valid ID token with changes; None removes a claim."""
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
        """A valid logout token as Auth0 sends it, with changes; None removes a claim."""
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
        """Any claims and header, signed; those that are None are left out."""
        protected = {"alg": alg, "kid": key.get("kid")} | (header or {})
        # In ASCII, so that half a surrogate pair can be sent as its escape.
        payload = json.dumps(_given(claims), default=lambda _: None).encode()
        return jws.serialize_compact(
            _given(protected), payload, key, registry=_Unchecked(algorithms=[alg])
        )

    def grant(self, **changes: Any) -> dict[str, Any]:
        """A valid token response with changes; None removes a field."""
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
                # A short stall of the machine is no outage.
                "BFF_REDIS_TIMEOUT_SECONDS": "10",
            }
            | cache_environment()
            | changes
        )


def at_hash(access_token: str) -> str:
    """The `at_hash` of an RS256 ID token for *access_token*."""
    half = hashlib.sha256(access_token.encode()).digest()[:16]
    return base64.urlsafe_b64encode(half).rstrip(b"=").decode()


def transaction(**changes: Any) -> LoginTransaction:
    """The transaction of a sign-in."""
    usual = LoginTransaction(
        state="the-state", nonce="the-nonce", code_verifier="v" * 43, return_to="/",
        started_at=int(time.time()),
    )  # fmt: skip
    return msgspec.structs.replace(usual, **changes)


def _given(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


class _Unchecked(JWSRegistry):
    """Signs any header."""

    def check_header(self, header: Any) -> None:
        """Accept everything."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    fake: FakeProvider

    def handle_error(self, *_: Any) -> None:
        """Some tests hang up on purpose."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        """Reply as the test wants."""
        length = int(self.headers.get("Content-Length") or 0)
        fields = parse_qsl(self.rfile.read(length).decode(), keep_blank_values=True)
        fake = self.server.fake  # type: ignore[attr-defined]
        names = [name for name, _ in fields]
        asked = Request(self.command, self.path.partition("?")[0], dict(self.headers.items()),
                      dict(fields), self.client_address[1], names)  # fmt: skip
        fake.asked.append(asked)
        reply = fake.responders[asked.path](self, asked)
        if reply is not None:
            self.send_reply(reply)

    do_POST = do_GET

    def send_reply(self, reply: Reply) -> None:
        """Write *reply* to the socket."""
        body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Quiet."""

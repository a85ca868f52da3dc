"""A Shared Signals transmitter over real HTTP: a queue to poll (RFC 8936), and streams to manage.

It signs with the keys of `fake_provider`, and delivers an event until it is acknowledged or
refused. A test puts replies in its way: each is used for one request, in order.
"""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
from joserfc import jws

from tests.support.fake_provider import KEY, Reply

TOKEN = "the-token-for-the-transmitter"  # noqa: S105 - The transmitter takes this one.
CAEP = "https://schemas.openid.net/secevent/caep/event-type/"
REVOKED = f"{CAEP}session-revoked"
VERIFICATION = "https://schemas.openid.net/secevent/ssf/event-type/verification"
US = "http://localhost:8000"
DANA = {"format": "opaque", "id": "auth0|demo"}
POLL = "urn:ietf:rfc:8936"


class Asked(msgspec.Struct):
    """One request."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: Any


class Transmitter:
    """Listens on a free port of the loopback until `stop`."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.events: dict[str, Any] = {}
        """What waits to be delivered, by `jti`; usually tokens."""
        self.errors: dict[str, Any] = {}
        """What `setErrs` said."""
        self.acknowledged: list[str] = []
        self.streams: dict[str, Any] = {}
        self.metadata: dict[str, Any] = {}
        self.in_the_way: list[Reply | Callable[[Asked], Reply]] = []
        self.before_reply: Callable[[Asked], None] = lambda asked: None
        self.lock = threading.RLock()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.transmitter = self
        self.issuer = f"http://127.0.0.1:{self._server.server_port}"
        self.poll_url = f"{self.issuer}/poll"
        self.metadata = {
            "issuer": self.issuer,
            "jwks_uri": f"{self.issuer}/jwks",
            "delivery_methods_supported": ["urn:ietf:rfc:8935", POLL],
            "configuration_endpoint": f"{self.issuer}/streams",
            "verification_endpoint": f"{self.issuer}/verify",
        }
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def stop(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def settings(self) -> dict[str, str]:
        """Those of a BFF that polls here."""
        return {
            "BFF_SSF_ISSUER": self.issuer,
            "BFF_SSF_TOKEN": TOKEN,
            "BFF_SSF_POLL_URL": self.poll_url,
        }

    @property
    def polls(self) -> list[Asked]:
        """The polls so far."""
        return [asked for asked in list(self.asked) if asked.path == "/poll"]

    def add(self, **changes: Any) -> str:
        """Queue an event, by default that Dana's sessions are revoked now; returns its `jti`."""
        token, jti = self.token(**changes)
        self.events[jti] = token
        return jti

    def token(self, header: dict[str, Any] | None = None, **changes: Any) -> tuple[str, str]:
        """A token with *changes* in its claims, and its `jti`."""
        key = changes.pop("key", KEY)
        claims: dict[str, Any] = {
            "iss": self.issuer, "aud": US, "iat": int(time.time()), "jti": secrets.token_hex(16),
            "sub_id": DANA, "events": {REVOKED: {"event_timestamp": int(time.time())}},
        } | changes  # fmt: skip
        protected = {"typ": "secevent+jwt", "alg": "RS256", "kid": "one"} | (header or {})
        return jws.serialize_compact(protected, json.dumps(claims), key), claims["jti"]

    def reply(self, asked: Asked) -> Reply:
        """What the standard says."""
        if asked.path.startswith("/.well-known/ssf-configuration"):
            return Reply(self.metadata)
        if asked.path == "/jwks":
            return Reply({"keys": [KEY.as_dict(private=False)]})
        if asked.headers.get("Authorization") != f"Bearer {TOKEN}":
            return Reply({"err": "authentication_failed"}, 401)
        method = {"/poll": self._polled, "/streams": self._managed, "/verify": self._verified}
        return method[asked.path](asked) if asked.path in method else Reply({}, 404)

    def _polled(self, asked: Asked) -> Reply:
        for jti in asked.body.get("ack", []):
            self.events.pop(jti, None)
            self.acknowledged.append(jti)
        for jti, error in asked.body.get("setErrs", {}).items():
            self.events.pop(jti, None)
            self.errors[jti] = error
        names = list(self.events)[: asked.body["maxEvents"]]
        more = len(names) < len(self.events)
        return Reply({"sets": {name: self.events[name] for name in names}, "moreAvailable": more})

    def _managed(self, asked: Asked) -> Reply:
        stream_id = asked.query.get("stream_id", [""])[0]
        if asked.method == "POST":
            return self._created(asked.body)
        if asked.method == "DELETE":
            found = self.streams.pop(stream_id, None)
            return Reply(b"", 204) if found else Reply({}, 404)
        return Reply(list(self.streams.values()))

    def _created(self, body: Any) -> Reply:
        stream_id = f"stream-{len(self.streams) + 1}"
        delivery = dict(body["delivery"])
        if delivery["method"] == POLL:
            delivery["endpoint_url"] = self.poll_url
        self.streams[stream_id] = {
            "stream_id": stream_id, "iss": self.issuer, "aud": [US],
            "events_supported": [REVOKED], "events_requested": body["events_requested"],
            "events_delivered": body["events_requested"], "delivery": delivery,
        }  # fmt: skip
        return Reply(self.streams[stream_id], 201)

    def _verified(self, asked: Asked) -> Reply:
        if asked.body["stream_id"] not in self.streams:
            return Reply({}, 404)
        event = {VERIFICATION: {"state": asked.body["state"]}}
        self.add(sub_id={"format": "opaque", "id": asked.body["stream_id"]}, events=event)
        return Reply(b"", 204)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    transmitter: Transmitter

    def handle_error(self, *_: Any) -> None:
        """Some clients are killed on purpose."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        """Reply as the test wants."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = urlsplit(self.path)
        asked = Asked(self.command, parts.path, parse_qs(parts.query),
                      dict(self.headers.items()), json.loads(body) if body else None)  # fmt: skip
        here: Transmitter = self.server.transmitter  # type: ignore[attr-defined]
        here.before_reply(asked)
        with here.lock:
            here.asked.append(asked)
            unusual = asked.path in ("/poll", "/streams", "/verify") and here.in_the_way
            reply = here.in_the_way.pop(0) if unusual else here.reply(asked)
            self._send(reply if isinstance(reply, Reply) else reply(asked))

    do_POST = do_DELETE = do_GET

    def _send(self, reply: Reply) -> None:
        body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Quiet."""

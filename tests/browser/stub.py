"""A stand-in for the BFF's endpoints, to test what runs in the browser by itself.

It serves the real files with the real security headers. Only the session is made up, and a test can
change it. `requests` has what the browser sent.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flask import Flask, Response, redirect, request
from werkzeug.serving import WSGIRequestHandler, make_server

import demo
from bff.config import Config, load
from bff.core.errors import NotFound
from bff.web import security_headers, spa
from bff.web.provider_link import with_error

DEMO_SPA = Path(demo.__file__).parent / "spa"
SETTINGS = {
    "OIDC_ISSUER": "http://127.0.0.1:8001/", "AUTH0_CLIENT_ID": "client",
    "AUTH0_CLIENT_SECRET": "not used here", "AUTH0_SECRET": "0123456789abcdef0123456789abcdef",
    "APP_BASE_URL": "http://localhost:8000", "BFF_API_URL": "http://127.0.0.1:8002",
}  # fmt: skip


@dataclass
class Stub:
    """The made-up session, and the requests that came."""

    spa_dir: Path | None = DEMO_SPA
    csp: str | None = None
    login_parameters: str | None = None

    signed_in: bool = False
    user: dict[str, Any] = field(default_factory=lambda: {
        "sub": "auth0|demo", "name": "Dana Demo", "email": "demo@example.com",
        "email_verified": True, "picture": "https://elsewhere.test/p.png",
    })  # fmt: skip
    idle_seconds: float = 86_400
    absolute_seconds: float = 604_800
    access_token_seconds: float | None = 297
    sessions: list[dict[str, Any]] = field(default_factory=list)
    items: list[dict[str, Any]] = field(default_factory=list)
    strong: bool = False
    fresh: bool = True
    """Whether the sign-in is recent enough to end other sessions."""
    step_up_code: str = "insufficient_user_authentication"
    step_up_url: Any = "/auth/login?acr_values=urn%3Ademo%3Astrong&max_age=300"
    failing_status: int | None = None
    session_id: str = "s1"
    requests: list[tuple[str, str, str | None]] = field(default_factory=list)
    named: list[tuple[str, str, str | None]] = field(default_factory=list)
    """Method, path and `X-BFF-Session` of each request."""
    origin: str = ""

    def __post_init__(self) -> None:
        now = time.time()
        self.sessions = [
            {"id": "s1", "current": True, "browser": "Chromium on Linux",
             "created_at": now - 300, "last_seen_at": now},
            {"id": "s2", "current": False, "browser": "Safari on iPhone",
             "created_at": now - 200_000, "last_seen_at": now - 4000},
        ]  # fmt: skip

    def config(self) -> Config:
        """The settings for the parts of the BFF that are real here."""
        own = {"BFF_SPA_DIR": self.spa_dir, "BFF_CONTENT_SECURITY_POLICY": self.csp,
               "BFF_LOGIN_PARAMETERS": self.login_parameters}  # fmt: skip
        given = {name: str(value) for name, value in own.items() if value is not None}
        return load(SETTINGS | given, env_file=None)

    def asked(self, method: str, path: str) -> list[str | None]:
        """The `X-CSRF` of every request with this method and path (query included)."""
        return [csrf for m, p, csrf in self.requests if (m, p) == (method, path)]


def problem(status: int, code: str, **more: Any) -> Response:
    """An error as the BFF sends it."""
    body = {"title": "No.", "status": status, "code": code, "detail": f"Because of {code}."}
    return Response(
        json.dumps(body | more),
        status,
        {"Cache-Control": "no-store"},
        content_type="application/problem+json",
    )


def create_app(stub: Stub) -> Flask:
    """The endpoints that a browser needs."""
    app = Flask(__name__, static_folder=None)
    config = stub.config()
    security_headers.register(app, config)
    app.register_blueprint(spa.create_blueprint(config))
    app.register_error_handler(NotFound, lambda _: problem(404, "not_found"))

    @app.before_request
    def note() -> Response | None:
        path = request.full_path.rstrip("?")
        stub.requests.append((request.method, path, request.headers.get("X-CSRF")))
        meant_for = request.headers.get("X-BFF-Session")
        stub.named.append((request.method, path, meant_for))
        needs_session = request.path.startswith(("/api/", "/auth/profile", "/auth/sessions"))
        if stub.failing_status and (needs_session or request.path == "/auth/logout"):
            return problem(stub.failing_status, "store_unavailable")
        if needs_session and not stub.signed_in:
            return problem(401, "session_ended")
        if needs_session and meant_for not in (None, stub.session_id):
            return problem(409, "session_changed")
        return None

    _add_auth(app, stub)
    _add_api(app, stub)
    return app


def _add_auth(app: Flask, stub: Stub) -> None:
    @app.get("/auth/profile")
    def profile() -> dict[str, Any]:
        times = {
            "id": stub.session_id,
            "created_at": time.time() - 300,
            "idle_seconds_left": stub.idle_seconds,
            "absolute_seconds_left": stub.absolute_seconds,
            "access_token_seconds_left": stub.access_token_seconds,
        }
        return {"user": stub.user, "session": times, "logout_url": "/auth/logout"}

    @app.get("/auth/login")
    def login() -> Any:
        return_to = request.args["returnTo"]
        if request.args.get("prompt") == "none":
            return redirect(with_error(return_to, "login_required"), 303)
        stub.signed_in = True
        stub.strong = request.args.get("acr_values") == "urn:demo:strong"
        return redirect(return_to, 303)

    @app.post("/auth/logout")
    def logout() -> dict[str, str]:
        stub.signed_in = False
        return {"logout_url": f"{stub.origin}/?signed-out"}

    @app.get("/auth/sessions")
    def sessions() -> dict[str, Any]:
        return {"sessions": stub.sessions}

    @app.delete("/auth/sessions", defaults={"session_id": None})
    @app.delete("/auth/sessions/<session_id>")
    def end_session(session_id: str | None) -> Any:
        if not stub.fresh:
            return problem(403, "sign_in_not_fresh", login_url="/auth/login?max_age=0")
        before = stub.sessions
        ended = [e for e in before if e["id"] == session_id or not (session_id or e["current"])]
        stub.sessions = [entry for entry in before if entry not in ended]
        if session_id:
            return ("", 204) if ended else problem(404, "session_unknown")
        return {"ended": len(ended)}


def _add_api(app: Flask, stub: Stub) -> None:
    @app.get("/api/items")
    def items() -> dict[str, Any]:
        return {"items": stub.items}

    @app.post("/api/items")
    def add_item() -> tuple[dict[str, Any], int]:
        stub.items.append({"id": len(stub.items) + 1, "title": request.get_json()["title"]})
        return stub.items[-1], 201

    @app.get("/api/whoami")
    def whoami() -> dict[str, Any]:
        claims = {"sub": stub.user["sub"], "aud": "https://api.test", "exp": 1, "ok": True}
        return {"claims": claims, "html": "<img src=x onerror=alert(1)>", "none": None}

    @app.get("/api/slow")
    def slow() -> dict[str, float]:
        return {"slept_seconds": 0}

    @app.post("/api/transfer")
    def transfer() -> Response | dict[str, bool]:
        if stub.strong:
            return {"transferred": True}
        asked = {"login_url": stub.step_up_url, "acr_values": "urn:demo:strong", "max_age": 300}
        return problem(401, stub.step_up_code, **asked)

    @app.get("/api/nothing")
    def nothing() -> Response:
        return problem(404, "not_found")

    @app.get("/api/events")
    def events() -> Response:
        def stream() -> Iterator[str]:
            for number in range(1, 40):
                data = json.dumps({"number": number, "server_time": 1_700_000_000 + number})
                yield f"id: {number}\ndata: {data}\n\n"
                if not stub.signed_in:
                    return
                time.sleep(0.05)

        return Response(stream(), content_type="text/event-stream")


class _Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:
        """Say nothing."""


@contextmanager
def serve(stub: Stub, port: int = 0) -> Iterator[Stub]:
    """Serve *stub* on `stub.origin` until the block ends."""
    server = make_server("127.0.0.1", port, create_app(stub), threaded=True, request_handler=_Quiet)
    # A secure context, as in production: BroadcastChannel and storage behave alike.
    stub.origin = f"http://localhost:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield stub
    finally:
        server.shutdown()
        thread.join(5)
        server.server_close()

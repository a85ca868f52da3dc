"""Which routes does the demo API have? Each requires a valid access token.

A list and a write (`/items`), a slow response (`/slow`), an event stream (`/events`), an upload and
a download (`/files`), the request as it reached the API (`/whoami`), and one that requires a
stronger sign-in (`/transfer`).
"""

import hashlib
import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from flask import Flask, Response, g, request
from werkzeug.exceptions import BadRequest, HTTPException, NotFound

from bff.resource_server import TokenGuard
from demo.api import transfer
from demo.api.items import ItemsFull, ItemStore

MAX_SLOW_SECONDS = 60.0
MAX_DOWNLOAD_BYTES = 16 * 1024**3
MAX_TITLE_LENGTH = 200
MAX_JSON_BYTES = 64 * 1024
BLOCK = bytes(range(256)) * 256
OPEN = "/open/"
"""Below it a token is optional; one that is sent must be valid."""
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]

# /whoami shows the values of these headers; of all others only the names.
SHOWN_HEADERS = (
    "Host",
    "Via",
    "Forwarded",
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Forwarded-Proto",
    "X-Forwarded-Prefix",
    "X-Request-Id",
    "Traceparent",
    "User-Agent",
    "Accept",
    "Accept-Encoding",
    "Content-Type",
    "Content-Length",
)


def create_app(guard: TokenGuard) -> Flask:
    """Return the API as a Flask application; *guard* checks the tokens."""
    app = Flask(__name__, static_folder=None)
    app.json.sort_keys = False  # type: ignore[attr-defined]

    @app.before_request
    def authenticate() -> Response | None:
        if request.path.startswith(OPEN) and "Authorization" not in request.headers:
            g.claims = {}
            return None
        refused = guard.refusal()
        if refused is None:
            g.claims = guard.claims
        return refused

    _add_error_responses(app)
    _add_items(app, ItemStore())
    _add_streams(app)
    _add_files(app)
    transfer.register(app)
    app.add_url_rule(f"{OPEN}whoami", endpoint="open", view_func=whoami, methods=METHODS)
    app.add_url_rule("/whoami", view_func=whoami, methods=METHODS)
    app.add_url_rule("/whoami/<path:_>", view_func=whoami, methods=METHODS)
    app.add_url_rule("/slow", view_func=slow)
    return app


def _problem(status: int, code: str, detail: str) -> Response:
    """Return an RFC 9457 response."""
    body = {"type": "about:blank", "status": status, "code": code, "detail": detail}
    return Response(json.dumps(body), status, content_type="application/problem+json")


def _add_error_responses(app: Flask) -> None:
    @app.errorhandler(HTTPException)
    def http_error(error: HTTPException) -> Response:
        status = error.code or 500
        response = _problem(status, error.name.lower().replace(" ", "_"), error.description or "")
        if "Allow" in error.get_response().headers:
            response.headers["Allow"] = error.get_response().headers["Allow"]
        return response


def _add_items(app: Flask, store: ItemStore) -> None:
    @app.get("/items")
    def list_items() -> dict[str, Any]:
        return {"items": store.list(g.claims["sub"])}

    @app.post("/items")
    def add_item() -> tuple[dict[str, Any], int, dict[str, str]]:
        try:
            item = store.add(g.claims["sub"], _title_from_body())
        except ItemsFull as error:
            raise BadRequest("Your list is full; delete something first.") from error
        return item, 201, {"Location": f"/items/{item['id']}"}

    @app.delete("/items/<int:item_id>")
    def delete_item(item_id: int) -> tuple[str, int]:
        if not store.remove(g.claims["sub"], item_id):
            raise NotFound("There is no such item.")
        return "", 204


def _title_from_body() -> str:
    request.max_content_length = MAX_JSON_BYTES
    body = request.get_json()
    title = body.get("title") if isinstance(body, dict) else None
    if not isinstance(title, str) or not 0 < len(title.strip()) <= MAX_TITLE_LENGTH:
        raise BadRequest(f'Send {{"title": "…"}} with 1 to {MAX_TITLE_LENGTH} characters.')
    return title.strip()


def _number_from_query(name: str, default: float, low: float, high: float) -> float:
    try:
        number = float(request.args.get(name, default))
    except ValueError as error:
        raise BadRequest(f"{name} must be a number.") from error
    if not low <= number <= high:
        raise BadRequest(f"{name} must be from {low:g} to {high:g}.")
    return number


def slow() -> dict[str, float]:
    """Respond after `?seconds=`, 2 by default."""
    seconds = _number_from_query("seconds", 2, 0, MAX_SLOW_SECONDS)
    time.sleep(seconds)
    return {"slept_seconds": seconds}


def _client_gone() -> Callable[[float], bool]:
    """Return a function that waits for a disconnect; under another server it only waits."""

    def wait(timeout_seconds: float) -> bool:
        time.sleep(timeout_seconds)
        return False

    return request.environ.get("demo.client_gone", wait)  # type: ignore[no-any-return]


def _add_streams(app: Flask) -> None:
    open_streams = 0
    lock = threading.Lock()

    def count(change: int) -> None:
        nonlocal open_streams
        with lock:
            open_streams += change

    @app.get("/events")
    def events() -> Response:
        interval_seconds = _number_from_query("interval_ms", 1000, 10, 60_000) / 1000
        silent = request.args.get("silent") == "1"
        body = _event_stream(interval_seconds, silent, _client_gone(), count)
        headers = {"Cache-Control": "no-store"}
        return Response(body, headers=headers, content_type="text/event-stream")

    app.add_url_rule(f"{OPEN}events", endpoint="open_events", view_func=events)

    @app.get("/events/open")
    def count_open_streams() -> dict[str, int]:
        return {"open_streams": open_streams}


def _event_stream(
    interval_seconds: float,
    silent: bool,
    client_gone: Callable[[float], bool],
    count: Callable[[int], None],
) -> Iterator[bytes]:
    """Yield one event per interval until the client disconnects; only headers if *silent*."""
    count(+1)
    try:
        # An empty chunk makes the server send the headers now.
        yield b""
        for number in itertools.count(1):
            if not silent:
                event = {"number": number, "server_time": time.time()}
                yield f"id: {number}\ndata: {json.dumps(event)}\n\n".encode()
            if client_gone(interval_seconds):
                return
    finally:
        count(-1)


def _add_files(app: Flask) -> None:
    @app.post("/files")
    def upload() -> dict[str, Any]:
        digest, size_bytes = hashlib.sha256(), 0
        while chunk := request.stream.read(len(BLOCK)):
            digest.update(chunk)
            size_bytes += len(chunk)
        return {"bytes": size_bytes, "sha256": digest.hexdigest()}

    @app.get("/files/<int:size_bytes>")
    def download(size_bytes: int) -> Response:
        if size_bytes > MAX_DOWNLOAD_BYTES:
            raise BadRequest(f"At most {MAX_DOWNLOAD_BYTES} bytes.")
        headers = {
            "Content-Length": str(size_bytes),
            "Content-Disposition": f'attachment; filename="demo-{size_bytes}.bin"',
        }
        body = _blocks(size_bytes)
        return Response(body, headers=headers, content_type="application/octet-stream")


def _blocks(size_bytes: int) -> Iterator[bytes]:
    """Yield *size_bytes* bytes of a repeating pattern."""
    whole_blocks, rest_bytes = divmod(size_bytes, len(BLOCK))
    yield from itertools.repeat(BLOCK, whole_blocks)
    if rest_bytes:
        yield BLOCK[:rest_bytes]


def whoami(_: str = "") -> dict[str, Any]:
    """Show what reached the API: the claims, the raw target, header names, some values."""
    names = request.environ.get("demo.header_names") or list(request.headers.keys())
    return {
        "claims": dict(g.claims),
        "method": request.method,
        "path": request.environ.get("RAW_URI", request.full_path),
        "header_names": names,
        "header_values": {
            name: request.headers[name] for name in SHOWN_HEADERS if name in request.headers
        },
    }

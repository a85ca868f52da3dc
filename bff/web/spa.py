"""How does the single-page app reach the browser, and what may be cached for how long?

Files below `/assets/` with a hash in their name never change, so they are kept for a year; all
others are asked for again and mostly answered 304. A page that the app's own router knows gets
`index.html`, but only when a browser navigates: a missing script must be a 404, not a page. No file
needs a session, so nothing here looks at one.
"""

import mimetypes
import re
from pathlib import Path
from typing import Protocol

from flask import Blueprint, Request, Response, current_app, request, send_file
from werkzeug.exceptions import MethodNotAllowed

from bff.core.errors import NotFound
from bff.web.pages import render_no_spa, wants_page

ASSETS = Path(__file__).resolve().parent / "static"
RESERVED = frozenset({"auth", "api", "healthz", "readyz"})
ENCODINGS = (("br", ".br"), ("gzip", ".gz"))
YEAR_SECONDS = 31_536_000
NOWHERE = frozenset({"TRACE", "CONNECT"})
"""Methods that no path knows, so that the path doesn't matter."""

# `name-BX3kz9_Q.js`, `name.0a1b2c3d.css`. A digit or a capital must be in it: a file that merely
# ends in a long word is asked for again, which costs little; the reverse would leave it stale.
HASHED = re.compile(
    r"[.-](?=[a-z_-]*[0-9A-Z])([A-Za-z0-9_-]{8}|[0-9a-f]{8,64}|[A-Za-z0-9_]{16,64})(\.[a-z0-9]+)+$"
)
# A path that ends like this asks for a file, also when it is typed into the address bar.
FILE_SUFFIXES = re.compile(
    r"\.([cm]?js|css|map|json|xml|txt|wasm|webmanifest|png|jpe?g|gif|svg|webp|avif|ico|woff2?"
    r"|[ot]tf|eot|mp[34]|webm|pdf|zip|gz|br)$",
    re.IGNORECASE,
)

MEDIA_TYPES = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".css": "text/css",
    ".json": "application/json",
    ".map": "application/json",
    ".webmanifest": "application/manifest+json",
    ".wasm": "application/wasm",
    ".svg": "image/svg+xml",
    ".webp": "image/webp",
    ".avif": "image/avif",
    ".woff2": "font/woff2",
    ".txt": "text/plain",
}


class SPASettings(Protocol):
    """What this file needs of the settings."""

    @property
    def spa_dir(self) -> Path | None:
        """The folder with `index.html`; None if there is no SPA."""


def create_blueprint(config: SPASettings) -> Blueprint:
    """Return the routes for the SPA's files, `/auth/client.js` and `/auth/pages.css`."""
    blueprint = Blueprint("spa", __name__)

    @blueprint.get("/auth/<any('client.js', 'pages.css'):name>")
    def own_asset(name: str) -> Response:
        return _send(ASSETS / name, name)

    @blueprint.get("/", defaults={"path": ""})
    @blueprint.get("/<path:path>")
    def spa(path: str) -> Response:
        if path.split("/", 1)[0] in RESERVED:
            # A route of ours would have matched; the app's router must not shadow an unknown one.
            raise NotFound
        if config.spa_dir is None:
            return _without_spa(path)
        return _serve(config.spa_dir, path)

    @blueprint.before_app_request
    def refuse_unknown() -> None:
        """Another method than GET at a path of nobody's: 404, since no method would be right."""
        refused = isinstance(request.routing_exception, MethodNotAllowed)
        if not refused or request.method.upper() in NOWHERE or not _is_for_spa_only():
            return
        path = request.path.removeprefix("/")
        if path and (config.spa_dir is None or not find_file(config.spa_dir, path)):
            raise NotFound

    return blueprint


def _is_for_spa_only() -> bool:
    """Whether the path of a refused method is that of the SPA's files, and of no other route."""
    router = current_app.create_url_adapter(request)
    methods = getattr(request.routing_exception, "valid_methods", None) or ()
    return router is not None and all(router.match(method=m)[0] == "spa.spa" for m in methods)


def _without_spa(path: str) -> Response:
    if path:
        raise NotFound
    return render_no_spa()


def _serve(root: Path, path: str) -> Response:
    """Answer *path* with a file, or with `index.html` if a browser navigates there.

    Raises:
        NotFound: Neither applies.
    """
    if path and (file := find_file(root, path)):
        return _send(file, path, root)
    index = find_file(root, "index.html")
    if index is None or (path and not is_app_page(request, path)):
        raise NotFound
    response = _send(index, "index.html", root)
    if path:
        response.vary.update(["Sec-Fetch-Mode", "Sec-Fetch-Dest", "Accept"])
    return response


def find_file(root: Path, path: str) -> Path | None:
    """Return the file below *root* that *path* names; None if there is none to be served.

    Hidden files (but for `.well-known`, RFC 8615), traversal, and links that lead out of *root* or
    to a hidden file name nothing.
    """
    parts = path.split("/")
    if any(_is_odd(part) for part in parts) or _has_hidden(parts):
        return None
    try:
        real_root = root.resolve(strict=True)
        file = real_root.joinpath(*parts).resolve(strict=True)
        inside = file.relative_to(real_root)
    except (OSError, ValueError, RuntimeError):
        return None
    return file if file.is_file() and not _has_hidden(list(inside.parts)) else None


def _is_odd(part: str) -> bool:
    """Whether a path segment is empty, or could mean something else to the file system."""
    return not part or any(c in "\\:" or ord(c) < 32 or ord(c) == 127 for c in part)


def _has_hidden(parts: list[str]) -> bool:
    visible = parts[1:] if parts[:1] == [".well-known"] else parts
    return any(part.startswith(".") for part in visible)


def is_app_page(request: Request, path: str) -> bool:
    """Whether *path* is one for the app's own router: a navigation that doesn't ask for a file."""
    if path.startswith("assets/") or FILE_SUFFIXES.search(path):
        return False
    mode = request.headers.get("Sec-Fetch-Mode", "navigate")
    destination = request.headers.get("Sec-Fetch-Dest", "document")
    return (mode, destination) == ("navigate", "document") and wants_page(request)


def cache_rule(path: str) -> str:
    """Return the `Cache-Control` of the file at *path*."""
    if path.startswith("assets/") and HASHED.search(path):
        return f"public, max-age={YEAR_SECONDS}, immutable"
    return "no-cache"


def media_type(name: str) -> str:
    """Return the media type for a file name.

    With `nosniff` a wrong type breaks the app, so the usual ones don't depend on the machine's own
    table, which calls a script `text/plain` here and there.
    """
    suffix = Path(name).suffix.lower()
    guessed, encoding = mimetypes.guess_type(name)
    return MEDIA_TYPES.get(suffix) or (not encoding and guessed) or "application/octet-stream"


def _send(file: Path, path: str, root: Path | None = None) -> Response:
    """Send *file*, or its precompressed sibling, with conditional requests and ranges."""
    chosen, encoding = file, ""
    if root is not None:
        chosen, encoding = _precompressed(root, file)
    # The type is that of the file itself, also when its compressed sibling is what is sent.
    response = send_file(chosen, mimetype=media_type(file.name), conditional=True, etag=True)
    response.headers.pop("Content-Disposition", None)
    if encoding:
        response.headers["Content-Encoding"] = encoding
    response.headers["Cache-Control"] = cache_rule(path)
    response.vary.add("Accept-Encoding")
    return response


def _precompressed(root: Path, file: Path) -> tuple[Path, str]:
    """Return what to send for *file* and its coding, the best that the client accepts."""
    real_root = root.resolve()
    for encoding, suffix in ENCODINGS:
        if request.accept_encodings.quality(encoding) <= 0:
            continue
        sibling = file.relative_to(real_root).as_posix() + suffix
        if found := find_file(root, sibling):
            return found, encoding
    return file, ""

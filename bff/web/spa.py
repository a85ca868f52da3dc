"""How does the single-page app reach the browser, and what may be cached for how long?

Files below `/assets/` with a hash in their name never change and are cached for a year. All others
are revalidated, mostly with a 304. An address of the app's own router gets `index.html`, but only
when a browser navigates: a missing script must be a 404, not a page. No file needs a session, so
nothing here reads one.
"""

import mimetypes
import re
from pathlib import Path

from flask import Blueprint, Request, Response, current_app, request, send_file
from werkzeug.exceptions import MethodNotAllowed, RequestedRangeNotSatisfiable

from bff.config import Config
from bff.core.errors import NotFound, ServiceWorkerInterferes
from bff.web.page_load import is_page_load, may_be_of_service_worker
from bff.web.pages import ACCEPT_MAX_CHARACTERS, render_no_spa, wants_page

ASSETS = Path(__file__).resolve().parent / "static"
RESERVED = frozenset({"auth", "api", "healthz", "readyz"})
ENCODINGS = (("br", ".br"), ("gzip", ".gz"))
YEAR_SECONDS = 31_536_000
NAMES_FOLLOW = "/* BFF_LOGIN_PARAMETERS"
"""In the client module, after the parameters that `login()` always takes."""
UNSUPPORTED_METHODS = frozenset({"TRACE", "CONNECT"})
"""No path supports these, so a 405 is right for any path."""

# `name-BX3kz9_Q.js`, `name.0a1b2c3d.css`. A hash must contain a digit or a capital: revalidating a
# hashed file costs little, but a name that merely ends in a long word would go stale in caches.
HASHED = re.compile(
    r"[.-](?=[a-z_-]*[0-9A-Z])([A-Za-z0-9_-]{8}|[0-9a-f]{8,64}|[A-Za-z0-9_]{16,64})(\.[a-z0-9]+)+$"
)
# A path with such an ending means a file, even if it is typed into the address bar.
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


def create_blueprint(config: Config) -> Blueprint:
    """Return the routes for the SPA's files, and our own below `/auth`."""
    blueprint = Blueprint("spa", __name__)

    @blueprint.get("/auth/<any('client.js', 'client.d.ts', 'cookies.js', 'pages.css'):name>")
    def own_asset(name: str) -> Response:
        if name == "client.js" and config.passed_login_parameters:
            return _client_module(config.passed_login_parameters)
        return _send(ASSETS / name, name)

    @blueprint.get("/", defaults={"path": ""})
    @blueprint.get("/<path:path>")
    def spa(path: str) -> Response:
        if path.split("/", 1)[0] in RESERVED:
            # Our own routes have matched before; the app's router must not get unknown ones.
            raise NotFound
        if config.spa_dir is None:
            return _without_spa(path)
        return _serve(config.spa_dir, path)

    @blueprint.before_app_request
    def refuse_unknown() -> None:
        """Return 404 instead of 405 at an unknown path, where no method would be right."""
        refused = isinstance(request.routing_exception, MethodNotAllowed)
        if not refused or request.method.upper() in UNSUPPORTED_METHODS or not _is_for_spa_only():
            return
        path = request.path.removeprefix("/")
        if path and (config.spa_dir is None or not find_file(config.spa_dir, path)):
            raise NotFound

    return blueprint


def _is_for_spa_only() -> bool:
    """Whether no other route than the SPA's matches the path of a refused method."""
    router = current_app.create_url_adapter(request)
    methods = getattr(request.routing_exception, "valid_methods", None) or ()
    return router is not None and all(router.match(method=m)[0] == "spa.spa" for m in methods)


def _without_spa(path: str) -> Response:
    if path:
        raise NotFound
    return render_no_spa()


def _serve(root: Path, path: str) -> Response:
    """Return the file at *path*, or `index.html` if a browser navigates there.

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
    """Return the file below *root* that *path* names; None if there is none that may be served.

    Not served are hidden files (except `.well-known`, RFC 8615), traversal, and links that lead out
    of *root* or to a hidden file.
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
    """Whether a path segment is empty, or special to some file system."""
    return not part or any(c in "\\:" or ord(c) < 32 or ord(c) == 127 for c in part)


def _has_hidden(parts: list[str]) -> bool:
    visible = parts[1:] if parts[:1] == [".well-known"] else parts
    return any(part.startswith(".") for part in visible)


def is_app_page(request: Request, path: str) -> bool:
    """Whether *path* belongs to the app's own router: a navigation, and not to a file.

    Raises:
        ServiceWorkerInterferes: It was a navigation, perhaps, before a service worker passed it on.
    """
    if path.startswith("assets/") or FILE_SUFFIXES.search(path):
        return False
    if may_be_of_service_worker(request):
        raise ServiceWorkerInterferes
    return is_page_load(request) and wants_page(request)


def cache_rule(path: str) -> str:
    """Return the `Cache-Control` of the file at *path*."""
    if path.startswith("assets/") and HASHED.search(path):
        return f"public, max-age={YEAR_SECONDS}, immutable"
    return "no-cache"


def media_type(name: str) -> str:
    """Return the media type for a file name.

    With `nosniff` a wrong type breaks the app. So the usual types don't come from the operating
    system's table, where a script may be `text/plain`.
    """
    if name.endswith(".d.ts"):
        # Not in `MEDIA_TYPES`: a bare `.ts` is MPEG video.
        return "application/typescript"
    suffix = Path(name).suffix.lower()
    guessed, encoding = mimetypes.guess_type(name)
    return MEDIA_TYPES.get(suffix) or (not encoding and guessed) or "application/octet-stream"


def _client_module(login_parameters: tuple[str, ...]) -> Response:
    """The client module, whose `login()` also takes these parameters."""
    module = (ASSETS / "client.js").read_text(encoding="utf-8")
    names = "".join(f'"{name}", ' for name in login_parameters)
    response = Response(module.replace(NAMES_FOLLOW, names + NAMES_FOLLOW, 1))
    response.mimetype = MEDIA_TYPES[".js"]
    response.headers["Cache-Control"] = cache_rule("client.js")
    response.vary.add("Accept-Encoding")
    response.add_etag()
    response.make_conditional(request)
    return response


def _send(file: Path, path: str, root: Path | None = None) -> Response:
    """Send *file*, or its precompressed sibling, with conditional requests and ranges."""
    chosen, encoding = file, ""
    if root is not None:
        chosen, encoding = _precompressed(root, file)
    # The type is that of the file itself, even if its compressed sibling is sent.
    mimetype = media_type(file.name)
    try:
        response = send_file(chosen, mimetype=mimetype)
    except RequestedRangeNotSatisfiable:
        # Several parts, another unit, or beyond the end: all of it (RFC 9110, 14.2).
        response = send_file(chosen, mimetype=mimetype, conditional=False)
    response.headers.pop("Content-Disposition", None)
    if encoding:
        response.headers["Content-Encoding"] = encoding
    response.headers["Cache-Control"] = cache_rule(path)
    response.vary.add("Accept-Encoding")
    return response


def _precompressed(root: Path, file: Path) -> tuple[Path, str]:
    """Return the best variant of *file* that the client accepts, and its content coding."""
    real_root = root.resolve()
    if len(request.headers.get("Accept-Encoding", "")) > ACCEPT_MAX_CHARACTERS:
        return file, ""
    for encoding, suffix in ENCODINGS:
        if request.accept_encodings.quality(encoding) <= 0:
            continue
        sibling = file.relative_to(real_root).as_posix() + suffix
        if found := find_file(root, sibling):
            return found, encoding
    return file, ""

"""Which file a path gets, how long it is cached, and what is never served."""

import gzip
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, session
from flask.sessions import SessionInterface
from flask.testing import FlaskClient

from bff.config import load
from bff.core.errors import NotFound
from bff.web.spa import cache_rule, create_blueprint

NAVIGATION = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
PASSED_ON = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "empty", "Accept": "*/*"}
"""A navigation in Chromium, after the app's service worker."""
OLD_NAVIGATION = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
INDEX = b"<!doctype html><title>app</title>"
SCRIPT = b"export const answer = 42;\n" * 50

SETTINGS = {
    "OIDC_ISSUER": "https://issuer.test/", "AUTH0_CLIENT_ID": "client",
    "AUTH0_CLIENT_SECRET": "not used here", "AUTH0_SECRET": "0123456789abcdef0123456789abcdef",
    "APP_BASE_URL": "https://app.test", "BFF_API_URL": "http://api.test",
}  # fmt: skip


class NoSession(SessionInterface):
    """Fails the test if the request for a file touches the session."""

    def open_session(self, *_: Any) -> Any:
        class Untouchable(dict[str, Any]):
            def __getattribute__(self, name: str) -> Any:
                # Flask itself reads the class, and nothing else.
                assert name == "__class__", "The session was touched."
                return dict

        return Untouchable.__new__(Untouchable)

    def save_session(self, *_: Any) -> None:
        return None


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "dist"
    files = {
        "index.html": INDEX,
        "robots.txt": b"User-agent: *\n",
        "assets/index-BX3kz9_Q.js": SCRIPT,
        "assets/plain.css": b"a{}",
        ".env": b"SECRET=1",
        ".git/config": b"[core]",
        ".well-known/security.txt": b"Contact: x",
        "sub/page.html": b"page",
        "with space & ü.txt": b"ok",
    }
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    (tmp_path / "outside.txt").write_bytes(b"outside")
    (tmp_path / "distant").mkdir()
    (tmp_path / "distant" / "x.txt").write_bytes(b"sibling of the root")
    (root / "link-out.txt").symlink_to(tmp_path / "outside.txt")
    (root / "link-dir").symlink_to(tmp_path / "distant")
    (root / "link-hidden.txt").symlink_to(root / ".env")
    (root / "link-in.txt").symlink_to(root / "robots.txt")
    (root / "link-loop").symlink_to(root / "link-loop")
    os.mkfifo(root / "pipe.txt")
    return root


class BufferedClient(FlaskClient):
    """Reads and closes every response, as a server does; otherwise files stay open."""

    def open(self, *args: Any, **options: Any) -> Any:
        return super().open(*args, **{**options, "buffered": True})


def app_with(spa_dir: Path | None) -> Flask:
    app = Flask(__name__, static_folder=None)
    app.test_client_class = BufferedClient
    app.session_interface = NoSession()
    folder = {"BFF_SPA_DIR": str(spa_dir)} if spa_dir else {}
    app.register_blueprint(create_blueprint(load(SETTINGS | folder, env_file=None)))

    @app.errorhandler(NotFound)
    def not_found(_: NotFound) -> tuple[str, int]:
        return "not found", 404

    return app


@pytest.fixture
def client(root: Path) -> Iterator[FlaskClient]:
    with app_with(root).test_client() as client:
        yield client


# ---------------------------------------------------------------- refused

REFUSED = [
    "/.env",
    "/.git/config",
    "/sub/../.env",
    "/../outside.txt",
    "/..%2foutside.txt",
    "/%2e%2e/outside.txt",
    "/assets/../../outside.txt",
    "/assets/%2e%2e/%2e%2e/outside.txt",
    "/..%5coutside.txt",
    "/..\\outside.txt",
    "/%252e%252e/outside.txt",
    "/../distant/x.txt",
    "/./robots.txt",
    "/robots.txt%00",
    "/robots.txt%00.html",
    "/robots.txt/",
    "/robots.txt/x.txt",
    "/C:/outside.txt",
    "/link-out.txt",
    "/link-dir/x.txt",
    "/link-hidden.txt",
    "/link-loop/x.txt",
    "/pipe.txt",
    "/.well-known/.hidden.txt",
    "/.well-known/../.env",
    "/sub/.well-known/x.txt",
    "/assets",
    "/sub/",
    "/" + "x" * 5000 + ".txt",
    "/assets/missing-BX3kz9_Q.js",
    "/missing.png",
]


@pytest.mark.parametrize("path", REFUSED)
def test_a_path_without_a_file_is_404(client: FlaskClient, path: str) -> None:
    assert client.get(path, headers={"Accept": "*/*"}).status_code == 404


@pytest.mark.parametrize("path", REFUSED)
def test_a_navigation_gets_a_404_or_the_app_but_no_other_file(
    client: FlaskClient, path: str
) -> None:
    response = client.get(path, headers=NAVIGATION)
    assert response.status_code == 404 or response.data == INDEX


@pytest.mark.parametrize("path", ["/assets/missing-BX3kz9_Q.js", "/assets/x", "/missing.png"])
def test_a_missing_file_is_404_for_a_navigation_too(client: FlaskClient, path: str) -> None:
    assert client.get(path, headers=NAVIGATION).status_code == 404


@pytest.mark.parametrize("first", ["auth", "api", "healthz", "readyz"])
@pytest.mark.parametrize("rest", ["", "/", "/unknown"])
def test_reserved_paths_are_never_the_app(client: FlaskClient, first: str, rest: str) -> None:
    assert client.get(f"/{first}{rest}", headers=NAVIGATION).status_code == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_other_methods_are_refused(client: FlaskClient, method: str) -> None:
    assert client.open("/robots.txt", method=method).status_code == 405
    assert client.open("/", method=method).status_code == 405
    assert client.open("/auth/client.js", method=method).status_code == 405


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "BREW"])
@pytest.mark.parametrize(
    "path", ["/nothing", "/a/page", "/auth/nothing", "/missing.js", "/.env", "/auth", "/sub/"]
)
def test_other_methods_at_an_unknown_path_are_404(
    client: FlaskClient, path: str, method: str
) -> None:
    assert client.open(path, method=method, headers=NAVIGATION).status_code == 404
    assert app_with(None).test_client().open(path, method=method).status_code == 404


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty", "Accept": "text/html"},
        {"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "script", "Accept": "*/*"},
        {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe", "Accept": "text/html"},
        {"Sec-Fetch-Mode": "no-cors", "Accept": "text/html"},
        {"Accept": "*/*"},
        {"Accept": "application/json"},
        {"Accept": "text/html;q=0"},
        {},
    ],
)
def test_only_navigations_get_the_app_page(client: FlaskClient, headers: dict[str, str]) -> None:
    assert client.get("/orders/7", headers=headers).status_code == 404


# ---------------------------------------------------------------- served


@pytest.mark.parametrize("headers", [NAVIGATION, PASSED_ON, OLD_NAVIGATION])
@pytest.mark.parametrize("path", ["/orders/7", "/users/john.doe@example.com", "/v1.2/", "/profile"])
def test_a_page_of_the_app_gets_the_index(
    client: FlaskClient, path: str, headers: dict[str, str]
) -> None:
    response = client.get(path, headers=headers)
    assert (response.data, response.content_type) == (INDEX, "text/html; charset=utf-8")
    assert response.headers["Cache-Control"] == "no-cache"
    assert {"Sec-Fetch-Mode", "Sec-Fetch-Dest", "Accept"} <= set(response.vary)


def test_the_root_is_the_index_for_every_client(client: FlaskClient) -> None:
    response = client.get("/", headers={"Accept": "*/*"})
    assert (response.status_code, response.data) == (200, INDEX)
    assert response.headers["Cache-Control"] == "no-cache"
    assert response.headers["Content-Type"] == "text/html; charset=utf-8"


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("/robots.txt", b"User-agent: *\n"),
        ("/link-in.txt", b"User-agent: *\n"),
        ("/.well-known/security.txt", b"Contact: x"),
        ("/sub/page.html", b"page"),
        ("/with%20space%20&%20%C3%BC.txt", b"ok"),
        ("/robots.txt?v=1", b"User-agent: *\n"),
    ],
)
def test_files_are_served(client: FlaskClient, path: str, content: bytes) -> None:
    response = client.get(path)
    assert (response.status_code, response.data) == (200, content)
    assert response.headers["Cache-Control"] == "no-cache"
    assert "Set-Cookie" not in response.headers


def test_head_has_the_length_and_no_body(client: FlaskClient) -> None:
    response = client.head("/robots.txt")
    assert (response.status_code, response.data) == (200, b"")
    assert response.headers["Content-Length"] == "14"


def test_an_unchanged_file_is_304_and_a_changed_one_is_not(client: FlaskClient, root: Path) -> None:
    etag = client.get("/robots.txt").headers["ETag"]
    again = client.get("/robots.txt", headers={"If-None-Match": etag})
    assert (again.status_code, again.data) == (304, b"")
    assert again.headers["Cache-Control"] == "no-cache"
    (root / "robots.txt").write_bytes(b"User-agent: changed\n")
    assert client.get("/robots.txt", headers={"If-None-Match": etag}).status_code == 200


def test_a_range_is_served_as_a_part_if_it_is_one(client: FlaskClient) -> None:
    part = client.get("/robots.txt", headers={"Range": "bytes=0-3"})
    assert (part.status_code, part.data, str(part.content_range)) == (206, b"User", "bytes 0-3/14")
    for other in ("bytes=14-", "bytes=0-1,4-5", "items=0-3", "bytes=x", ""):
        assert client.get("/robots.txt", headers={"Range": other}).status_code == 200


# ---------------------------------------------------------------- caching

FOREVER = "public, max-age=31536000, immutable"


@pytest.mark.parametrize(
    ("path", "hashed"),
    [
        ("assets/index-BX3kz9_Q.js", True),
        ("assets/index-DiwrgT-4.css", True),
        ("assets/logo.0a1b2c3d.svg", True),
        ("assets/app.5d41402abc4b2a76b9719d911017c592.js", True),
        ("assets/index-BX3kz9_Q.js.map", True),
        ("assets/deep/chunk-A1B2C3D4.js", True),
        ("assets/plain.css", False),
        ("assets/date-formatter.js", False),
        ("assets/my-component.js", False),
        ("assets/my-calendar.js", False),
        ("assets/my-very-long-name2.js", False),
        ("assets/index-BX3k.js", False),
        ("assets/BX3kz9_Q.js", False),
        ("index-BX3kz9_Q.js", False),
        ("myassets/index-BX3kz9_Q.js", False),
        ("index.html", False),
    ],
)
def test_only_a_hash_in_the_name_makes_a_file_immutable(path: str, hashed: bool) -> None:
    assert cache_rule(path) == (FOREVER if hashed else "no-cache")


def test_a_hashed_asset_is_cached_for_a_year(client: FlaskClient) -> None:
    response = client.get("/assets/index-BX3kz9_Q.js")
    assert response.headers["Cache-Control"] == FOREVER
    assert response.headers["Content-Type"] == "text/javascript; charset=utf-8"


@pytest.mark.parametrize(
    ("name", "content_type"),
    [
        ("x.mjs", "text/javascript; charset=utf-8"),
        ("x.css", "text/css; charset=utf-8"),
        ("x.wasm", "application/wasm"),
        ("x.webmanifest", "application/manifest+json"),
        ("x.woff2", "font/woff2"),
        ("x.tar.gz", "application/octet-stream"),
        ("x.unheard-of", "application/octet-stream"),
        ("x", "application/octet-stream"),
    ],
)
def test_media_types_do_not_depend_on_the_machine(
    client: FlaskClient, root: Path, name: str, content_type: str
) -> None:
    (root / name).write_bytes(b"x")
    headers = client.get(f"/{name}").headers
    assert headers["Content-Type"] == content_type
    assert "Content-Encoding" not in headers
    assert "Content-Disposition" not in headers


# ---------------------------------------------------------------- precompressed files


@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [
        ("gzip, deflate, br", "br"),
        ("br;q=0, gzip", "gzip"),
        ("gzip", "gzip"),
        ("identity", None),
        ("br;q=0, gzip;q=0" + ", br" * 6000, None),
        (None, None),
    ],
)
def test_a_compressed_sibling_is_sent_to_a_client_that_accepts_it(
    client: FlaskClient, root: Path, accepted: str | None, encoding: str | None
) -> None:
    contents = {None: SCRIPT, "gzip": gzip.compress(SCRIPT), "br": b"brotli bytes"}
    (root / "assets/index-BX3kz9_Q.js.gz").write_bytes(contents["gzip"])
    (root / "assets/index-BX3kz9_Q.js.br").write_bytes(contents["br"])
    headers = {"Accept-Encoding": accepted} if accepted else {}
    response = client.get("/assets/index-BX3kz9_Q.js", headers=headers)
    assert response.headers.get("Content-Encoding") == encoding
    assert response.data == contents[encoding]
    assert response.headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert response.headers["Cache-Control"] == FOREVER
    assert "Accept-Encoding" in response.vary


def test_each_coding_has_its_own_etag(client: FlaskClient, root: Path) -> None:
    (root / "robots.txt.gz").write_bytes(gzip.compress(b"User-agent: *\n"))
    plain = client.get("/robots.txt").headers["ETag"]
    packed = client.get("/robots.txt", headers={"Accept-Encoding": "gzip"}).headers["ETag"]
    assert plain != packed


def test_a_sibling_that_leads_outside_is_not_sent(client: FlaskClient, root: Path) -> None:
    (root / "robots.txt.gz").symlink_to(root.parent / "outside.txt")
    response = client.get("/robots.txt", headers={"Accept-Encoding": "gzip"})
    assert (response.data, response.headers.get("Content-Encoding")) == (b"User-agent: *\n", None)


# ---------------------------------------------------------------- our own files, and no SPA


TYPES = {"js": "text/javascript", "d.ts": "application/typescript", "css": "text/css"}


@pytest.mark.parametrize("path", ["/auth/client.js", "/auth/client.d.ts", "/auth/pages.css"])
def test_our_own_assets_are_revalidated(client: FlaskClient, path: str) -> None:
    response = client.get(path)
    assert (response.status_code, response.mimetype) == (200, TYPES[path.split(".", 1)[1]])
    assert response.headers["Cache-Control"] == "no-cache"
    again = client.get(path, headers={"If-None-Match": response.headers["ETag"]})
    assert again.status_code == 304


def test_without_a_spa_the_root_says_so() -> None:
    client = app_with(None).test_client()
    response = client.get("/")
    assert response.status_code == 200
    assert "BFF_SPA_DIR" in response.text
    assert client.get("/orders", headers=NAVIGATION).status_code == 404
    assert client.get("/auth/client.js").status_code == 200


def test_a_removed_folder_is_404_and_no_crash(client: FlaskClient, root: Path) -> None:
    root.rename(root.parent / "moved")
    assert client.get("/", headers=NAVIGATION).status_code == 404


def test_the_test_would_notice_a_session() -> None:
    app = app_with(None)

    @app.get("/touch")
    def touch() -> str:
        return str(session.get("x"))

    app.testing = True
    with pytest.raises(AssertionError, match="touched"):
        app.test_client().get("/touch")

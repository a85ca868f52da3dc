"""Which spellings of a path reach an endpoint of ours? The exact one; every other is a 404."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing
from urllib.parse import unquote_to_bytes

import pytest
from flask.testing import FlaskClient

from bff import public_route
from tests.support.fake_provider import FakeProvider
from tests.support.receiver import Receiver
from tests.support.redis_server import RedisServer

KEY = "k" * 40
OURS = {
    "GET": (
        "/admin/sessions", "/auth/check-token", "/auth/verify", "/healthz", "/readyz",
        "/auth/login", "/auth/callback", "/auth/profile", "/auth/logout", "/auth/logged-out",
        "/auth/initiate-login", "/auth/sessions", "/auth/client.js", "/auth/pages.css",
        "/auth/cookies.js",
    ),
    "POST": (
        "/admin/sessions/allow", "/admin/sessions/end", "/auth/global-token-revocation",
        "/auth/introspect",
        "/auth/backchannel-logout", "/webhooks/auth0-logs", "/webhooks/ssf", "/auth/logout",
        "/auth/cookies",
    ),
    "DELETE": ("/auth/sessions", "/auth/sessions/abc"),
}  # fmt: skip
ALL = [(method, path) for method, paths in OURS.items() for path in paths]


def spellings(path: str) -> list[str]:
    """Others of *path*, all of which some server takes for it."""
    first, _, rest = path[1:].partition("/")
    deeper = f"/{rest}" if rest else ""
    return [
        f"/{path}", f"//{path}", f"/%2F{path[1:]}", f"/%2f{path}", f"/.{path}", f"/%2e{path}",
        f"/x/..{path}", f"/x/%2E%2E{path}", f"/\\{path[1:]}", f"/%5C{path[1:]}", f"{path}/",
        f"{path}//", f"{path}/.", f"{path}/x/..", f"{path}%2F", f"{path};x", f"{path};x=1",
        f"{path}/;x", f"{path}%3Bx", f"/{first};x{deeper}", f"{path.upper()}", f"{path.title()}",
        f"/{first}/{deeper}", f"/{first}/.{deeper}", f"/{first}%252F{rest}", f"/;{path}",
        f"{path}.", f"{path}%20", f"{path}%00", f"{path}%09", f"{path}%0A",
        f"/{first[0].upper()}{first[1:]}{deeper}", f"{path}%3Fx", f"{path}%23",
    ]  # fmt: skip


ENCODED = ("/%61dmin/sessions", "/admin%2Fsessions", "/auth/check%2Dtoken", "/auth%2fverify")
"""A server that shows no path as it was sent decodes them, and a proxy in front refuses them."""
SERVERS = {"as it was sent": "gunicorn", "decoded": "Granian"}
NAVIGATION = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", "Accept": "text/html"}
PROGRAM = {"Authorization": f"Bearer {KEY}", "X-Forward-Auth-Key": KEY}


@pytest.fixture(scope="module")
def client(
    tmp_path_factory: pytest.TempPathFactory, redis_server: RedisServer
) -> Iterator[FlaskClient]:
    spa = tmp_path_factory.mktemp("spa")
    (spa / "index.html").write_text("the application")
    (spa / "a b ü.txt").write_text("a file")
    (spa / ".well-known").mkdir()
    (spa / ".well-known" / "x.txt").write_text("a file")
    with ExitStack() as running:
        fake = FakeProvider()
        running.callback(fake.stop)
        bff = Receiver(
            fake, redis_server, "own-paths", BFF_SPA_DIR=str(spa), BFF_ADMIN_KEY=KEY,
            BFF_FORWARD_AUTH_KEY=KEY, BFF_TRUSTED_PROXIES="127.0.0.1", BFF_LOG_STREAM_KEY=KEY,
        )  # fmt: skip
        for rule in OWN:
            bff.app.add_url_rule(rule, rule.replace(".", "-"), public_route(own_view))
        with closing(bff):
            yield bff.client


def own_view(**_: str) -> tuple[str, int]:
    return "own", 202


def status(
    client: FlaskClient,
    method: str,
    path: str,
    server: str,
    peer: str = "127.0.0.1",
    **fields: str,
) -> int:
    """Of the response to a request whose target no library had in its hands."""
    seen = {
        "SERVER_SOFTWARE": server,
        "REMOTE_ADDR": peer,
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
        "RAW_URI": path,
        "REQUEST_URI": path,
    }
    response = client.open(
        "/", method=method, headers=fields, environ_overrides=seen, buffered=True
    )
    return response.status_code


@pytest.mark.parametrize("server", SERVERS.values(), ids=list(SERVERS))
@pytest.mark.parametrize(("method", "path"), ALL)
def test_promise_10_another_spelling_of_a_path_of_ours_is_404(
    client: FlaskClient, method: str, path: str, server: str
) -> None:
    for spelling in spellings(path):
        for fields in (PROGRAM, NAVIGATION):
            got = status(client, method, spelling, server, **fields)
            assert got == 404, (method, spelling, fields)


@pytest.mark.parametrize("path", ENCODED)
def test_promise_10_an_encoded_path_of_ours_is_404_if_the_server_tells(
    client: FlaskClient, path: str
) -> None:
    assert status(client, "GET", path, "gunicorn", **PROGRAM) == 404
    assert status(client, "GET", path, "gunicorn", **NAVIGATION) == 404


@pytest.mark.parametrize("path", [one for one in ENCODED if "verify" not in one])
def test_promise_10_an_encoded_path_of_ours_is_404_if_a_trusted_proxy_tells(
    client: FlaskClient, path: str
) -> None:
    told = PROGRAM | {"X-Original-URI": path}
    assert status(client, "GET", path, "Granian", **told) == 404
    assert status(client, "GET", path, "Granian", peer="192.0.2.1", **told) != 404


OWN = {
    "/shop": ["/%73hop"],
    "/shop/<name>/x": ["/%73hop/a/x", "/shop%2Fa/x", "/shop/a%2Fx", "/shop/a/%78", "/shop/%61/x"],
    "/tree/<path:rest>": ["/tre%65/a/b", "/tree%2Fa/b", "/tree/a/%2e./b"],
    "/slash/": ["/sl%61sh/", "/slash%2F"],
}
"""Rules of the application's own, and how a client may spell them to get past a proxy in front."""


@pytest.mark.parametrize("rule", OWN)
def test_promise_10_a_rule_of_the_application_has_one_spelling(
    client: FlaskClient, rule: str
) -> None:
    exact = rule.replace("<name>", "a%20;b").replace("<path:rest>", "a%2Fb/%7Ec")
    assert status(client, "GET", exact, "gunicorn", **NAVIGATION) == 202
    for spelling in OWN[rule]:
        for fields in (PROGRAM, NAVIGATION):
            assert status(client, "GET", spelling, "gunicorn", **fields) == 404, spelling


@pytest.mark.parametrize("start", ["/", "/auth/", "/api/"])
def test_a_path_that_takes_long_to_read_is_refused_by_its_length(
    client: FlaskClient, start: str
) -> None:
    path = start + "%25" * 20_000
    assert status(client, "GET", path, "Granian", **NAVIGATION) == 414
    assert status(client, "GET", path, "gunicorn", **PROGRAM) == 414


@pytest.mark.parametrize("server", SERVERS.values(), ids=list(SERVERS))
@pytest.mark.parametrize(("method", "path"), ALL)
def test_the_exact_path_is_answered(
    client: FlaskClient, method: str, path: str, server: str
) -> None:
    expected = status(client, method, path, server, **PROGRAM)
    assert expected not in (301, 308, 405)
    if path not in ("/auth/introspect", "/webhooks/ssf", "/auth/sessions/abc"):
        assert expected != 404


@pytest.mark.parametrize("server", SERVERS.values(), ids=list(SERVERS))
def test_the_application_keeps_its_own_addresses(client: FlaskClient, server: str) -> None:
    pages = (
        "/",
        "/admin",
        "/admin/users",
        "/hero;id=3",
        "/Orders/",
        "/a%20b",
        "/authors",
        "/x%2Fy",
    )
    for page in pages:
        assert status(client, "GET", page, server, **NAVIGATION) == 200, page
    for file in ("/a%20b%20%C3%BC.txt", "/.well-known/x.txt"):
        assert status(client, "GET", file, server) == 200, file
    needless = ("/%61%20b%20%C3%BC.txt", "/a%20b%20%C3%BC%2Etxt", "/%2Ewell-known/x.txt")
    for file in needless if server == "gunicorn" else ():
        assert status(client, "GET", file, server) == 404, file
    for other in ("//", "//index.html", "/./", "/%2F", "/x//y", "/x/../y", "/%2e/"):
        assert status(client, "GET", other, server, **NAVIGATION) == 404, other

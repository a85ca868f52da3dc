"""Which origin have the addresses that Flask makes? That of `APP_BASE_URL`, whatever is sent."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import flask
import pytest
from flask import Flask, Response, url_for

import bff
from tests.gateway.app import DEFAULTS
from tests.support.embedding import NAVIGATES, SAME_ORIGIN, Embedding
from tests.support.fake_provider import FakeProvider, Reply
from tests.support.fixtures import MakeReceiver
from tests.support.own_addresses import own
from tests.support.raw_client import Received, send
from tests.support.redis_server import RedisServer
from tests.support.servers import SERVERS, WebServer, start_server

BASE_URLS = {
    "https://app.test": "https://app.test",
    "https://APP.test:443": "https://app.test",
    "https://app.test:8443": "https://app.test:8443",
    "https://192.0.2.1": "https://192.0.2.1",
    "https://[2001:db8::1]": "https://[2001:db8::1]",
    "https://[2001:DB8::1]:8443": "https://[2001:db8::1]:8443",
    "http://localhost:8000": "http://localhost:8000",
    "http://[::1]:8000": "http://[::1]:8000",
}
"""`APP_BASE_URL`, and the origin that a browser makes of it."""
SENT = {
    "nothing else": [],
    "what nginx sends": ["Host: app.test", "X-Forwarded-Proto: https"],
    "a port of the proxy": ["Host: app.test:8080"],
    "another host": ["Host: evil.example"],
    "another host with a port": ["Host: evil.example:443"],
    "an address": ["Host: 10.0.0.1:8000"],
    "an IPv6 address": ["Host: [fe80::1]:8000"],
    "no host": ["Host: a,b/c"],
    "an empty host": ["Host:"],
    "another scheme": ["Host: app.test", "X-Forwarded-Proto: http", "X-Scheme: http"],
    "forwarded fields": [
        "Host: app.test", "X-Forwarded-Host: evil.example", "X-Forwarded-Port: 1",
        "X-Forwarded-Prefix: /evil", "X-Forwarded-Server: evil.example",
        "Forwarded: host=evil.example;proto=gopher", "X-Original-Host: evil.example",
    ],
}  # fmt: skip


def addresses(origin: str) -> dict[str, Any]:
    """What `/told/` tells at *origin*."""
    scheme, _, host = origin.partition("://")
    here = f"{origin}/told/"
    return {
        "url": f"{here}?a=1",
        "base_url": here,
        "url_root": f"{origin}/",
        "host_url": f"{origin}/",
        "host": host,
        "scheme": scheme,
        "is_secure": scheme == "https",
        "field": host,
        "of the environment": f"{here}?a=1",
        "inside": "/told/",
        "outside": here,
        "of the blueprint": f"{here}?n=1",
        "in a mail": here,
    }


def fields(lines: list[str]) -> dict[str, str]:
    """Of the test client."""
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def application(receiver_for: MakeReceiver, **settings: str) -> Flask:
    """One with the blueprint `own`."""
    app = receiver_for(**settings).app
    app.register_blueprint(own)
    return app


# ---------------------------------------------------------------- routes of one's own
@pytest.mark.parametrize(("base_url", "origin"), BASE_URLS.items(), ids=str)
def test_all_addresses_have_the_public_origin(
    receiver_for: MakeReceiver, base_url: str, origin: str
) -> None:
    client = application(receiver_for, APP_BASE_URL=base_url).test_client()
    for kind, lines in SENT.items():
        sent = fields(lines)
        assert client.get("/told/?a=1", headers=sent).json == addresses(origin), kind
        with_slash = client.get("/told?a=1", headers=sent)
        assert with_slash.status_code == 308, kind
        assert with_slash.headers["Location"] == f"{origin}/told/?a=1", kind
        assert client.get("/moved", headers=sent).headers["Location"] == f"{origin}/told/", kind


@pytest.fixture(scope="module", params=SERVERS)
def server(request: pytest.FixtureRequest, redis_server: RedisServer) -> Iterator[WebServer]:
    env = DEFAULTS | {"BFF_API_URL": "http://127.0.0.1:9", "REDIS_URL": redis_server.url}
    with start_server(request.param, "tests.support.own_addresses:app", env=env) as started:
        yield started


def ask(server: WebServer, target: str, lines: list[str], version: str = "1.1") -> Received:
    """A request as it stands."""
    head = [f"GET {target} HTTP/{version}", *lines, "Connection: close", "", ""]
    return send(server.port, "\r\n".join(head).encode())


@pytest.mark.parametrize("kind", [kind for kind, lines in SENT.items() if lines])
def test_under_a_server_they_have_it_too(server: WebServer, kind: str) -> None:
    received = ask(server, "/told/?a=1", SENT[kind])
    if received.status == 400 and kind == "no host":
        return  # gunicorn and Granian may refuse it themselves.
    assert flask.json.loads(received.body) == addresses("https://app.test")
    assert ask(server, "/told", SENT[kind]).fields["location"] == "https://app.test/told/"
    assert ask(server, "/moved", SENT[kind]).fields["location"] == "https://app.test/told/"


@pytest.mark.parametrize("target", ["/told", "http://evil.example/told"])
def test_without_a_host_they_have_it_too(server: WebServer, target: str) -> None:
    """As HTTP/1.0 may, and probes do; or with a host in the target."""
    for version, lines in (("1.0", []), ("1.1", ["Host: evil.example"])):
        received = ask(server, target, lines, version)
        assert received.status in (308, 400, 404)
        assert received.fields.get("location", "https://app.test/told/") == "https://app.test/told/"


# ---------------------------------------------------------------- requests past the router
def test_functions_after_a_forwarded_request_see_it_too(
    fake: FakeProvider, receiver_for: MakeReceiver
) -> None:
    """And can make addresses, for which there was no router."""
    base_url = "https://app.test:8443"
    app = application(receiver_for, APP_BASE_URL=base_url, BFF_API_URL=fake.issuer.rstrip("/"))
    fake.says("/x", lambda: Reply({}))
    seen: list[tuple[str, str, str]] = []

    @app.after_request
    def note(response: Response) -> Response:
        urls = url_for("own.told"), url_for("own.told", _external=True)
        seen.append((flask.request.url, *urls))
        return response

    response = app.test_client().get("/api/x?a=1", headers={"Host": "evil.example"} | SAME_ORIGIN)
    assert response.status_code == 401
    assert seen == [(f"{base_url}/api/x?a=1", "/told/", f"{base_url}/told/")]


# ---------------------------------------------------------------- what needs the field itself
@pytest.mark.parametrize(
    ("host", "leads_to"),
    [("www.localhost:8000", "at_base_url=1"), ("127.0.0.1", "at_base_url=1"),
     ("localhost:5173", "state="), ("localhost", "state=")],
)  # fmt: skip
def test_a_sign_in_sees_by_which_name_the_browser_came(
    receiver_for: MakeReceiver, host: str, leads_to: str
) -> None:
    client = receiver_for().client
    response = client.get("/auth/login", headers=SAME_ORIGIN | NAVIGATES | {"Host": host})
    assert response.status_code == 302
    assert leads_to in response.headers["Location"]


@pytest.mark.parametrize(
    ("host", "status"), [("app.test", 200), ("app.test:80", 200), ("evil.example", 400)]
)
def test_trusted_hosts_are_those_of_the_field(
    receiver_for: MakeReceiver, host: str, status: int
) -> None:
    """Flask's own setting, of an application that has it."""
    app = application(receiver_for, APP_BASE_URL="https://app.test")
    app.config["TRUSTED_HOSTS"] = ["app.test"]
    response = app.test_client().get("/told/", headers={"Host": host})
    assert response.status_code == status


def test_a_server_name_of_the_application_stays_its_own(receiver_for: MakeReceiver) -> None:
    app = application(receiver_for, APP_BASE_URL="https://app.test")
    app.config["SERVER_NAME"] = "shop.test"
    with app.app_context():
        assert url_for("own.told") == "http://shop.test/told/"


# ---------------------------------------------------------------- Flask's tools for tests
def test_the_test_client_keeps_its_cookies_and_its_session(receiver_for: MakeReceiver) -> None:
    """At its own host, `localhost`, whatever `APP_BASE_URL` is."""
    embedding = Embedding(receiver_for(APP_BASE_URL="https://app.test"))

    @embedding.app.post("/n")
    def count() -> dict[str, int]:
        flask.session["n"] = flask.session.get("n", 0) + 1
        return {"n": flask.session["n"]}

    embedding.sign_in()
    assert [embedding.call("/n").json for _ in range(2)] == [{"n": 1}, {"n": 2}]


def test_a_test_request_context_has_the_origin_that_the_test_gives(
    receiver_for: MakeReceiver,
) -> None:
    app = application(receiver_for, APP_BASE_URL="https://app.test")
    for given, origin in (
        ({}, "http://localhost"),
        ({"base_url": "https://a.test"}, "https://a.test"),
    ):
        with app.test_request_context("/told/", **given):
            assert flask.request.url == f"{origin}/told/"
            assert url_for("own.told", _external=True) == f"{origin}/told/"


def test_a_view_that_calls_the_application_again_keeps_its_origin(
    receiver_for: MakeReceiver,
) -> None:
    app = application(receiver_for, APP_BASE_URL="https://app.test")

    @app.get("/outer")
    @bff.public_route
    def outer() -> list[str]:
        with app.test_client() as client:
            inner = client.get("/told", environ_base=dict(flask.request.environ))
        return [flask.request.url, inner.headers["Location"]]

    response = app.test_client().get("/outer", headers={"Host": "evil.example"})
    assert response.json == ["https://app.test/outer", "https://app.test/told/"]

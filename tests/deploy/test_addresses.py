"""deploy/: paths reach the API as they were sent, and its addresses and versions no browser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import urljoin

import pytest

from bff.gateway.response_headers import FOR_PROXIES, VERSIONS
from tests.deploy.api import whole
from tests.deploy.installation import DEPLOY, Installation
from tests.deploy.test_every_proxy import PROXIES
from tests.deploy.traefik import BehindTraefik


@pytest.fixture(scope="module", params=PROXIES.values(), ids=list(PROXIES))
def here(request: pytest.FixtureRequest) -> Iterator[Installation]:
    with request.param() as here:
        yield here


def test_what_the_bff_forwards_keeps_the_path_as_it_was_sent(here: Installation) -> None:
    """Granian, which decodes it, is told the original; Traefik can't tell it."""
    browser, told = here.user(), not isinstance(here, BehindTraefik)
    for path in ("/events/a%2Fb", "/events/a%3Bb;c=1"):
        with browser.fetch("GET", f"/api{path}", stream=True) as answer:
            if told or ";" not in path:
                assert answer.status_code == 200
            else:
                assert (answer.status_code, answer.json()["code"]) == (400, "path_refused")
            assert (here.api.seen[-1].target == path) == told


def test_what_a_client_tells_of_its_target_doesnt_count(here: Installation) -> None:
    told = {"X-Original-URI": "/api/events/a%2Fb"}
    with here.user().fetch("GET", "/api/events/a/b", headers=told, stream=True) as answer:
        assert answer.status_code == 200
    assert here.api.seen[-1].target == "/events/a/b"


def test_no_spelling_of_a_name_decides_the_clients_address(here: Installation) -> None:
    spelt = {"X_Forwarded_For": "6.6.6.6", "X-Forwarded_For": "6.6.6.6", "X-Real_IP": "6.6.6.6"}
    for path in ("/api/events", "/api/items"):
        with here.user().fetch("GET", path, headers=spelt, stream=True) as answer:
            assert answer.status_code == 200
        fields = here.api.seen[-1].fields
        assert fields["x-forwarded-for"] == "127.0.0.1"
        assert "6.6.6.6" not in fields.values()


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("/items/7", "/api/items/7"),
        ("http://api.internal/items/7", "/api/items/7"),
        # It believes X-Forwarded-Proto, names its port, or puts X-Forwarded-Prefix in front.
        ("https://api.internal/items/7?a=/b", "/api/items/7?a=/b"),
        ("http://api.internal:8080/items/7", "/api/items/7"),
        ("/api/items/7", "/api/items/7"),
        ("https://api.internal/api/items/7", "/api/items/7"),
        # Other spellings of its host, and of its own prefix.
        ("//api.internal/items/7", "/api/items/7"),
        ("HTTP://user:password@API.Internal.:8080/items/7", "/api/items/7"),
        ("http://api.internal/?a=/b", "/api/?a=/b"),
        ("http://api.internal/api?a#b", "/api?a#b"),
        ("/api", "/api"),
        ("/apis", "/api/apis"),
        ("items/7", "items/7"),
        ("?page=2", "?page=2"),
        ("//elsewhere.example/x", "//elsewhere.example/x"),
        ("http://api.internal.example/x", "http://api.internal.example/x"),
        ("https://elsewhere.example/x", "https://elsewhere.example/x"),
    ],
)
def test_a_location_of_the_api_becomes_ours(here: Installation, theirs: str, ours: str) -> None:
    """Traefik changes none (docs/deploy.md)."""
    expected = theirs if isinstance(here, BehindTraefik) else ours
    for path in ("/made", "/live/made"):
        here.api.answers[path] = whole(b"", f"Location: {theirs}", status="201 Created")
        location = here.user().api(path).headers["Location"]
        assert urljoin(here.url, location) == urljoin(here.url, expected)


def test_the_api_is_told_the_prefix_and_keeps_its_addresses_and_versions(
    here: Installation,
) -> None:
    told = here.browser().api("/items").json()["fields"]
    assert told["x-forwarded-prefix"] == "/api"
    own = [
        "Link: <http://api.internal/x>; rel=next",
        'Link-Template: "http://api.internal/{x}"',
        "Operation-Location: http://api.internal/x",
        "X-Powered-By: PHP/8.1",
        "X-Runtime: 0.1",
        "Via: 1.1 inner (Inner/6.0)",
        "Cloudflare-CDN-Cache-Control: public, max-age=600",
        "CDN-Cache-Control: public, max-age=600",
        "Server: Own/1.2",
    ]
    here.api.answers["/told"] = whole(b"", *own)
    answer = here.browser().api("/told")
    assert answer.status_code == 200
    names = {line.partition(":")[0] for line in own} - {"Server", "Via"}
    assert not names & set(answer.headers)
    assert "Own" not in answer.headers.get("Server", "")
    assert "inner" not in answer.headers.get("Via", "")


@pytest.mark.parametrize("file", ["nginx/api-answer.conf", "caddy/Caddyfile", "traefik/bff.yml"])
def test_the_proxies_drop_what_the_bff_drops(file: str) -> None:
    text = (DEPLOY / file).read_text().lower()
    own = {"server"} if "nginx" in file else set()
    assert not [name for name in VERSIONS | FOR_PROXIES - own if not says(text, name)]


def says(text: str, name: str) -> bool:
    """Whether *name* is dropped, by itself or with all that end so."""
    return bool(re.search(rf"[- ]{name}[;:\n]", text)) or (
        name.endswith("-cache-control") and "-*-cache-control\n" in text
    )


@pytest.mark.parametrize(
    ("field", "caching"),
    [
        ('ETag: "a"', "private, no-cache"),
        ("Last-Modified: Thu, 01 Jan 2026 00:00:00 GMT", "private, no-cache"),
        ("X-A: 1", "private, no-store"),
    ],
)
def test_with_a_validator_a_response_may_be_stored_and_asked_about(
    here: Installation, field: str, caching: str
) -> None:
    """Traefik always says the same (docs/deploy.md)."""
    here.api.answers["/validated"] = whole(b"", field)
    expected = "private, no-store" if isinstance(here, BehindTraefik) else caching
    assert here.user().api("/validated").headers["Cache-Control"] == expected

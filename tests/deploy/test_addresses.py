"""deploy/: paths reach the API as they were sent, and its addresses and versions no browser."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urljoin

import pytest

from tests.deploy.api import whole
from tests.deploy.installation import Installation
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
        ("http://api.internal.example/x", "http://api.internal.example/x"),
        ("https://elsewhere.example/x", "https://elsewhere.example/x"),
    ],
)
def test_a_location_of_the_api_becomes_ours(here: Installation, theirs: str, ours: str) -> None:
    """Traefik changes none (docs/deploy.md)."""
    here.api.answers["/made"] = whole(b"", f"Location: {theirs}", status="201 Created")
    location = here.user().api("/made").headers["Location"]
    expected = theirs if isinstance(here, BehindTraefik) else ours
    assert urljoin(here.url, location) == urljoin(here.url, expected)


def test_the_api_is_told_the_prefix_and_keeps_its_addresses_and_versions(
    here: Installation,
) -> None:
    told = here.browser().api("/items").json()["fields"]
    assert told["x-forwarded-prefix"] == "/api"
    own = ["Link: <http://api.internal/x>; rel=next", "X-Powered-By: PHP/8.1", "Server: Own/1.2"]
    here.api.answers["/told"] = whole(b"", *own)
    answer = here.browser().api("/told")
    assert answer.status_code == 200
    assert not {"Link", "X-Powered-By"} & set(answer.headers)
    assert "Own" not in answer.headers.get("Server", "")

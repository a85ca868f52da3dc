"""Promise 10: unknown and ambiguous addresses; pages for people, JSON for programs."""

from __future__ import annotations

import pytest
import requests

from tests.promises.refused.sending import own, refused, send
from tests.support.browser_client import FETCH, NAVIGATION, BrowserClient
from tests.support.cluster import Cluster
from tests.support.refusal import assert_refused

pytestmark = pytest.mark.usefixtures("unharmed")


@pytest.mark.parametrize(
    "target",
    [
        "/auth", "/auth/", "/auth/nothing", "/auth/%zz", "/auth/%", "/auth/%f", "/auth/login%00",
        "/auth/login%0d%0aX-Evil:1", "/auth/%ff", "/auth/%c0%ae", "/auth/../auth/profile",
        "/auth/..%2fhealthz", "/auth//profile", "/auth/profile/", "/AUTH/profile", "/auth/Login",
        "/auth/profile;a=b", "/auth\\login", "/auth/login.php", "/auth/backchannel",
        "/auth/sessions/%00", "/auth/sessions/", "/healthz/x", "/readyz/", "/%61uth/nothing",
        "/../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/.env", "/.git/config", "/bff/config.py",
        "/assets/../../__init__.py", "/index.html%00.js", "/auth/" + "a" * 5_000,
    ],
)  # fmt: skip
def test_promise_10_an_unknown_address(
    cluster: Cluster, bystander: BrowserClient, target: str
) -> None:
    refused(send(cluster, target, own(bystander)), 404, "not_found")


@pytest.mark.parametrize(
    "target",
    ["/api/../auth/profile", "/api/%2e%2e/x", "/api//x", "//api/x", "/api/a%5cb", "/api/%00"],
)
def test_promise_10_a_path_that_can_be_read_in_two_ways(
    cluster: Cluster, bystander: BrowserClient, target: str
) -> None:
    """The table is in tests/gateway/paths.py; here is a sample, with a session."""
    refused(send(cluster, target, own(bystander)), 400, "path_refused")


@pytest.mark.parametrize(
    "value",
    [
        "//evil.test", "/\\evil.test", "/%09/evil.test", "https:evil.test", "https://evil.test/",
        "/%2f/evil.test", "/%5cevil.test", "javascript:alert(1)", "/a\r\nX-Evil: 1", "evil",
        "/auth/logout", "/api/x", "/%61pi/x", "/x/../auth/logout", "/" + "a" * 5_000,
        "/%zz", "@evil.test", "/;@evil.test//", " /x",
    ],
)  # fmt: skip
@pytest.mark.parametrize("path", ["/auth/login", "/auth/logout"])
def test_promise_10_a_hostile_return_to(
    cluster: Cluster, bystander: BrowserClient, path: str, value: str
) -> None:
    """The table is in tests/web/test_return_to.py; here is a sample, end to end."""
    stranger = requests.get(
        cluster.url() + path, {"returnTo": value}, headers=NAVIGATION, allow_redirects=False
    )
    assert_refused(stranger, 400, "return_to_invalid")
    assert "Location" not in stranger.headers
    if path == "/auth/logout":
        url = requests.Request("GET", "http://x" + path, params={"returnTo": value}).prepare().url
        response = bystander.fetch("POST", (url or "").removeprefix("http://x"))
        assert_refused(response, 400, "return_to_invalid")


# ---------------------------------------------------------------- people and programs


@pytest.mark.parametrize(
    ("target", "status", "code"),
    [
        ("/auth/profile", 401, "session_missing"),
        ("/api/x", 401, "session_missing"),
        ("/auth/nothing", 404, "not_found"),
        ("/auth/callback?state=x", 400, "state_invalid"),
        ("/auth/login?returnTo=//evil.test", 400, "return_to_invalid"),
        ("/api/%2e%2e/x", 400, "path_refused"),
    ],
)
def test_promise_10_people_get_a_page_and_programs_get_json(
    cluster: Cluster, target: str, status: int, code: str
) -> None:
    page = requests.get(cluster.url() + target, headers=NAVIGATION, allow_redirects=False)
    assert_refused(page, status, code)
    assert page.headers["Content-Type"].startswith("text/html")
    assert "Reference" in page.text
    for headers in (FETCH, {"X-CSRF": "1"}, {"X-CSRF": "1", "Accept": "*/*"}):
        if "/auth/login" in target or "/auth/callback" in target:
            # A sign-in is a page load; a fetch of it is refused before its parameters are read.
            headers = {name: v for name, v in headers.items() if "Mode" not in name}
            headers = {name: v for name, v in headers.items() if "Dest" not in name}
        response = requests.get(cluster.url() + target, headers=headers, allow_redirects=False)
        assert_refused(response, status, code, login_url=status == 401)

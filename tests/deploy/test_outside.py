"""deploy/nginx: nobody gets at /auth/verify from outside, nor past it by a path or a field."""

from __future__ import annotations

import http.client
from contextlib import closing
from dataclasses import dataclass

import pytest

from tests.deploy.installation import Installation
from tests.gateway.paths import HOSTILE_TARGETS, OTHER_TARGETS
from tests.support.cluster import TIMEOUT_SECONDS

SPELLINGS = (
    "/auth/verify", "/auth/verify?route=/api", "/auth/verify/", "/auth/verify/x", "/auth//verify",
    "//auth/verify", "/auth/./verify", "/auth/x/../verify", "/%61uth/verify", "/auth/%76erify",
    "/auth%2Fverify", "/auth/verif%79?route=/api", "/auth/verify%2f", "/auth/verify%20",
    "/auth/verify;x=1", "/auth/verify%3Froute=/api", "/auth/verify%00", "/AUTH/VERIFY",
    "/auth\\verify", "/auth/verify#x", "/x/..%2fauth/verify", "/auth/%2e/verify",
    "/_verify/api", "/_verify/api?x", "/_verify/./api", "/%5fverify/api", "/_verify//api",
    "/_verify/api/live", "/_verify/", "/x/../_verify/api", "/api/../_verify/api",
    "/api/../auth/verify?route=/api", "/api/..%2fauth/verify",
)  # fmt: skip


@dataclass(frozen=True)
class SignedIn:
    """A browser's fields, and the token that it must never see."""

    fields: tuple[str, ...]
    token: bytes


@pytest.fixture(scope="module")
def browser(here: Installation) -> SignedIn:
    cookie = here.browser().cookie
    fields = (f"Cookie: __Host-Http-session={cookie}", "Sec-Fetch-Site: same-origin")
    return SignedIn(fields, here.issued_token().encode())


TARGETS = HOSTILE_TARGETS | OTHER_TARGETS

BY_THE_BFF = frozenset(
    {"fragment", "fragment and dots", "encoded prefix", "encoded slash after the prefix"}
)
"""Refused by /auth/verify; the BFF's server then makes something of them that passes."""

ALL_THAT_NGINX_SAYS = (
    "X-Original-Method: GET", "X-Original-URI: /api/items", "X-Forwarded-Method: GET",
    "X-Forwarded-Uri: /api/items", "X-Forwarded-For: 127.0.0.1",
)  # fmt: skip


@pytest.mark.parametrize("target", SPELLINGS)
def test_promise_1_verify_cant_be_reached_from_outside(
    here: Installation, browser: SignedIn, target: str
) -> None:
    fields = (*browser.fields, *ALL_THAT_NGINX_SAYS)
    for key in ((), ("X-Forward-Auth-Key: ",), ("X-Forward-Auth-Key: " + "k" * 64,)):
        status, received = here.raw(target, *fields, *key)
        assert status in (308, 400, 403, 404), received[:300]
        assert browser.token not in received
        head = received.partition(b"\r\n\r\n")[0].lower()
        assert b"authorization" not in head
        assert b"x-bff-code" not in head, "the question was put to the BFF"


def test_promise_1_not_even_with_the_key(here: Installation, browser: SignedIn) -> None:
    """nginx takes it from whoever sends it."""
    fields = (*browser.fields, *ALL_THAT_NGINX_SAYS, f"X-Forward-Auth-Key: {here.key}")
    for target in SPELLINGS:
        status, received = here.raw(target, *fields)
        assert status in (308, 400, 403, 404), received[:300]
        assert browser.token not in received


def test_promise_1_the_api_cant_make_nginx_ask_and_tell(
    here: Installation, browser: SignedIn
) -> None:
    """`X-Accel-Redirect` reaches internal locations, if it is obeyed."""
    here.api.answers["/turn"] = (
        b"HTTP/1.1 200 OK\r\nX-Accel-Redirect: /_verify/api\r\nContent-Length: 2\r\n\r\nok"
    )
    status, received = here.raw("/api/turn", *browser.fields)
    assert (status, received[-2:]) == (200, b"ok")
    assert browser.token not in received


def test_from_beside_nginx_the_bff_refuses_who_lacks_the_key(
    here: Installation, browser: SignedIn
) -> None:
    fields = dict(f.split(": ", 1) for f in (*browser.fields, *ALL_THAT_NGINX_SAYS))
    with closing(
        http.client.HTTPConnection("127.0.0.1", here.cluster.ports[0], timeout=TIMEOUT_SECONDS)
    ) as bff:
        for key, status in ((here.key, 204), (here.key[:-1] + "x", 403), ("", 403)):
            headers = fields | {"X-Forward-Auth-Key": key}
            bff.request("GET", "/auth/verify?route=/api", headers=headers)
            answer = bff.getresponse()
            answer.read()
            assert answer.status == status
            assert (answer.headers["Authorization"] is not None) == (status == 204)


@pytest.mark.parametrize("target", ["/api/../admin", "/api/%2e%2e/admin", "/api//x", "/api/a\\b"])
def test_promise_9_a_forged_original_uri_is_overwritten(
    here: Installation, browser: SignedIn, target: str
) -> None:
    """What is judged is what was asked, whatever else a client says that it asked."""
    seen = len(here.api.seen)
    fields = (*browser.fields, *ALL_THAT_NGINX_SAYS)
    status, _ = here.raw(target, *fields)
    assert status in (400, 404)
    assert len(here.api.seen) == seen
    status, _ = here.raw("/api/items", *fields, "X-Original-URI: /api/../admin")
    assert status == 200
    assert here.api.seen[-1].target == "/items"
    status, _ = here.raw("/api/items", *fields, "X-Original-Method: TRACE", method="DELETE")
    assert (status, here.api.seen[-1].method) == (200, "DELETE")


@pytest.mark.parametrize(("name", "target"), TARGETS.items(), ids=list(TARGETS))
def test_promise_9_no_path_means_something_else_upstream(
    here: Installation, browser: SignedIn, name: str, target: str
) -> None:
    """The targets of docs/paths.md: what reaches the API is what was sent, less the prefix."""
    seen = len(here.api.seen)
    status, _ = here.raw(target, *browser.fields)
    arrived = [one.target for one in here.api.seen[seen:]]
    if arrived:
        assert status == 200
        assert (here.api.seen[-1].fields["via"] == "1.1 nginx") == (name not in BY_THE_BFF)
        sent, _, query = target.partition("/api")[2].partition("#")[0].partition("?")
        if name not in BY_THE_BFF:
            assert arrived == [(sent or "/") + (f"?{query}" if query else "")], name
        path = arrived[0].partition("?")[0]
        assert "//" not in path
        assert "\\" not in path
        assert not {".", ".."} & {part.split(";")[0] for part in path.split("/")}
    else:
        assert status in (400, 403, 404, 414), name

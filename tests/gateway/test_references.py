"""Which references of an upstream become ours, and what is it told for that?"""

from __future__ import annotations

import pytest

from bff.config.route import Route
from bff.gateway.client_address import ClientAddresses
from bff.gateway.references import our_reference
from bff.gateway.request_headers import RequestHeaders
from bff.gateway.response_head import Head
from bff.gateway.response_headers import response_headers

ROUTE = Route(prefix="/api", upstream_urls=("http://api.test:8080/v1",))
OURS = "https://app.test"
ALL_TOLD = Route(prefix="/api", upstream_urls=("http://api.test:8080",))
PART_TOLD = Route(prefix="/shop/v1", upstream_urls=("http://api.test:8080/v1",))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("http://api.test:8080/v1/items/5", "https://app.test/api/items/5"),
        ("HTTP://API.TEST:8080/v1/items/5", "https://app.test/api/items/5"),
        ("//api.test:8080/v1/items/5?a=b#c", "https://app.test/api/items/5?a=b#c"),
        ("/v1/items/5", "https://app.test/api/items/5"),
        ("/v1", "https://app.test/api"),
        ("items/5", "https://app.test/api/a/items/5"),
        ("?page=2", "https://app.test/api/a/b?page=2"),
        ("../c", "https://app.test/api/c"),
        ("/v1/x%2Fy", "https://app.test/api/x%2Fy"),
        ("/v1/\xc3\xa9", "https://app.test/api/%C3%A9"),
        ("https://elsewhere.test/v1/x", "https://elsewhere.test/v1/x"),
        ("http://api.test:9999/v1/x", "http://api.test:9999/v1/x"),
        ("https://app.test/done", "https://app.test/done"),
        ("/admin", ""),
        ("../../../../auth/logout", ""),
        ("http://api.test:8080/other", ""),
        ("/v1evil", ""),
        ("http://[bad", ""),
    ],
)
def test_a_location_at_the_upstream_becomes_ours(given: str, expected: str) -> None:
    assert our_reference(given, ROUTE, OURS, "/v1/a/b?q=1") == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("http://one.test/v1/api/x", f"{OURS}/api/x"),
        ("http://two.test:8080/v1/api/x?a=b#c", f"{OURS}/api/x?a=b#c"),
        ("http://TWO.test:8080/v1/api", f"{OURS}/api"),
        ("/v1/api/y", f"{OURS}/api/y"),
        ("y", f"{OURS}/api/a/y"),
        # Without its port, or with the scheme that we tell: X-Forwarded-Proto.
        ("http://two.test/v1/api/x", f"{OURS}/api/x"),
        ("https://two.test/v1/api/x", f"{OURS}/api/x"),
        ("https://two.test:8080/v1/api/x", f"{OURS}/api/x"),
        ("https://one.test/v1/api/x", f"{OURS}/api/x"),
        ("http://two.test:8081/v1/api/x", "http://two.test:8081/v1/api/x"),
        ("https://one.test/login", "https://one.test/login"),
        ("http://two.test:8080/v1/x", ""),
        ("http://one.test/v1/apix", ""),
        ("/", ""),
    ],
)
def test_a_reference_to_any_address_becomes_ours(given: str, expected: str) -> None:
    urls = ("http://one.test/v1", "http://two.test:8080/v1")
    route = Route(prefix="/api", upstream_urls=urls, strip_prefix=False)
    assert our_reference(given, route, OURS, "/v1/api/a/b?q=1") == expected


ORDERS = Route(prefix="/api/orders", upstream_urls=("http://orders.test:8080/v2",))
FILES = Route(prefix="/v1/files", upstream_urls=("https://files.test/b",))
IPV6 = Route(prefix="/api", upstream_urls=("http://[::1]:8080/v1",))
LETTERS = Route(prefix="/api", upstream_urls=("http://xn--bcher-kva.test./v1",))


@pytest.mark.parametrize(
    ("route", "given", "expected"),
    [
        # Another spelling of the upstream's host.
        (ROUTE, "http://user:password@api.test:8080/v1/x", "/api/x"),
        (ROUTE, "http://API.test.:8080/v1/x", "/api/x"),
        (IPV6, "http://[0:0:0:0:0:0:0:1]:8080/v1/x", "/api/x"),
        (LETTERS, "http://b\xc3\xbccher.test/v1/x", "/api/x"),
        (LETTERS, "http://xn--bcher-kva.test/v1/x", "/api/x"),
        # It believes X-Forwarded-Host, and not X-Forwarded-Proto; or adds its own port.
        (ROUTE, "https://app.test/v1/x?a#b", "/api/x?a#b"),
        (ROUTE, "http://app.test/v1/x", "/api/x"),
        (ROUTE, "https://app.test:8080/v1/x", "/api/x"),
        (ALL_TOLD, "http://app.test/api/x", "/api/x"),
        (ALL_TOLD, "https://app.test:8080/api/x", "/api/x"),
        (ALL_TOLD, "//app.test/done", "/done"),
        (ROUTE, "http://app.test/done", "/done"),
        (ROUTE, "https://app.test/v1/files/x", "/v1/files/x"),
        (ROUTE, "https://app.test:9999/v1/x", "https://app.test:9999/v1/x"),
        # It names the upstream of another route.
        (ROUTE, "http://orders.test:8080/v2/7?a=b", "/api/orders/7?a=b"),
        (ROUTE, "http://orders.test/v2", "/api/orders"),
        (ROUTE, "http://orders.test:8080/v3", "http://orders.test:8080/v3"),
        # A browser may reach it itself.
        (ROUTE, "https://files.test/b/x?signature=1", "https://files.test/b/x?signature=1"),
        (ROUTE, " /v1/x ", "/api/x"),
        (ROUTE, "/v1/%2e%2E/auth/logout", ""),
        (ROUTE, "/v1/x/%2e.", ""),
    ],
)
def test_whoever_of_us_is_meant_a_browser_can_reach_it(
    route: Route, given: str, expected: str
) -> None:
    ours = OURS + expected if expected.startswith("/") else expected
    others = [ORDERS, FILES]
    assert our_reference(given, route, OURS, route.base_path + "/a/b", others) == ours


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("5", "5"),
        (".5;url=/v1/x", f"0;url={OURS}/api/x"),
        ("0;url=/v1/x", f"0;url={OURS}/api/x"),
        ("0; URL='http://api.test:8080/v1/x?a=b'; rest", f"0;url={OURS}/api/x?a=b"),
        ('3, url="x"', f"3;url={OURS}/api/a/x"),
        ("1 https://api.test/v1/y", f"1;url={OURS}/api/y"),
        (" 2.5 ; url = /v1/z", f"2;url={OURS}/api/z"),
        ("0;url=https://elsewhere.test/x", "0;url=https://elsewhere.test/x"),
        ("0;url=", "0"),
        ("0;url=/admin", None),
        ("0;url=javascript:alert(1)", None),
        ("5x", None),
        ("soon", None),
    ],
)
def test_the_address_of_a_refresh_becomes_ours(given: str, expected: str | None) -> None:
    headers = dict(response_headers(Head(200, [("refresh", given)]), ROUTE, OURS, "/v1/a/b"))
    assert headers.get("refresh") == expected


@pytest.mark.parametrize(
    ("route", "target", "given", "expected"),
    [
        (ALL_TOLD, "/a", "/items/5", "/api/items/5"),
        (ALL_TOLD, "/a?u=/api", "/api/items/5", "/api/items/5"),
        (ALL_TOLD, "/a", "https://api.test/api/items/5", "/api/items/5"),
        # The upstream's own paths begin like the prefix.
        (ALL_TOLD, "/api/a", "/api/items/5", "/api/api/items/5"),
        (PART_TOLD, "/v1/a", "/v1/items/5", "/shop/v1/items/5"),
        (PART_TOLD, "/v1/a", "/shop/v1/items/5", "/shop/v1/items/5"),
        (PART_TOLD, "/v1/a", "/other", ""),
        (ROUTE, "/v1/a", "/api/items/5", ""),
    ],
)
def test_a_location_below_the_prefix_that_the_upstream_was_told_is_ours(
    route: Route, target: str, given: str, expected: str
) -> None:
    assert our_reference(given, route, OURS, target) == (OURS + expected if expected else "")


@pytest.mark.parametrize(
    ("route", "prefix"),
    [
        (ALL_TOLD, "/api"),
        (PART_TOLD, "/shop"),
        (ROUTE, None),
        (Route(prefix="/api", upstream_urls=("http://a",), strip_prefix=False), None),
        (Route(prefix="/v1", upstream_urls=("http://a/v1",)), None),
    ],
)
def test_the_upstream_is_told_the_prefix_that_it_must_put_in_front(
    route: Route, prefix: str | None
) -> None:
    writer = RequestHeaders(OURS, ClientAddresses(()), route)
    lines = writer.lines({"HTTP_X_FORWARDED_PREFIX": "/evil"}, "t", "id")
    told = [line for line in lines if str(line).startswith("x-forwarded-prefix")]
    assert told == ([f"x-forwarded-prefix: {prefix}"] if prefix else [])


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("<?page=2>; rel=next", f"<{OURS}/api/a/b?page=2>; rel=next"),
        (
            '<http://api.test:8080/v1/a?p=1,2>; rel="prev"; title="a, <b>" , </v1/c>;rel=last',
            f'<{OURS}/api/a?p=1,2>; rel="prev"; title="a, <b>", <{OURS}/api/c>;rel=last',
        ),
        ("</admin>; rel=up, <https://docs.test/x>; rel=help", "<https://docs.test/x>; rel=help"),
        ("<http://api.test:8080/other>; rel=up", None),
        ("not a link", None),
        (
            '</v1/a>; title="; anchor=x"; Anchor="http://api.test:8080/v1/c#d"; rel=next',
            f'<{OURS}/api/a>; title="; anchor=x"; Anchor="{OURS}/api/c#d"; rel=next',
        ),
        (
            '</v1/a>; anchor="/admin"; rel=x, </v1/b>;anchor=c',
            f'<{OURS}/api/b>;anchor="{OURS}/api/a/c"',
        ),
    ],
)
def test_links_of_the_upstream_become_ours(given: str, expected: str | None) -> None:
    result = response_headers(Head(200, [("link", given)]), ROUTE, OURS, "/v1/a/b?q=1")
    assert dict(result).get("link") == expected


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [
        ("operation-location", "http://api.test:8080/v1/jobs/7", f"{OURS}/api/jobs/7"),
        ("azure-asyncoperation", "http://api.test:8080/other", None),
        ("sourcemap", "x.js.map", f"{OURS}/api/a/x.js.map"),
        (
            "link-template",
            '"http://api.test:8080/v1/{id}{?q*}"; rel="item"; t="a, b", "/admin/{x}"',
            f'"{OURS}/api/{{id}}{{?q*}}"; rel="item"; t="a, b"',
        ),
    ],
)
def test_other_headers_with_references_are_no_exception(
    name: str, given: str, expected: str | None
) -> None:
    result = response_headers(Head(200, [(name, given)]), ROUTE, OURS, "/v1/a/b?q=1")
    assert dict(result).get(name) == expected

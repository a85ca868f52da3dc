"""The longest prefix wins, and a path that may be taken for one of a nested route is refused."""

from __future__ import annotations

import pytest

from bff.config.route import Route
from bff.core.errors import PathRefused
from bff.gateway.route_table import RouteTable


def table(*prefixes: str) -> RouteTable:
    return RouteTable(
        Route(prefix=prefix, upstream_urls=(f"http://upstream{number}",))
        for number, prefix in enumerate(prefixes)
    )


TREE = table("/api", "/files", "/api/orders/old", "/api/orders", "/apix")


@pytest.mark.parametrize(
    ("path", "prefix"),
    [
        ("/api", "/api"), ("/api/", "/api"), ("/api/x", "/api"), ("/api/ordersx", "/api"),
        ("/api/order", "/api"), ("/api/orders", "/api/orders"), ("/api/orders/", "/api/orders"),
        ("/api/orders/7", "/api/orders"), ("/api/orders/older", "/api/orders"),
        ("/api/orders/old", "/api/orders/old"), ("/api/orders/old/7", "/api/orders/old"),
        ("/apix", "/apix"), ("/apix/y", "/apix"), ("/apiy", None), ("/files/x", "/files"),
        ("/file", None), ("/", None), ("", None), ("//api", None), ("/x/api", None),
        ("/API/x", None), ("api", None), ("*", None), ("/api;x/orders", None),
    ],
)  # fmt: skip
def test_the_longest_prefix_wins(path: str, prefix: str | None) -> None:
    found = TREE.find(path)
    assert (found.prefix if found else None) == prefix


def test_a_single_route_is_found_the_same_way() -> None:
    alone = table("/api")
    for path, there in (("/api", 1), ("/api/", 1), ("/api/x", 1), ("/apix", 0), ("/ap", 0)):
        assert bool(alone.find(path)) == there


@pytest.mark.parametrize(
    "path",
    [
        "/api/Orders/7", "/api/ORDERS", "/api/orders;x/7", "/api/orders;/7", "/api/orders.",
        "/api/orders ", "/api/orders./7", "/api/%6frders/7", "/api/%256frders/7", "/api/Orders%3bx",
        "/api/order%c5%bf/7", "/api/order\u00c5\u00bf/7", "/api/orders/OLD/7", "/api/orders/old;x",
    ],
)  # fmt: skip
def test_a_path_that_may_be_taken_for_a_nested_routes_is_refused(path: str) -> None:
    """`/api/Orders` would go to the upstream of `/api`, and bypass what `/api/orders` requires."""
    with pytest.raises(PathRefused):
        TREE.find(path)


def test_it_is_refused_only_where_a_nested_route_exists() -> None:
    for path in ("/files/Orders", "/files/orders;x", "/api/x/Orders", "/apix/Orders"):
        assert TREE.find(path) is not None


def test_the_routes_are_sorted_by_prefix() -> None:
    assert [route.prefix for route in TREE] == [
        "/api", "/api/orders", "/api/orders/old", "/apix", "/files",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("url", "strip", "base"),
    [
        ("http://x", True, ""), ("http://x/", True, ""), ("http://x/v1", True, "/v1"),
        ("http://x", False, "/api"), ("http://x/v1/", False, "/v1/api"),
    ],
)  # fmt: skip
def test_the_base_path_replaces_the_prefix(url: str, strip: bool, base: str) -> None:
    assert Route(prefix="/api", upstream_urls=(url,), strip_prefix=strip).base_path == base

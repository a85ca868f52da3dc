"""Path and framing tricks on real servers: refused, or documented exactly."""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

import pytest

from bff.config.route import Route
from bff.core.errors import PathRefused
from bff.gateway.client_address import ClientAddresses
from bff.gateway.request_target import check_path, upstream_target
from tests.gateway import paths
from tests.gateway.conftest import RunningProxy
from tests.support.raw_upstream import responding
from tests.support.servers import SERVERS

ROUTE = Route(prefix="/api", upstream_urls=("http://api.test:8080/v1",))


@pytest.fixture(scope="module")
def outcomes(running: RunningProxy) -> dict[str, paths.Outcome]:
    """Each request of the tables, tried once on this server."""
    running.raw.script = responding()
    running.raw.drop_connections()
    return paths.measure_at(running.port, running.raw)


def test_there_are_enough_hostile_targets() -> None:
    assert len(paths.HOSTILE_TARGETS) >= 40


def test_nothing_hostile_reaches_the_upstream(outcomes: dict[str, paths.Outcome]) -> None:
    assert {
        n: str(o) for n, o in outcomes.items() if n in paths.HOSTILE_TARGETS and o.forwarded
    } == {}


def test_refusals_are_clear(outcomes: dict[str, paths.Outcome]) -> None:
    assert {o.status for o in outcomes.values()} <= {200, 400, 404, 405, 411, 413, 414, 417, 501}


def test_what_reaches_the_upstream_has_one_meaning(outcomes: dict[str, paths.Outcome]) -> None:
    """Checked independently of the code."""
    for name, outcome in outcomes.items():
        for part in filter(None, outcome.forwarded.split(", ")):
            path = part.split(" ")[1].partition("?")[0]
            assert re.fullmatch(r"/v1(/.*)?", path), name
            decoded = path.encode()
            for _ in range(10):
                decoded = unquote_to_bytes(decoded)
                segments = decoded.replace(b"\\", b"/").split(b"/")
                assert not {b".", b".."} & {s.split(b";")[0] for s in segments}, name
                assert b"//" not in decoded, name
                assert not re.search(rb"[\x00-\x1f\x7f\\]", decoded), name
            assert not ("length" in part and "chunked" in part), name


def test_the_document_says_what_happens(
    proxy: RunningProxy, outcomes: dict[str, paths.Outcome]
) -> None:
    """Written by `python -m tests.gateway.paths`."""
    kind = proxy.server.name.split()[0]
    column = SERVERS.index(kind)
    text = paths.DOCUMENT.read_text("utf-8").partition("\n## Targets\n")[2]
    for name, outcome in outcomes.items():
        expected = str(outcome).replace("|", "\\|")
        rows = [row for row in text.splitlines() if re.match(rf"\| {re.escape(name)}(:| \|)", row)]
        assert len(rows) == 1, name
        cells = re.split(r"(?<!\\) \| ", rows[0].removesuffix(" |"))
        assert cells[-len(SERVERS) :][column] == expected, name


def environ(path: str, raw: str | None = None, query: str = "", **more: str) -> dict[str, str]:
    result = {"REQUEST_METHOD": "GET", "PATH_INFO": path, "QUERY_STRING": query}
    if raw is not None:
        result["RAW_URI"] = raw
    return result | more


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (environ("/api/a/b", "/api/a%2Fb"), "/v1/a%2Fb"),
        (environ("/api/a", "/api/a?b=%zz", "b=%zz"), "/v1/a?b=%zz"),
        (environ("/api/a b"), "/v1/a%20b"),
        (environ("/api/a?b"), "/v1/a%3Fb"),
        (environ("/api/a", query="b=/../"), "/v1/a?b=/../"),
        (environ("/api"), "/v1"),
        (environ("/api/", SERVER_SOFTWARE="Granian", REQUEST_URI="/api/evil"), "/v1/"),
    ],
)
def test_a_target_becomes_the_upstreams(given: dict[str, str], expected: str) -> None:
    assert upstream_target(given, ROUTE) == expected


def test_an_upstream_without_a_path_gets_at_least_a_slash() -> None:
    route = Route(prefix="/api", upstream_urls=("http://a",))
    assert upstream_target(environ("/api"), route) == "/"


@pytest.mark.parametrize(
    ("given", "told", "expected"),
    [
        (environ("/api/a/b;c"), "/api/a%2Fb%3Bc", "/v1/a%2Fb%3Bc"),
        (environ("/api/a;v=1", query="b=%zz"), "/api/a;v=1?b=%zz", "/v1/a;v=1?b=%zz"),
        (environ("/api/a b"), "/api/a%20b", "/v1/a%20b"),
        # A proxy that rewrites the path tells of another one: it isn't believed.
        (environ("/api/a b"), "/other/api/a%20b", "/v1/a%20b"),
        (environ("/api/a", query="b=1"), "/api/a?b=2", "/v1/a?b=1"),
        (environ("/api/a"), "/api/\u20ac", "/v1/a"),
        # The server's own view comes first.
        (environ("/api/a/b", "/api/a/b"), "/api/a%2Fb", "/v1/a/b"),
    ],
)
def test_a_target_that_a_trusted_proxy_tells_counts_if_it_is_what_the_server_shows(
    given: dict[str, str], told: str, expected: str
) -> None:
    assert upstream_target(given, ROUTE, told) == expected


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (environ("/api/a;b"), None),
        (environ("/api/a;b"), "/api/a;c"),
        (environ("/api/a/../b"), "/api/a%2F..%2Fb"),
        (environ("/api/a//b"), "/api/a%2F/b"),
    ],
)
def test_a_path_that_may_have_been_changed_on_the_way_is_refused(
    given: dict[str, str], told: str | None
) -> None:
    with pytest.raises(PathRefused):
        upstream_target(given, ROUTE, told)


def test_only_a_trusted_proxy_tells_the_target() -> None:
    told = {"REMOTE_ADDR": "10.0.0.1", "HTTP_X_ORIGINAL_URI": "/api/a%2Fb"}
    assert ClientAddresses(("10.0.0.1",)).original_target(told) == "/api/a%2Fb"
    assert ClientAddresses(("10.0.0.2",)).original_target(told) is None
    assert ClientAddresses(()).original_target(told) is None


@pytest.mark.parametrize(
    "given",
    [
        environ("/api/a", "/api/b"),
        environ("/api/a", "http://app.test/api/a"),
        environ("/api/a", "/api/a?x=1", "x=2"),
        environ("/api/a", "/other/api/a"),
        environ("/api/a", SCRIPT_NAME="/mounted"),
        environ("/api/a", query="b c"),
        environ("/api/a", query="b\x00"),
        environ("/api/a", query="b\xe9"),
        environ("/api/\xff"),
    ],
)
def test_inconsistent_targets_are_refused(given: dict[str, str]) -> None:
    with pytest.raises(PathRefused):
        upstream_target(given, ROUTE)


@pytest.mark.parametrize("target", paths.HOSTILE_TARGETS.values(), ids=paths.HOSTILE_TARGETS)
def test_a_hostile_target_is_refused_before_anything_else(target: str) -> None:
    """The same targets without a server, which may have refused them itself."""
    path, _, query = target.partition("?")
    decoded = unquote_to_bytes(path.encode("latin-1")).decode("latin-1")
    with pytest.raises(PathRefused):
        upstream_target(environ(decoded, target, query), ROUTE)


@pytest.mark.parametrize("path", ["/api/a%zz", "/api/a%", "/api/a#b", "/api/%u0041", "", "api"])
def test_a_malformed_path_is_refused(path: str) -> None:
    with pytest.raises(PathRefused):
        check_path(path)

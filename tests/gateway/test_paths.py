"""Path and framing tricks on real servers: refused, or documented exactly."""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

import pytest

from bff.config.route import Route
from bff.core.errors import PathRefused
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

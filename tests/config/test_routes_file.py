"""A routes file becomes routes, or all problems with it are reported at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from bff.config import Config, load, routes_to
from bff.config.route import REPEATABLE_METHODS, Route, StepUp
from bff.core.errors import ConfigError
from tests.config.routes_files import GOOD, SECRET, loaded, problems


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "routes.toml"


def only(config: Config) -> Route:
    [route] = config.routes
    return route


# ---------------------------------------------------------------- valid files


@pytest.mark.parametrize("mark", ["", "\ufeff"], ids=["", "Windows"])
def test_a_route_of_two_lines_has_all_defaults(mark: str, file: Path) -> None:
    route = only(
        loaded(file, f'{mark}[[route]]\nprefix = "/orders"\nupstream = "http://orders:80/v1/"')
    )
    assert route == Route(
        prefix="/orders", upstream_urls=("http://orders:80/v1",), request_max_bytes=104_857_600
    )
    assert route.base_path == "/v1"
    assert (route.connect_timeout_seconds, route.answer_timeout_seconds) == (5, 30)


EVERY_KEY = """
[[route]]
prefix = "/api/orders"
upstream = ["https://a.internal/x", "https://b.internal:8443/x"]
strip_prefix = false
methods = ["GET", "POST", "PURGE"]
repeatable_methods = ["GET", "PURGE"]
connect_timeout_seconds = 2
answer_timeout_seconds = 3.5
request_max_bytes = 0
token = "exchange"
audience = "https://orders.example.com"
scope = "read:orders write:orders"
client_id = "the-orders-client"
client_secret_env = "BFF_ORDERS_SECRET"
subject_token_type = "urn:example:session"
acr_values = ["phr", "mfa"]
max_age_seconds = 300
forward_auth = true
websocket = true
code = true

[[route]]
prefix = "/other"
upstream = "http://other"
request_headers = ["Accept", "X-Tenant", "Content-Type"]
request_cookies = ["tenant"]
answer_cookies = ["XSRF-TOKEN", "__Secure-a"]
forward_auth = false
"""


def test_every_key_is_used(file: Path) -> None:
    route, other = loaded(file, EVERY_KEY, BFF_ORDERS_SECRET=SECRET).routes
    assert route.origins == (("https", "a.internal", 443), ("https", "b.internal", 8443))
    assert route.base_path == "/x/api/orders"
    assert route.methods == frozenset({"GET", "POST", "PURGE"})
    assert route.repeatable_methods == {"GET", "PURGE"}
    assert (route.connect_timeout_seconds, route.answer_timeout_seconds) == (2, 3.5)
    assert route.request_max_bytes == 0
    assert other.request_headers == frozenset({"accept", "x-tenant", "content-type"})
    assert other.request_cookies == {"tenant"}
    assert other.answer_cookies == {"XSRF-TOKEN", "__Secure-a"}
    rule = route.token
    assert (rule.mode, rule.audience) == ("exchange", "https://orders.example.com")
    assert (rule.scope, rule.client_id) == ("read:orders write:orders", "the-orders-client")
    assert rule.client_secret is not None
    assert rule.client_secret.get_secret_value() == SECRET
    assert route.step_up == StepUp(acr_values=("phr", "mfa"), max_age_seconds=300)
    assert rule.subject_token_type == "urn:example:session"
    assert (route.forward_auth, route.websocket, route.code) == (True, True, True)
    assert (other.forward_auth, other.websocket, other.code) == (False, False, False)


def test_the_settings_are_the_defaults_of_the_routes(file: Path) -> None:
    route = only(
        loaded(
            file,
            '[[route]]\nprefix = "/x"\nupstream = "http://x"',
            BFF_UPSTREAM_TIMEOUT_SECONDS="4",
            BFF_REQUEST_MAX_BYTES="1000",
        )
    )
    assert (route.connect_timeout_seconds, route.answer_timeout_seconds) == (2, 4)
    assert route.request_max_bytes == 1000
    assert route.repeatable_methods == REPEATABLE_METHODS


def test_the_route_of_bff_api_url_is_added_to_the_files_routes(file: Path) -> None:
    text = '[[route]]\nprefix = "/api/orders"\nupstream = "http://x"'
    config = loaded(file, text, BFF_API_URL="http://api/v1")
    assert [route.prefix for route in config.routes] == ["/api/orders", "/api"]
    alone = load(GOOD | {"BFF_API_URL": "http://api/v1"})
    assert [route.prefix for route in alone.routes] == ["/api"]


def test_the_settings_know_which_variables_hold_secrets(file: Path) -> None:
    text = """
    [[route]]
    prefix = "/x"
    upstream = "http://x"
    token = "client"
    scope = "x"
    client_id = "x"
    client_secret_env = "X_SECRET"
    """
    config = loaded(file, text, X_SECRET=SECRET)
    assert {"X_SECRET", "AUTH0_SECRET", "AUTH0_CLIENT_SECRET"} <= config.secret_variables
    shown = [repr(config), repr(config.routes), str(config.model_dump())]
    assert not any(SECRET in text for text in shown)


# ---------------------------------------------------------------- invalid files


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "has no [[route]] in it"),
        ("route = []", "has no [[route]] in it"),
        ("route = [3]", "route 1: must be a table"),
        ('[route]\nprefix = "/x"', "two pairs of brackets"),
        ("[[route]", "is not TOML"),
        ("a = 1\na = 2", "is not TOML"),
        (b"\xff\xfe", "is not TOML: not UTF-8"),
        (b"\0" * 100, "is not TOML"),
    ],
)
def test_an_invalid_file_is_reported(file: Path, text: str | bytes, says: str) -> None:
    [problem] = problems(file, text)
    assert problem.startswith("BFF_ROUTES_FILE: ")
    assert says in problem


def test_an_unreadable_file_is_reported(tmp_path: Path) -> None:
    for path, says in ((tmp_path / "none", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(ConfigError) as caught:
            load(GOOD | {"BFF_ROUTES_FILE": str(path)})
        assert caught.value.problems == [
            f"BFF_ROUTES_FILE: can't be read: {says}"
            + (" or directory" if says.startswith("No") else "")
        ]


@pytest.mark.parametrize("second", ["/x", "/X"])
def test_two_routes_with_one_prefix_are_reported(file: Path, second: str) -> None:
    one = '[[route]]\nprefix = "/x"\nupstream = "http://x"\n'
    [problem] = problems(file, one + one.replace("/x", second, 1))
    assert problem == (
        f"BFF_ROUTES_FILE: route {second}: prefix: "
        "there is a route /x already; this is number 2"
    )  # fmt: skip


def test_one_client_has_one_secret(file: Path) -> None:
    one = """
    [[route]]
    prefix = "/x"
    upstream = "http://x"
    token = "client"
    scope = "x"
    client_id = "x"
    client_secret_env = "ONE"
    """
    two = one.replace("/x", "/y", 1)
    assert len(loaded(file, one + two, ONE="1").routes) == 2
    [problem] = problems(file, one + two.replace("ONE", "TWO"), ONE="1", TWO="2")
    assert problem.startswith("BFF_ROUTES_FILE: route /y: client_secret_env: is another one")


def test_the_api_may_come_from_one_place_only(file: Path) -> None:
    text = '[[route]]\nprefix = "/api"\nupstream = "http://x"'
    assert [route.prefix for route in loaded(file, text).routes] == ["/api"]
    [problem] = problems(file, text, BFF_API_URL="http://api")
    assert problem == "BFF_ROUTES_FILE: route /api: prefix: BFF_API_URL makes that route already"


def test_one_of_the_two_settings_is_required() -> None:
    with pytest.raises(ConfigError) as caught:
        load(GOOD)
    [problem] = caught.value.problems
    assert problem.startswith("BFF_API_URL: is missing, and so is BFF_ROUTES_FILE")


def test_all_problems_are_reported_at_once(file: Path) -> None:
    text = """
    routes = 1
    [[route]]
    prefix = "/a/"
    upstream = "x"
    [[route]]
    token = "audience"
    metods = ["GET"]
    [[route]]
    prefix = "/b"
    upstream = "http://b"
    token = "none"
    scope = "x"
    """
    found = problems(file, text, APP_BASE_URL="app.example.com", BFF_TYPO="1")
    assert [problem.split(": ")[:3] for problem in found if "ROUTES" in problem] == [
        ["BFF_ROUTES_FILE", "routes", "no such key; route?"],
        ["BFF_ROUTES_FILE", "route /a/", "prefix"],
        ["BFF_ROUTES_FILE", "route /a/", "upstream"],
        ["BFF_ROUTES_FILE", "route 2", "prefix"],
        ["BFF_ROUTES_FILE", "route 2", "upstream"],
        ["BFF_ROUTES_FILE", "route 2", "metods"],
        ["BFF_ROUTES_FILE", "route 2", "audience"],
        ["BFF_ROUTES_FILE", "route /b", "scope"],
    ]
    assert len(found) == 10


# ---------------------------------------------------------------- routes to ourselves


@pytest.mark.parametrize(
    ("app", "upstream"),
    [
        ("https://app.example.com", "https://app.example.com/v1"),
        ("http://localhost:8000", "http://127.0.0.1:8000"),
        ("http://127.0.0.1:8000", "http://[::1]:8000/v1"),
    ],
)
def test_an_api_that_is_this_application_is_reported(app: str, upstream: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(GOOD | {"APP_BASE_URL": app, "BFF_API_URL": upstream})
    [problem] = caught.value.problems
    assert problem == "BFF_API_URL: is this application itself (APP_BASE_URL)"


@pytest.mark.parametrize(
    ("host", "port", "itself"),
    [
        ("127.0.0.1", 8080, True), ("0.0.0.0", 8080, True), ("::", 8080, True),
        ("localhost", 8080, True), ("127.0.0.1", 8081, False), ("10.0.0.1", 8080, False),
    ],
)  # fmt: skip
def test_a_route_to_our_own_listener_is_found(host: str, port: int, itself: bool) -> None:
    config = load(GOOD | {"BFF_API_URL": "http://localhost:8080"})
    assert routes_to(config, host, port) == (["/api"] if itself else [])

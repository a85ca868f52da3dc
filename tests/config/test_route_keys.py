"""Every mistake in a route is reported with its route and key, and without the value."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.config.routes_files import SECRET, problems


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "routes.toml"


# ---------------------------------------------------------------- one key

WRONG: list[tuple[str, str, str]] = [
    ("prefix", '"api"', "must begin with /"),
    ("prefix", '""', "must begin with /"),
    ("prefix", '"/"', "single-page app"),
    ("prefix", '"/x/"', "must not end with /"),
    ("prefix", '"/x//y"', "clean path"),
    ("prefix", '"/x/../y"', "clean path"),
    ("prefix", '"/x/."', "clean path"),
    ("prefix", '"/x."', "clean path"),
    ("prefix", '"/x%2fy"', "clean path"),
    ("prefix", '"/x y"', "clean path"),
    ("prefix", '"/x;a"', "clean path"),
    ("prefix", '"/x?a"', "clean path"),
    ("prefix", '"/ä"', "clean path"),
    ("prefix", '"/x\\n"', "clean path"),
    ("prefix", '"/auth"', "must not be under /auth"),
    ("prefix", '"/auth/x"', "must not be under /auth"),
    ("prefix", '"/Auth"', "must not be under /auth"),
    ("prefix", '"/healthz"', "must not be under /healthz"),
    ("prefix", '"/readyz/x"', "must not be under /readyz"),
    ("prefix", '"/admin"', "must not be under /admin"),
    ("prefix", '"/webhooks/x"', "must not be under /webhooks"),
    ("prefix", "7", "valid string"),
    ("upstream", '"orders:8080"', "http:// or https://"),
    ("upstream", '"ftp://x"', "http:// or https://"),
    ("upstream", '"http://"', "http:// or https://"),
    ("upstream", f'"http://user:{SECRET}@x"', "no user name"),
    ("upstream", '"http://x?a=b"', "no query"),
    ("upstream", '"http://x#a"', "no fragment"),
    ("upstream", '"http://x:99999"', "out of range"),
    ("upstream", '"http://x/a/../b"', "clean path"),
    ("upstream", '"http://x//b"', "clean path"),
    ("upstream", "[]", "must not be empty"),
    ("upstream", "[7]", "list of strings"),
    ("upstream", "7", "list of strings"),
    ("upstream", '["http://a", "http://b?x"]', "address 2: must have no query"),
    ("upstream", '["http://a", "https://b"]', "all http or all https"),
    ("upstream", '["http://a/x", "http://b/y"]', "the same path"),
    ("upstream", '["http://a", "http://A:80/"]', "one address twice"),
    ("upstream", '"https://app.example.com"', "this application itself"),
    ("upstream", '"https://APP.example.com:443/x"', "this application itself"),
    ("upstream", '["https://a", "https://app.example.com"]', "this application itself"),
    ("strip_prefix", '"yes"', "valid boolean"),
    ("strip_prefix", "1", "valid boolean"),
    ("methods", '"GET"', "list of strings"),
    ("methods", "[]", "must not be empty"),
    ("methods", '["get"]', "in capitals: GET"),
    ("methods", '["GET", "GET"]', "twice"),
    ("methods", '["TRACE"]', "TRACE is never forwarded"),
    ("methods", '["connect"]', "CONNECT is never forwarded"),
    ("methods", '["GET POST"]', "names of methods"),
    ("repeatable_methods", '["trace"]', "TRACE is never forwarded"),
    ("connect_timeout_seconds", '"5"', "valid number"),
    ("connect_timeout_seconds", "0", "greater than 0"),
    ("answer_timeout_seconds", "-1", "greater than 0"),
    ("answer_timeout_seconds", "nan", "finite"),
    ("answer_timeout_seconds", "inf", "finite"),
    ("answer_timeout_seconds", "1e9", "less than or equal"),
    ("request_max_bytes", "-1", "greater than or equal to 0"),
    ("request_max_bytes", "1.5", "integer"),
    ("request_max_bytes", '"1 MB"', "integer"),
    ("request_headers", '["Accept", "a b"]', "names of header fields"),
    ("request_headers", '["Cookie"]', "request_cookies"),
    ("request_headers", '["Authorization"]', "authorization never passes"),
    ("request_headers", '["X-Forwarded-For"]', "x-forwarded-for never passes"),
    ("request_headers", '["X-Forwarded-Anything"]', "never passes"),
    ("request_headers", '["Connection"]', "never passes"),
    ("request_headers", '["X-HTTP-Method-Override"]', "never passes"),
    ("request_cookies", '["__Host-Http-session"]', "our own cookie"),
    ("request_cookies", '["__host-http-SESSION"]', "our own cookie"),
    ("request_cookies", '["session"]', "our own cookie"),
    ("request_cookies", '["__Host-login-0123456789abcdef"]', "our own cookie"),
    ("request_cookies", '["a;b"]', "names of cookies"),
    ("answer_cookies", '["session"]', "our own cookie"),
    ("answer_cookies", '["__Host-anything"]', "whole host"),
    ("answer_cookies", '[""]', "names of cookies"),
    ("token", '"usr"', "'user', 'audience'"),
    ("token", "7", "'user', 'audience'"),
    ("audience", '""', "must not be empty"),
    ("scope", '"a  b"', "one blank"),
    ("scope", "[]", "valid string"),
    ("acr_values", "[]", "must not be empty"),
    ("acr_values", '["a b"]', "blanks"),
    ("max_age_seconds", "0", "greater than or equal to 1"),
    ("dpop", '"yes"', "'auto', 'required' or 'never'"),
    ("dpop", '"Required"', "'auto', 'required' or 'never'"),
    ("dpop", "true", "'auto', 'required' or 'never'"),
    ("dpop_url", '"api.example.com"', "http"),
    ("dpop_url", '"https://a/b?q=1"', "query"),
    ("dpop_url", '"https://u:p@a/b"', "no user name"),
    ("dpop_url", '"https://a/../b"', "dot segments"),
    ("forward_auth", "0", "valid boolean"),
    ("websocket", '"on"', "valid boolean"),
    ("code", '"yes"', "valid boolean"),
]


@pytest.mark.parametrize(("key", "value", "says"), WRONG, ids=[f"{k}={v}" for k, v, _ in WRONG])
def test_an_invalid_value_is_reported(file: Path, key: str, value: str, says: str) -> None:
    keys = {"prefix": '"/x"', "upstream": '"http://x"'} | {key: value}
    if key in ("audience", "scope"):
        keys |= {"token": '"client"'}
    text = "[[route]]\n" + "\n".join(f"{name} = {one}" for name, one in keys.items())
    [problem] = problems(file, text)
    assert f": {key}: " in problem
    assert says in problem
    assert problem.startswith("BFF_ROUTES_FILE: route /") or key == "prefix"
    assert SECRET not in problem
    assert problem.isprintable()


@pytest.mark.parametrize("key", ["prefix", "upstream"])
def test_a_missing_key_is_reported(file: Path, key: str) -> None:
    keys = {"prefix": '"/x"', "upstream": '"http://x"'}
    del keys[key]
    text = "[[route]]\n" + "\n".join(f"{name} = {one}" for name, one in keys.items())
    where = "route 1" if key == "prefix" else "route /x"
    assert problems(file, text) == [f"BFF_ROUTES_FILE: {where}: {key}: is missing"]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('metods = ["GET"]', "metods: no such key; methods?"),
        ("STRIP_PREFIX = true", "STRIP_PREFIX: no such key; strip_prefix?"),
        (f'client_secret = "{SECRET}"', "client_secret: no such key; client_secret_env?"),
        ('zzz = "a"', "zzz: no such key"),
    ],
)
def test_an_unknown_key_is_an_error_with_a_suggestion(file: Path, line: str, says: str) -> None:
    text = f'[[route]]\nprefix = "/x"\nupstream = "http://x"\n{line}'
    assert problems(file, text) == [f"BFF_ROUTES_FILE: route /x: {says}"]


# ---------------------------------------------------------------- combinations of keys

COMBINATIONS: list[tuple[str, dict[str, Any]]] = [
    ("token = 'audience'", {"audience": "is missing"}),
    ("token = 'exchange'", {"audience": "so is scope"}),
    ("token = 'client'", {"audience": "so is scope"}),
    ("audience = 'a'", {"audience": 'means nothing with token = "user"'}),
    ("token = 'none'\nscope = 'a'", {"scope": 'means nothing with token = "none"'}),
    ("token = 'optional'\naudience = 'a'", {"audience": "means nothing"}),
    (
        "token = 'audience'\naudience = 'a'\nclient_id = 'a'\nclient_secret_env = 'THERE'",
        {"client_id": "means nothing", "client_secret_env": "means nothing"},
    ),
    (
        "token = 'client'\nscope = 'a'\nclient_id = 'a'",
        {"client_secret_env": "goes together with it"},
    ),
    (
        "token = 'exchange'\nscope = 'a'\nclient_secret_env = 'THERE'",
        {"client_id": "goes together with it"},
    ),
    (
        "token = 'exchange'\nscope = 'a'\nclient_id = 'a'\nclient_secret_env = 'NOT_THERE'",
        {"client_secret_env": "variable NOT_THERE is not set"},
    ),
    (
        "token = 'exchange'\nscope = 'a'\nclient_id = 'a'\nclient_secret_env = 'EMPTY'",
        {"client_secret_env": "variable EMPTY is not set"},
    ),
    (
        f"token = 'exchange'\nscope = 'a'\nclient_id = 'a'\nclient_secret_env = '{SECRET}'",
        {"client_secret_env": "the NAME of an environment variable"},
    ),
    ("token = 'none'\nacr_values = ['a']", {"acr_values": "asks for no session"}),
    ("token = 'optional'\nmax_age_seconds = 5", {"max_age_seconds": "asks for no session"}),
    (
        "methods = ['GET']\nrepeatable_methods = ['PUT']",
        {"repeatable_methods": "that methods does not allow"},
    ),
    (
        "connect_timeout_seconds = 5\nanswer_timeout_seconds = 5",
        {"connect_timeout_seconds": "must be less than answer_timeout_seconds"},
    ),
    ("forward_auth = false\nwebsocket = true", {"websocket": "means nothing"}),
    ("dpop = 'required'", {"dpop": "can't be required while BFF_DPOP is off"}),
    ("dpop = 'never'", {"dpop": "the session's own token is bound or isn't"}),
    ("token = 'optional'\ndpop = 'never'", {"dpop": "the session's own token is bound or isn't"}),
    ("token = 'none'\ndpop = 'auto'", {"dpop": "the upstream gets no token"}),
    ("token = 'none'\ndpop_url = 'https://a'", {"dpop_url": "the upstream gets no token"}),
    (
        "token = 'client'\nscope = 'a'\ndpop = 'never'\ndpop_url = 'https://a'",
        {"dpop_url": 'means nothing with dpop = "never"'},
    ),
    ("request_headers = []\nwebsocket = true", {"websocket": "means nothing with request_headers"}),
    ("answer_cookies = ['a']\nwebsocket = true", {"websocket": "with answer_cookies"}),
    (
        "token = 'exchange'\nscope = 'a'\nclient_id = 'client'\nclient_secret_env = 'THERE'",
        {"client_id": "is our own client"},
    ),
    (
        "token = 'client'\nscope = 'a'\nsubject_token_type = 'urn:x'",
        {"subject_token_type": "means nothing"},
    ),
    ("token = 'exchange'\nscope = 'a'\nsubject_token_type = 'x'", {"subject_token_type": "a URI"}),
]


@pytest.mark.parametrize(
    ("lines", "expected"), COMBINATIONS, ids=[line for line, _ in COMBINATIONS]
)
def test_invalid_combinations_of_keys_are_reported(
    file: Path, lines: str, expected: dict[str, str]
) -> None:
    text = f'[[route]]\nprefix = "/x"\nupstream = "http://x"\n{lines}'
    found = problems(file, text, THERE="there", EMPTY="")
    assert len(found) == len(expected)
    for problem, (key, says) in zip(found, expected.items(), strict=True):
        assert problem.startswith(f"BFF_ROUTES_FILE: route /x: {key}: ")
        assert says in problem
        assert SECRET not in problem

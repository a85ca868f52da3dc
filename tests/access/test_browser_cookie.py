"""By which cookies is a browser known, and which are only made to look like one?"""

from __future__ import annotations

import pytest
from flask import Flask, Request, Response
from werkzeug.test import EnvironBuilder

from bff.access.browser_cookie import IDS_MAX, BrowserCookie
from bff.config import Config
from tests.support.bench import config_for
from tests.support.redis_server import RedisServer


@pytest.fixture
def config(redis_server: RedisServer, redis_prefix: str) -> Config:
    return config_for(redis_server, redis_prefix)


def cookie_of(browser: BrowserCookie, browser_id: str) -> str:
    """Name and value, as the browser sends them back."""
    return written(browser, browser_id).partition(";")[0]


def written(browser: BrowserCookie, browser_id: str) -> str:
    response = Response()
    with Flask(__name__).test_request_context():
        browser.set(response, browser_id)
    return response.headers["Set-Cookie"]


def request_with(*cookies: str) -> Request:
    return Request(EnvironBuilder(headers=[("Cookie", "; ".join(cookies))]).get_environ())


def test_several_ids_are_found_among_other_cookies(config: Config) -> None:
    browser = BrowserCookie(config)
    ids = sorted(browser.new_id() for _ in range(3))
    sent = ["city=Zürich", *(cookie_of(browser, one) for one in reversed(ids)), "a=b"]
    assert browser.ids(request_with(*sent)) == ids


@pytest.mark.parametrize(
    "change",
    [
        lambda name, value: f"{name}0={value}",
        lambda name, value: f"{name}={value[:-1]}",
        lambda name, value: f"{name}={'A' * 43}",
        lambda name, value: f"{name}=",
        lambda name, value: f"{name.removeprefix('__Host-')}={value}",
    ],
    ids=["another name", "cut off", "another's value", "empty", "without the prefix"],
)
def test_what_only_looks_like_an_id_is_ignored(config: Config, change: object) -> None:
    browser = BrowserCookie(config)
    name, _, value = cookie_of(browser, browser.new_id()).partition("=")
    assert callable(change)
    assert browser.ids(request_with(change(name, value))) == []


def test_a_flood_of_ids_is_bounded(config: Config) -> None:
    browser = BrowserCookie(config)
    sent = [cookie_of(browser, browser.new_id()) for _ in range(IDS_MAX + 10)]
    assert len(browser.ids(request_with(*sent))) == IDS_MAX


@pytest.mark.parametrize(("persistent", "max_age"), [("true", "Max-Age=604800"), ("false", "")])
def test_it_lasts_as_long_as_the_session_cookie(
    redis_server: RedisServer, redis_prefix: str, persistent: str, max_age: str
) -> None:
    config = config_for(redis_server, redis_prefix, BFF_SESSION_PERSISTENT=persistent)
    header = written(BrowserCookie(config), "A" * 43)
    assert ("Max-Age" in header, max_age in header) == (bool(max_age), True)
    for attribute in ("Secure", "HttpOnly", "Path=/", "SameSite=Lax"):
        assert attribute in header

"""The application in docs/embedding.md, run as it stands there."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from flask import Flask, Response
from flask.testing import FlaskClient

import bff
from bff.core.signals import BY_EVENT
from tests.support.embedding import (
    CROSS_SITE,
    SAME_ORIGIN,
    MakeApplication,
    application_for,
    bff_receiver,
    sign_in_at,
)
from tests.support.fake_provider import FakeProvider, Reply
from tests.support.receiver import Receiver

__all__ = ["application_for", "bff_receiver"]

DOCUMENT = Path(__file__).resolve().parents[2] / "docs/embedding.md"
KEY = {"Authorization": "Bearer stock-key"}


@pytest.fixture
def shop(
    fake: FakeProvider,
    bff_receiver: Receiver,
    application_for: MakeApplication,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Flask]:
    """`shop.create()`."""
    [source] = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    module = ModuleType("shop")
    monkeypatch.setattr(bff, "create_app", lambda _config, **options: application_for(**options))
    monkeypatch.setenv("SHOP_ORDERS_URL", f"{fake.issuer}orders")
    monkeypatch.setenv("SHOP_STOCK_KEY", "stock-key")
    fake.says("/orders", lambda: Reply({}))
    exec(compile(source, str(DOCUMENT), "exec"), vars(module))
    made: Flask = module.create(bff_receiver.config)
    yield made
    bff.session_ended.disconnect(module.note_end)
    assert not any(signal.receivers for signal in BY_EVENT.values())


def signed_in(shop: Flask, fake: FakeProvider) -> FlaskClient:
    browser = shop.test_client()
    claims = {"https://example.com/tenant": "acme"}
    assert sign_in_at(fake, browser, **claims).status_code == 303
    return browser


def post(browser: FlaskClient, path: str, **more: Any) -> Any:
    return browser.post(path, **{"headers": SAME_ORIGIN} | more)


def test_from_the_cart_to_the_order(shop: Flask, fake: FakeProvider) -> None:
    browser = signed_in(shop, fake)
    assert post(browser, "/cart", json={"item": "tea"}).json == {"items": ["tea"]}
    assert post(browser, "/cart", json={"item": "milk"}).json == {"items": ["tea", "milk"]}
    assert post(browser, "/order").json == {"ordered": True}
    [asked] = [one for one in fake.asked if one.path == "/orders"]
    assert {name.lower(): value for name, value in asked.headers.items()}["authorization"] == (
        "Bearer the-access-token"
    )
    assert browser.get("/cart", headers=SAME_ORIGIN).json == {"items": []}


def test_an_order_that_fails_keeps_the_cart(shop: Flask, fake: FakeProvider) -> None:
    browser = signed_in(shop, fake)
    post(browser, "/cart", json={"item": "tea"})
    fake.says("/orders", lambda: Reply({}, 503))
    assert post(browser, "/order").status_code == 500
    assert browser.get("/cart", headers=SAME_ORIGIN).json == {"items": ["tea"]}


def test_who_may_do_what(shop: Flask, fake: FakeProvider) -> None:
    browser = signed_in(shop, fake)
    assert browser.get("/about", headers=SAME_ORIGIN).json == {
        "shop": "Corner shop", "hello": "Dana",
    }  # fmt: skip
    stranger = shop.test_client()
    assert stranger.get("/about", headers=CROSS_SITE).status_code == 200
    assert stranger.get("/cart", headers=SAME_ORIGIN).status_code == 401
    for path in ("/cart", "/order"):
        assert post(browser, path, headers=CROSS_SITE).status_code == 403
    assert post(stranger, "/hooks/stock", headers=KEY).json == {"noted": True}
    assert post(stranger, "/hooks/stock", headers={}).status_code == 401


def test_the_end_is_noted(
    shop: Flask, fake: FakeProvider, caplog: pytest.LogCaptureFixture
) -> None:
    browser = signed_in(shop, fake)
    with caplog.at_level(logging.INFO, "shop"):
        post(browser, "/auth/logout", headers=SAME_ORIGIN | {"X-CSRF": "1"})
    assert "a session ended: logout" in caplog.text
    assert browser.get("/cart", headers=SAME_ORIGIN).status_code == 401


def test_what_the_fast_path_leaves_out(shop: Flask, fake: FakeProvider) -> None:
    seen: list[str] = []
    shop.before_request(lambda: seen.append("before"))

    @shop.after_request
    def after(response: Response) -> Response:
        seen.append("after")
        return response

    browser = signed_in(shop, fake)
    seen.clear()
    browser.get("/api/x", headers=SAME_ORIGIN)
    assert seen == ["after"]
    browser.get("/about", headers=SAME_ORIGIN)
    assert seen == ["after", "before", "after"]

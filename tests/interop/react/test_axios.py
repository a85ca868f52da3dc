"""axios with `report(response)` as docs/spa.md says, in an app that was built, in Chromium."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.stub import Stub, serve
from tests.interop.react.template import build, document_block, from_document

WAIT_MS = 20_000
APP = """
import { useEffect, useState } from "react";
import { profile, session } from "/auth/client.js";
import { api } from "./api";

const told: unknown[] = [];
for (const type of ["session-ended", "session-changed", "session-began", "step-up-required"]) {
  session.addEventListener(type, (event) => told.push([type, (event as CustomEvent).detail]));
}
Object.assign(window, { api, told });

export default function App() {
  const [name, setName] = useState("");
  useEffect(() => void profile().then((me) => setName(me?.user.name ?? "nobody")), []);
  return <p>{name}</p>;
}
"""
CALL = """([method, url, options]) => api.request({ method, url, ...options }).then(
    ({ status }) => [status, null],
    (error) => [error.response?.status ?? null, error.code])"""
KINDS = [
    {"adapter": "xhr", "responseType": kind} for kind in ("json", "text", "blob", "arraybuffer")
]
KINDS += [{"adapter": "fetch", "responseType": "json"}]


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = from_document(tmp_path_factory.mktemp("axios") / "app")
    (folder / "src/api.ts").write_text(document_block("ts", "axios.create"))
    (folder / "src/App.tsx").write_text(APP)
    return build(folder)


@pytest.fixture
def stub(app: Path) -> Iterator[Stub]:
    with serve(Stub(spa_dir=app, signed_in=True)) as stub:
        yield stub


def opened(browser: Browser, stub: Stub) -> Page:
    page = browser.new_context().new_page()
    page.goto(stub.origin)
    expect(page.get_by_text("Dana Demo")).to_be_visible(timeout=WAIT_MS)
    return page


@pytest.fixture
def page(browser: Browser, stub: Stub) -> Iterator[Page]:
    page = opened(browser, stub)
    yield page
    page.context.close()


def call(page: Page, method: str, url: str, **options: Any) -> list[Any]:
    """The status, and axios's own code of an error."""
    return list(page.evaluate(CALL, [method, url, options]))


def names(page: Page) -> list[str]:
    """The events that the page was told."""
    return list(page.evaluate("told.map(([type]) => type)"))


def test_a_success_and_other_errors_tell_nothing(page: Page, stub: Stub) -> None:
    assert call(page, "get", "/items") == [200, None]
    assert call(page, "get", "/nothing") == [404, "ERR_BAD_REQUEST"]
    stub.failing_status = 503
    assert call(page, "get", "/items") == [503, "ERR_BAD_RESPONSE"]
    page.route("**/api/items", lambda route: route.abort())
    assert call(page, "get", "/items") == [None, "ERR_NETWORK"]
    assert names(page) == []
    assert stub.asked("GET", "/api/items") == ["1", "1"]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: "-".join(kind.values()))
def test_an_ended_session_is_told_once(page: Page, stub: Stub, kind: dict[str, str]) -> None:
    stub.signed_in = False
    for _ in range(2):
        assert call(page, "get", "/items", **kind) == [401, "ERR_BAD_REQUEST"]
    assert page.evaluate("told") == [["session-ended", {"reason": "session_ended"}]]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: "-".join(kind.values()))
def test_a_step_up_is_told_with_its_address(page: Page, stub: Stub, kind: dict[str, str]) -> None:
    assert call(page, "post", "/transfer", **kind) == [401, "ERR_BAD_REQUEST"]
    [[event, detail]] = page.evaluate("told")
    assert event == "step-up-required"
    assert detail["login_url"].startswith("/auth/login?acr_values=urn%3Ademo%3Astrong&max_age=300")
    assert detail["login_url"].endswith("&returnTo=%2F")


def test_a_write_for_another_session_tells_who_is_there(page: Page, stub: Stub) -> None:
    stub.session_id, stub.user = "s2", {"sub": "auth0|bob", "name": "Bob"}
    told = call(page, "post", "/items", data={"title": "Tea"}, headers={"X-BFF-Session": "s1"})
    assert told == [409, "ERR_BAD_REQUEST"]
    page.wait_for_function("() => told.length === 1")
    [[event, detail]] = page.evaluate("told")
    assert (event, detail["profile"]["user"]["name"]) == ("session-changed", "Bob")
    assert detail["same_user"] is False
    assert stub.items == []


@pytest.mark.parametrize("adapter", ["xhr", "fetch"])
def test_another_servers_401_tells_nothing(browser: Browser, app: Path, adapter: str) -> None:
    policy = "default-src 'self'; connect-src 'self' https://elsewhere.test"
    with serve(Stub(spa_dir=app, signed_in=True, csp=policy)) as stub:
        page = opened(browser, stub)
        page.route("https://elsewhere.test/**", lambda route: route.fulfill(
            status=401, body='{"code": "session_ended"}',
            content_type="application/problem+json",
            headers={"Access-Control-Allow-Origin": "*"},
        ))  # fmt: skip
        elsewhere = {"baseURL": "https://elsewhere.test", "headers": {"X-CSRF": None}}
        told = call(page, "get", "/items", adapter=adapter, **elsewhere)
        assert told == [401, "ERR_BAD_REQUEST"]
        assert names(page) == []
        page.context.close()

"""`apiJSON()` and `report()` of `/auth/client.js` in a real browser: errors for libraries."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route

from tests.browser.stub import Stub, serve

LOAD = """async () => {
    window.client = await import("/auth/client.js");
    window.events = [];
    for (const name of ["session-ended", "session-changed", "step-up-required"])
        client.session.addEventListener(name, (event) => events.push(name));
    // What axios makes of a response, by its responseType.
    window.axios = async (path, type = "json") => {
        const request = new XMLHttpRequest();
        request.open("GET", path);
        request.responseType = type === "json" ? "text" : type;
        const done = new Promise((resolve) => request.addEventListener("loadend", resolve));
        request.send();
        await done;
        const headers = { "content-type": request.getResponseHeader("content-type") };
        let data = request.response;
        if (type === "json") try { data = JSON.parse(data); } catch { /* it stays text */ }
        return { status: request.status, headers, data, request, config: { url: path } };
    };
}"""
MEMBERS = """e => [e.constructor.name, e.status, e.code, e.title ?? null, e.detail ?? null,
    e.login_url, e.retry_after_seconds, e.message]"""
ENDED = {"code": "session_ended"}
STEP_UP = {"code": "sign_in_required", "login_url": "/auth/login"}


@pytest.fixture
def stub() -> Iterator[Stub]:
    with serve(Stub(spa_dir=None, signed_in=True)) as stub:
        yield stub


@pytest.fixture
def page(browser: Browser, stub: Stub) -> Iterator[Page]:
    context = browser.new_context()
    context.set_default_timeout(20_000)
    page = context.new_page()
    page.goto(f"{stub.origin}/?tab=1")
    page.evaluate(LOAD)
    page.evaluate("client.profile()")
    yield page
    context.close()


def answer(
    page: Page, status: int, body: Any, media_type: str, path: str = "/api/any", **headers: str
) -> None:
    """Let *path* answer so."""
    text = body if isinstance(body, str) else json.dumps(body)

    def fulfil(route: Route) -> None:
        route.fulfill(status=status, body=text, headers={"content-type": media_type} | headers)

    page.route(f"**{path}", fulfil)


def thrown(page: Page) -> Any:
    return page.evaluate(f"client.apiJSON('/api/any').then(v => ['value', v], {MEMBERS})")


@pytest.mark.parametrize(
    ("status", "body", "value"),
    [(200, {"a": [1]}, {"a": [1]}), (200, "null", None), (200, "0", 0), (204, "", None),
     (200, "", None), (201, '"x"', "x")],
)  # fmt: skip
def test_a_success_is_its_value(page: Page, status: int, body: Any, value: Any) -> None:
    answer(page, status, body, "application/json")
    assert thrown(page) == ["value", value]


@pytest.mark.parametrize(
    ("status", "body", "media_type", "headers", "members"),
    [
        (503, {"code": "store_unavailable", "title": "Later.", "detail": "Soon."},
         "application/problem+json", {"retry-after": "7"},
         [503, "store_unavailable", "Later.", "Soon.", None, 7, "Soon."]),
        (401, STEP_UP, "application/problem+json; charset=utf-8", {},
         [401, "sign_in_required", None, None, "/auth/login?returnTo=%2F%3Ftab%3D1", None,
          "The answer was HTTP 401."]),
        (403, {"code": 7, "title": {"a": 1}, "detail": [], "login_url": "https://evil.test/auth/login"},
         "application/problem+json", {"retry-after": "Fri, 31 Dec 1999 23:59:59 GMT"},
         [403, "unknown", None, None, None, None, "The answer was HTTP 403."]),
        (403, {"login_url": "http://["}, "application/problem+json", {},
         [403, "unknown", None, None, None, None, "The answer was HTTP 403."]),
        (500, "<h1>no</h1>", "text/html", {},
         [500, "unknown", None, None, None, None, "The answer was HTTP 500."]),
        (400, "[1]", "application/problem+json", {},
         [400, "unknown", None, None, None, None, "The answer was HTTP 400."]),
        (422, {"detail": "Too many.", "code": "session_ended", "login_url": "/auth/login"},
         "application/json", {},
         [422, "unknown", None, "Too many.", None, None, "Too many."]),
        (400, {"code": "out_of_stock"}, "Application/Problem+JSON", {},
         [400, "out_of_stock", None, None, None, None, "The answer was HTTP 400."]),
        (200, "<h1>the app</h1>", "text/html", {},
         [200, "not_json", None, "The answer is not JSON.", None, None, "The answer is not JSON."]),
    ],
    ids=["outage", "step-up", "odd", "odd-address", "page", "no-object", "json", "letters",
         "page-for-json"],
)  # fmt: skip
def test_everything_else_is_thrown(
    page: Page,
    status: int,
    body: Any,
    media_type: str,
    headers: dict[str, str],
    members: list[Any],
) -> None:
    answer(page, status, body, media_type, **headers)
    assert thrown(page) == ["ProblemError", *members]


def test_what_an_api_says_in_json_of_its_own_is_kept(page: Page) -> None:
    """FastAPI's details of a refused form, for example."""
    said = {"detail": [{"loc": ["body", "age"], "msg": "too young"}]}
    answer(page, 422, said, "application/json")
    assert page.evaluate("client.apiJSON('/api/any').catch(e => e.problem)") == said


@pytest.mark.parametrize(
    ("status", "body", "media_type", "code"),
    [(200, "<h1>the app</h1>", "text/html", "not_json"), (200, "", "text/html", "not_json"),
     (200, "null", "application/json", "unknown"), (200, {}, "application/json", "unknown"),
     (401, "<h1>a proxy's</h1>", "text/html", "unknown")],
)  # fmt: skip
@pytest.mark.parametrize("call", ["profile", "logout"])
def test_an_answer_of_somebody_else_is_no_end_and_no_logout(
    page: Page, call: str, status: int, body: Any, media_type: str, code: str
) -> None:
    """A dev server without its proxy, for example, has a page for every path."""
    before = page.url
    answer(page, status, body, media_type, path=f"/auth/{call}")
    thrown = page.evaluate(f"client.{call}().then(v => ['value', v], {MEMBERS})")
    assert thrown[:3] == ["ProblemError", status, code]
    assert (page.url, page.evaluate("events")) == (before, [])


def test_a_success_of_a_public_route_begins_nothing(page: Page, stub: Stub) -> None:
    """The end is told once, though other calls go on."""
    answer(page, 200, {}, "application/json")
    stub.signed_in = False
    for path in ("/api/items", "/api/any") * 2:
        page.evaluate(f"client.apiFetch('{path}').then(r => r.status)")
    assert page.evaluate("events") == ["session-ended"]


def test_an_ended_session_is_thrown_and_fires_the_event(page: Page, stub: Stub) -> None:
    stub.signed_in = False
    code = page.evaluate("client.apiJSON('/api/items').catch(e => e.code)")
    assert (code, page.evaluate("events")) == ("session_ended", ["session-ended"])


@pytest.mark.parametrize("code", ["device_unproven", "device_unbound"])
def test_a_session_that_is_bound_to_another_browser_is_over_here(page: Page, code: str) -> None:
    for path in ("/api/any", "/auth/profile"):
        problem = {"code": code, "login_url": "/auth/login"}
        answer(page, 401, problem, "application/problem+json", path)
    assert page.evaluate("client.apiJSON('/api/any').catch(e => e.code)") == code
    assert page.evaluate("client.profile()") is None
    assert page.evaluate("events") == ["session-ended"]


@pytest.mark.parametrize("response_type", ["json", "text", "blob", "arraybuffer"])
def test_a_401_of_axios_fires_the_event(page: Page, stub: Stub, response_type: str) -> None:
    stub.signed_in = False
    call = f"axios('/api/items', '{response_type}').then(client.report).then(e => e.code)"
    assert page.evaluate(call) == "session_ended"
    assert page.evaluate(call) == "session_ended"
    assert page.evaluate("events") == ["session-ended"]


@pytest.mark.parametrize(
    ("fetched", "code"),
    [
        ("fetch('/api/items')", "session_ended"),
        ("fetch('/api/items').then(async r => (await r.text(), r))", "unknown"),
    ],
    ids=["unread", "read"],
)
def test_a_401_of_fetch_fires_the_event(page: Page, stub: Stub, fetched: str, code: str) -> None:
    stub.signed_in = False
    assert page.evaluate(f"{fetched}.then(client.report).then(e => e.code)") == code
    assert page.evaluate("events") == ["session-ended"]


def test_the_caller_can_still_read_what_was_reported(page: Page, stub: Stub) -> None:
    stub.signed_in = False
    call = "fetch('/api/items').then(async r => (await client.report(r), (await r.json()).code))"
    assert page.evaluate(call) == "session_ended"


def test_a_step_up_of_axios_has_its_address(page: Page) -> None:
    answer(page, 401, STEP_UP, "application/problem+json")
    call = "axios('/api/any').then(async r => (await client.report(r), client.stepUpURL(r)))"
    assert page.evaluate(call) == "/auth/login?returnTo=%2F%3Ftab%3D1"
    assert page.evaluate("events") == ["step-up-required"]


def test_a_409_of_axios_tells_that_another_user_is_signed_in(page: Page, stub: Stub) -> None:
    answer(page, 409, {"code": "session_changed"}, "application/problem+json")
    stub.session_id, stub.user = "s9", {"sub": "auth0|other"}
    assert page.evaluate("axios('/api/any').then(client.report).then(e => e.code)") == (
        "session_changed"
    )
    assert page.evaluate("events") == ["session-changed"]


@pytest.mark.parametrize("reported", ["undefined", "null", "{}", "new Response('')"])
def test_nothing_happens_without_an_error_response(page: Page, reported: str) -> None:
    """axios has no response where the network failed."""
    assert page.evaluate(f"client.report({reported})") is None
    assert page.evaluate("events") == []


@pytest.mark.parametrize(
    "of", ["request: { responseURL: 'https://api.test/x' }", "url: 'https://api.test/x'",
           "request: { url: 'https://api.test/x' }"]
)  # fmt: skip
def test_a_401_of_another_server_ends_nothing(page: Page, of: str) -> None:
    reported = f"""{{ status: 401, headers: {{ "content-type": "application/problem+json" }},
        data: {{ code: "session_ended" }}, {of} }}"""
    assert page.evaluate(f"client.report({reported})") is None
    assert page.evaluate("events") == []

"""`/auth/client.js` in a real browser: the session, for single-page apps."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import BrowserContext, Page, Route

from tests.browser.stub import Stub, serve

LOAD = """async () => {
    window.client = await import("/auth/client.js");
    window.ends = [];
    client.session.addEventListener("session-ended", (event) => ends.push(event.detail.reason));
}"""

CONTROLLED = """async () => {
    const controlled = new Promise((resolve) =>
        navigator.serviceWorker.addEventListener("controllerchange", resolve));
    await navigator.serviceWorker.register("/sw.js");
    await controlled;
}"""


@pytest.fixture
def stub() -> Iterator[Stub]:
    with serve(Stub(spa_dir=None)) as stub:
        yield stub


def open_tab(context: BrowserContext, stub: Stub, path: str = "/") -> Page:
    page = context.new_page()
    page.goto(stub.origin + path)
    page.evaluate(LOAD)
    return page


@pytest.fixture
def page(context: BrowserContext, stub: Stub) -> Page:
    return open_tab(context, stub)


def run(page: Page, expression: str) -> Any:
    """The value of an expression; a ProblemError as its class, status and code."""
    return page.evaluate(
        f"(async () => {expression})().catch((e) => [e.constructor.name, e.status, e.code])"
    )


# ---------------------------------------------------------------- profile


def test_without_a_session_the_profile_is_null_and_there_is_no_event(page: Page) -> None:
    assert run(page, "client.profile()") is None
    assert run(page, "client.profile()") is None
    assert page.evaluate("ends") == []


def test_every_response_is_read_to_its_end(page: Page, stub: Stub) -> None:
    """Otherwise a page without a session never stops loading."""
    for path, call in (
        ("/auth/profile", "client.profile()"),
        ("/api/items", "client.apiFetch('/api/items').then((r) => r.text())"),
    ):
        with page.expect_event("requestfinished", lambda r: r.url == stub.origin + path):  # noqa: B023
            run(page, call)


def test_the_profile_is_that_of_the_bff(page: Page, stub: Stub) -> None:
    stub.signed_in = True
    profile = run(page, "client.profile()")
    assert profile["user"]["name"] == "Dana Demo"
    assert profile["session"]["idle_seconds_left"] == 86_400
    assert stub.asked("GET", "/auth/profile") == ["1"]


def test_the_idle_time_is_extended_only_on_demand(page: Page, stub: Stub) -> None:
    run(page, "client.profile({ slide: true })")
    assert stub.asked("GET", "/auth/profile?slide=true") == ["1"]
    assert stub.asked("GET", "/auth/profile") == []


def test_an_outage_is_an_error_and_not_a_logout(page: Page, stub: Stub) -> None:
    stub.signed_in = True
    run(page, "client.profile()")
    stub.failing_status = 503
    assert run(page, "client.profile()") == ["ProblemError", 503, "store_unavailable"]
    assert run(page, "client.apiFetch('/api/items').then((r) => r.status)") == 503
    assert page.evaluate("ends") == []


def test_a_lost_profile_ends_the_session_once(page: Page, stub: Stub) -> None:
    stub.signed_in = True
    run(page, "client.profile()")
    stub.signed_in = False
    assert run(page, "client.profile()") is None
    assert run(page, "client.profile()") is None
    assert page.evaluate("ends") == ["session_ended"]


# ---------------------------------------------------------------- login and logout


@pytest.mark.parametrize(
    "address",
    [
        "/?a%20b=c%20d", "/?a+b=1", "/?flag", "/?flag=&flag", "/?q=%c3%BC~'()*!", "/?&&=&", "/?",
        "/#", "/?a#", "/?error=card_declined", "/?error=mine&view=1", "/?error=login_required&v=1",
        "/?x_error=login_required", "/#/list?error=login_required", "/?view=a%26b#part%20two",
    ],
)  # fmt: skip
def test_login_returns_to_the_very_address(
    context: BrowserContext, stub: Stub, address: str
) -> None:
    page = open_tab(context, stub, address)
    before = page.url
    with page.expect_navigation(), page.expect_request("**/auth/login?*") as login:
        page.evaluate("client.login()")
    assert stub.origin + parse_qs(urlsplit(login.value.url).query)["returnTo"][0] == before


@pytest.mark.parametrize(
    ("address", "returned_to"),
    [
        ("/?error=login_required", "/"),
        ("/?a%20b&error=interaction_required#part", "/?a%20b#part"),
        ("/?error=mine&error=sign_in_too_old", "/?error=mine"),
        ("/?a=b&error=cross_site", "/?a=b"),
        ("/?a=b&error=state_invalid", "/?a=b"),
        ("/?error=sign_in_superseded#part", "/#part"),
        ("/?error=mine&error=overloaded", "/?error=mine"),
        ("/?error=id_token_invalid", "/"),
    ],
)
def test_login_leaves_out_the_error_of_a_failed_silent_sign_in(
    context: BrowserContext, stub: Stub, address: str, returned_to: str
) -> None:
    page = open_tab(context, stub, address)
    with page.expect_navigation():
        page.evaluate("client.login()")
    assert page.url == stub.origin + returned_to


def test_login_warns_of_a_service_worker(context: BrowserContext, tmp_path: Path) -> None:
    """It may answer the navigation to `/auth/login` itself."""
    (tmp_path / "index.html").write_text("<!doctype html><title>App</title>")
    (tmp_path / "sw.js").write_text("addEventListener('activate', () => clients.claim());")
    with serve(Stub(spa_dir=tmp_path)) as stub:
        page = open_tab(context, stub)
        warnings: list[str] = []
        page.on("console", lambda m: warnings.append(m.text) if m.type == "warning" else None)
        with page.expect_navigation():
            page.evaluate("client.login()")
        assert warnings == []
        page.evaluate(CONTROLLED)
        page.evaluate(LOAD)
        with page.expect_navigation():
            page.evaluate("client.login()")
        [warning] = warnings
        assert "service worker" in warning


def test_login_passes_its_parameters_on(page: Page, stub: Stub) -> None:
    with page.expect_navigation():
        page.evaluate("client.login({ returnTo: '/', login_hint: 'a&b=c@x', max_age: 0 })")
    path = "/auth/login?returnTo=%2F&login_hint=a%26b%3Dc%40x&max_age=0"
    assert stub.asked("GET", path) == [None]


@pytest.mark.parametrize(
    ("page_at", "returns_to"),
    [
        ("/?session_transfer_token=t&a%20b=c#d", "/?a%20b=c#d"),
        ("/?flag&session_transfer_token=t", "/?flag"),
        ("/?session_transfer_token=t&session_transfer_token=u#d", "/#d"),
        ("/?&&x=session_transfer_token=t", "/?&&x=session_transfer_token=t"),
        ("/#?session_transfer_token=t", "/#?session_transfer_token=t"),
    ],
)
def test_login_passes_a_transfer_token_on_and_comes_back_without_it(
    context: BrowserContext, stub: Stub, page_at: str, returns_to: str
) -> None:
    """A native app has opened a page with it, which signs the user in."""
    page = open_tab(context, stub, page_at)
    for return_to in ("", "returnTo: location.href.slice(location.origin.length),"):
        with page.expect_request("**/auth/login?*") as login:
            page.evaluate(f"client.login({{ {return_to} session_transfer_token: 'a+b/c=' }})")
        asked = parse_qs(urlsplit(login.value.url).query)
        assert asked == {"returnTo": [returns_to], "session_transfer_token": ["a+b/c="]}
        page = open_tab(context, stub, page_at)


@pytest.mark.parametrize("return_to", ["'/'", "null", "undefined"])
def test_login_leaves_out_what_has_no_value(page: Page, stub: Stub, return_to: str) -> None:
    options = f"{{ returnTo: {return_to}, session_transfer_token: null, prompt: undefined }}"
    with page.expect_navigation():
        page.evaluate(f"client.login({options})")
    assert stub.asked("GET", "/auth/login?returnTo=%2F") == [None]


def test_login_refuses_an_unknown_parameter(page: Page, stub: Stub) -> None:
    assert run(page, "client.login({ redirect_uri: 'https://evil.test' })")[0] == "TypeError"
    assert not [path for _, path, _ in stub.requests if path.startswith("/auth/login")]


def test_login_takes_the_parameters_of_the_setting_and_no_others(context: BrowserContext) -> None:
    with serve(Stub(spa_dir=None, login_parameters="kc_idp_hint,hd=example.com")) as stub:
        page = open_tab(context, stub)
        for refused in ("hd", "redirect_uri"):
            assert run(page, f"client.login({{ {refused}: 'x' }})")[0] == "TypeError"
        with page.expect_navigation():
            page.evaluate("client.login({ returnTo: '/', kc_idp_hint: 'x' })")
        assert stub.asked("GET", "/auth/login?returnTo=%2F&kc_idp_hint=x") == [None]


def test_logout_leaves_the_page_and_reaches_the_other_tabs(
    page: Page, context: BrowserContext, stub: Stub
) -> None:
    stub.signed_in = True
    other = open_tab(context, stub)
    for tab in (page, other):
        run(tab, "client.profile()")
    with page.expect_navigation(url="**/?signed-out"):
        page.evaluate("client.logout()")
    assert stub.asked("POST", "/auth/logout") == ["1"]
    other.wait_for_function("() => ends.length > 0")
    assert other.evaluate("ends") == ["signed_out"]


def test_a_failed_logout_throws_and_stays_on_the_page(
    page: Page, context: BrowserContext, stub: Stub
) -> None:
    stub.signed_in = True
    other = open_tab(context, stub)
    stub.failing_status = 503
    assert run(page, "client.logout()") == ["ProblemError", 503, "store_unavailable"]
    assert page.url == f"{stub.origin}/"
    assert other.evaluate("ends") == []


# ---------------------------------------------------------------- fetch


@pytest.mark.parametrize(
    "call",
    [
        "client.apiFetch('/api/items')",
        "client.fetch(new URL('/api/items', location.href))",
        "client.apiFetch(new Request('/api/items', { headers: { 'X-CSRF': '0' } }))",
    ],
    ids=["path", "url", "request"],
)
def test_our_own_addresses_get_the_header(page: Page, stub: Stub, call: str) -> None:
    stub.signed_in = True
    assert run(page, f"{call}.then((r) => r.json())") == {"items": []}
    assert stub.asked("GET", "/api/items") == ["1"]


def test_method_body_and_headers_pass_unchanged(page: Page, stub: Stub) -> None:
    stub.signed_in = True
    init = (
        "{method:'POST', body:'{\"title\":\"Tea\"}', headers:{'Content-Type':'application/json'}}"
    )
    added = run(page, f"client.apiFetch('/api/items', {init}).then((r) => r.json())")
    assert added == {"id": 1, "title": "Tea"}
    assert stub.asked("POST", "/api/items") == ["1"]


def test_another_origin_does_not_get_the_header(context: BrowserContext, stub: Stub) -> None:
    stub.signed_in = True
    with serve(Stub(spa_dir=None, csp="default-src *", signed_in=True)) as other:
        page = open_tab(context, other)
        run(page, f"client.apiFetch('{stub.origin}/api/items', {{ mode: 'no-cors' }})")
    assert stub.asked("GET", "/api/items") == [None]


def test_an_ended_session_is_reported_once_in_every_tab(
    page: Page, context: BrowserContext, stub: Stub
) -> None:
    stub.signed_in = True
    other = open_tab(context, stub)
    for tab in (page, other):
        run(tab, "client.profile()")
    stub.signed_in = False
    code = "client.apiFetch('/api/items').then((r) => r.json()).then((p) => p.code)"
    for _ in range(3):
        assert run(page, code) == "session_ended", "the caller gets the whole response"
    other.wait_for_function("() => ends.length > 0")
    assert page.evaluate("ends") == other.evaluate("ends") == ["session_ended"]

    stub.signed_in = True
    run(page, "client.profile()")
    stub.signed_in = False
    run(page, code)
    assert page.evaluate("ends") == ["session_ended"] * 2


@pytest.mark.parametrize(
    ("body", "media_type"),
    [
        ('{"code": "token_missing"}', "application/problem+json"),
        ('{"code": "session_ended"}', "application/json"),
        ("not json", "application/problem+json"),
    ],
)
def test_a_401_of_the_api_itself_ends_nothing(
    page: Page, stub: Stub, body: str, media_type: str
) -> None:
    def fulfil(route: Route) -> None:
        route.fulfill(status=401, body=body, content_type=media_type)

    stub.signed_in = True
    run(page, "client.profile()")
    page.route("**/api/odd", fulfil)
    assert run(page, "client.apiFetch('/api/odd').then((r) => r.status)") == 401
    assert page.evaluate("ends") == []


def test_nothing_is_stored_in_the_browser(page: Page, stub: Stub) -> None:
    stub.signed_in = True
    run(page, "client.profile()")
    run(page, "client.apiFetch('/api/items')")
    stub.signed_in = False
    run(page, "client.profile()")
    stored = """async () => [document.cookie, localStorage.length, sessionStorage.length,
        (await indexedDB.databases()).length, (await caches.keys()).length]"""
    assert page.evaluate(stored) == ["", 0, 0, 0, 0]


# ---------------------------------------------------------------- step-up
CALL = """client.apiFetch("/api/transfer", { method: "POST" }).then(
    async (response) => [
        response.status, client.stepUpURL(response), (await response.json()).code,
    ])"""
WATCH_STEP_UPS = """() => {
    window.stepUps = [];
    client.session.addEventListener("step-up-required", (event) => stepUps.push(event.detail));
}"""


def test_a_step_up_ends_nothing_and_has_the_address_of_the_sign_in(
    context: BrowserContext, stub: Stub
) -> None:
    stub.signed_in = True
    page = open_tab(context, stub, "/?view=a%26b#part")
    page.evaluate(WATCH_STEP_UPS)
    url = (
        "/auth/login?acr_values=urn%3Ademo%3Astrong&max_age=300"
        "&returnTo=%2F%3Fview%3Da%2526b%23part"
    )
    assert run(page, CALL) == [401, url, "insufficient_user_authentication"]
    asked = {"login_url": url, "acr_values": "urn:demo:strong", "max_age": 300}
    assert page.evaluate("stepUps") == [asked]
    assert page.evaluate("ends") == []
    assert run(page, "client.profile()") is not None
    # Only the app itself goes there.
    assert page.url == f"{stub.origin}/?view=a%26b#part"
    with page.expect_navigation(url=page.url):
        page.evaluate("location.assign(stepUps[0].login_url)")
    page.evaluate(LOAD)
    assert run(page, "client.apiFetch('/api/transfer', {method: 'POST'}).then((r) => r.ok)") is True


def test_a_refresh_that_needs_the_user_fires_the_same_event(
    context: BrowserContext, stub: Stub
) -> None:
    stub.signed_in = True
    stub.step_up_code, stub.step_up_url = "sign_in_required", "/auth/login"
    page = open_tab(context, stub, "/?view=1")
    page.evaluate(WATCH_STEP_UPS)
    url = "/auth/login?returnTo=%2F%3Fview%3D1"
    assert run(page, CALL) == [401, url, "sign_in_required"]
    assert page.evaluate("stepUps.map((one) => one.login_url)") == [url]
    assert page.evaluate("ends") == []
    assert run(page, "client.profile()") is not None


@pytest.mark.parametrize(
    "login_url",
    ["https://evil.test/auth/login", "//evil.test/auth/login", "/evil", "javascript:alert(1)",
     "/auth/login/../../evil", 7, None],
)  # fmt: skip
def test_a_step_up_leads_only_to_the_sign_in(page: Page, stub: Stub, login_url: object) -> None:
    """A response of an API could have the same code."""
    stub.signed_in = True
    stub.step_up_url = login_url
    page.evaluate(WATCH_STEP_UPS)
    assert run(page, CALL) == [401, None, "insufficient_user_authentication"]
    assert page.evaluate("stepUps") == []


def test_a_response_without_a_step_up_has_no_such_address(page: Page, stub: Stub) -> None:
    stub.signed_in = True
    call = "client.apiFetch('/api/nothing').then((response) => client.stepUpURL(response))"
    assert run(page, call) is None

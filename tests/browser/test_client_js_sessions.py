"""`/auth/client.js` in a real browser when the browser's session becomes another one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page

from tests.browser.stub import Stub, serve

LOAD = """async () => {
    window.client = await import("/auth/client.js");
    window.told = [];
    for (const type of ["session-changed", "session-began", "session-ended"]) {
        client.session.addEventListener(type, ({ detail: { profile, reason, same_user } }) =>
            told.push([type, profile?.user.name ?? reason, same_user ?? null]));
    }
}"""
WITHOUT_BROADCASTS = "delete globalThis.BroadcastChannel"
ALICE = {"sub": "auth0|alice", "name": "Alice"}
BOB = {"sub": "auth0|bob", "name": "Bob"}
ADD = """client.apiFetch("/api/items", {
    method: "POST", body: '{"title":"Tea"}', headers: { "Content-Type": "application/json" },
}).then((response) => response.status)"""
ADD_REQUEST = ADD.replace('apiFetch("/api/items", ', 'apiFetch(new Request("/api/items", ').replace(
    "}).then", "})).then"
)
VISIBLE = "document.dispatchEvent(new Event('visibilitychange'))"
TO_BOB = ["session-changed", "Bob", False]


@pytest.fixture
def stub() -> Iterator[Stub]:
    with serve(Stub(spa_dir=None)) as stub:
        be(stub, ALICE, "of-alice")
        yield stub


def be(stub: Stub, user: dict[str, Any] | None, session_id: str = "") -> None:
    """From now on the browser's session is this one."""
    stub.signed_in = user is not None
    stub.user, stub.session_id = dict(user or {}), session_id


def tab(context: BrowserContext, stub: Stub, *, broadcasts: bool = True) -> Page:
    """A tab that shows the present user."""
    page = context.new_page()
    if not broadcasts:
        page.add_init_script(WITHOUT_BROADCASTS)
    page.goto(stub.origin)
    page.evaluate(LOAD)
    page.evaluate("client.profile().then(() => null)")
    return page


def told(page: Page, number: int) -> Any:
    """What the page was told, when it is so much."""
    page.wait_for_function("(number) => told.length >= number", arg=number)
    return page.evaluate("told")


def named(stub: Stub, method: str, path: str) -> list[str | None]:
    return [name for m, p, name in stub.named if (m, p) == (method, path)]


def test_only_a_write_names_the_session(context: BrowserContext, stub: Stub) -> None:
    page = tab(context, stub)
    assert page.evaluate(ADD) == 201
    page.evaluate("client.apiFetch('/api/items').then((r) => r.text())")
    page.evaluate("client.profile()")
    assert named(stub, "POST", "/api/items") == ["of-alice"]
    assert named(stub, "GET", "/api/items") == [None]
    assert set(named(stub, "GET", "/auth/profile")) == {None}
    page.evaluate("fetch('/api/items', { method: 'POST', body: '' })")
    assert named(stub, "POST", "/api/items") == ["of-alice", None]
    with page.expect_navigation(url="**/?signed-out"):
        page.evaluate("client.logout()")
    assert named(stub, "POST", "/auth/logout") == [None]


def test_without_a_profile_no_session_is_named_and_nothing_asked(
    context: BrowserContext, stub: Stub
) -> None:
    page = context.new_page()
    page.goto(stub.origin)
    page.evaluate(LOAD)
    assert page.evaluate(ADD) == 201
    page.evaluate(VISIBLE)
    tab(context, stub)
    page.wait_for_timeout(200)
    assert named(stub, "POST", "/api/items") == [None]
    assert len(named(stub, "GET", "/auth/profile")) == 1
    assert told(page, 0) == []


def test_a_tab_that_shows_alice_does_not_write_as_bob(context: BrowserContext, stub: Stub) -> None:
    page = tab(context, stub, broadcasts=False)
    be(stub, BOB, "of-bob")
    for add in (ADD, ADD_REQUEST):
        be(stub, ALICE, "of-alice")
        page.evaluate("client.profile()")
        be(stub, BOB, "of-bob")
        assert page.evaluate(add) == 409
        assert stub.items == []
    assert [event for event in told(page, 3) if event == TO_BOB] == [TO_BOB] * 2
    assert page.evaluate(ADD) == 201, "now it shows Bob"


@pytest.mark.parametrize("how", ["another tab", "visible again", "profile"])
def test_another_users_session_is_told_once(context: BrowserContext, stub: Stub, how: str) -> None:
    page = tab(context, stub, broadcasts=how == "another tab")
    be(stub, BOB, "of-bob")
    if how == "another tab":
        tab(context, stub)
    elif how == "visible again":
        page.evaluate(VISIBLE)
    else:
        page.evaluate("client.profile()")
    assert told(page, 1) == [TO_BOB]
    page.evaluate(VISIBLE)
    page.evaluate("client.profile()")
    assert told(page, 1) == [TO_BOB]


@pytest.mark.parametrize("how", ["another tab", "visible again", "profile"])
def test_a_session_that_began_is_told(context: BrowserContext, stub: Stub, how: str) -> None:
    be(stub, None)
    page = tab(context, stub, broadcasts=how == "another tab")
    be(stub, BOB, "of-bob")
    if how == "another tab":
        tab(context, stub)
    elif how == "visible again":
        page.evaluate(VISIBLE)
    else:
        page.evaluate("client.profile()")
    assert told(page, 1) == [["session-began", "Bob", None]]


def test_every_tab_is_told_of_a_logout_and_the_next_sign_in(
    context: BrowserContext, stub: Stub
) -> None:
    pages = [tab(context, stub) for _ in range(3)]
    with pages[0].expect_navigation(url="**/?signed-out"):
        pages[0].evaluate("client.logout()")
    be(stub, BOB, "of-bob")
    pages[0].evaluate(LOAD)
    pages[0].evaluate("client.profile().then(() => null)")
    for page in pages[1:]:
        assert told(page, 2) == [
            ["session-ended", "signed_out", None], ["session-began", "Bob", None],
        ]  # fmt: skip


def test_an_end_is_noticed_when_the_tab_is_visible_again(
    context: BrowserContext, stub: Stub
) -> None:
    page = tab(context, stub)
    stub.failing_status = 503
    page.evaluate(VISIBLE)
    stub.failing_status = None
    be(stub, None)
    page.evaluate(VISIBLE)
    assert told(page, 1) == [["session-ended", "session_ended", None]]


def test_a_new_sign_in_of_the_same_user_costs_no_write(context: BrowserContext, stub: Stub) -> None:
    page = tab(context, stub, broadcasts=False)
    be(stub, ALICE, "of-alice-2")
    assert page.evaluate(ADD) == 201
    assert len(stub.items) == 1
    assert named(stub, "POST", "/api/items") == ["of-alice", "of-alice-2"]
    assert told(page, 1) == [["session-changed", "Alice", True]]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"name": "Alice"}, {"name": "Bob"}),
        (ALICE | {"org_id": "org_1"}, ALICE | {"org_id": "org_2"}),
    ],
    ids=["without sub", "another organization"],
)
def test_who_may_be_another_is_another(
    context: BrowserContext, stub: Stub, before: dict[str, Any], after: dict[str, Any]
) -> None:
    be(stub, before, "before")
    page = tab(context, stub, broadcasts=False)
    be(stub, after, "after")
    assert page.evaluate(ADD) == 409
    assert told(page, 1) == [["session-changed", after["name"], False]]
    assert stub.items == []


def test_a_body_that_cannot_be_sent_again_is_not(context: BrowserContext, stub: Stub) -> None:
    page = tab(context, stub, broadcasts=False)
    be(stub, ALICE, "of-alice-2")
    assert page.evaluate(ADD_REQUEST) == 409
    assert stub.items == []
    assert page.evaluate(ADD_REQUEST) == 201


def test_a_conflict_of_the_api_itself_changes_nothing(context: BrowserContext, stub: Stub) -> None:
    """Even with the same code."""
    page = tab(context, stub)
    for media_type in ("application/problem+json", "application/json", "text/plain"):
        page.route("**/api/items", lambda route, media_type=media_type: route.fulfill(
            status=409, body='{"code": "session_changed"}', content_type=media_type
        ))  # fmt: skip
        assert page.evaluate(ADD) == 409
    assert told(page, 0) == []


def test_a_new_key_of_the_bff_is_no_new_session(context: BrowserContext, stub: Stub) -> None:
    """It changes the id (`Sessions.public_id`) and not when the session began."""
    page = tab(context, stub)
    page.route("**/auth/profile", lambda route: route.fulfill(json={
        "user": ALICE, "session": {"id": stub.session_id, "created_at": 1_700_000_000},
    }))  # fmt: skip
    be(stub, ALICE, "named-1")
    page.evaluate("client.profile()")
    be(stub, ALICE, "named-2")
    page.evaluate("client.profile()")
    assert told(page, 1) == [["session-changed", "Alice", True]], "once, from the first to the next"
    assert page.evaluate(ADD) == 201


def test_a_late_response_does_not_bring_the_earlier_user_back(
    context: BrowserContext, stub: Stub
) -> None:
    page = tab(context, stub, broadcasts=False)
    late = page.evaluate(LATE_PROFILE)
    assert late == "Alice"
    assert told(page, 0) == []
    be(stub, BOB, "of-bob")
    late = page.evaluate("lateProfile(() => client.profile()).then((me) => me.user.name)")
    assert late == "Alice"
    assert told(page, 1) == [TO_BOB]


LATE_PROFILE = """async () => {
    const real = globalThis.fetch.bind(globalThis);
    const old = await (await real("/auth/profile")).text();
    // The first request gets Alice's response, after the second has got its own.
    window.lateProfile = async (ask) => {
        let release;
        const gate = new Promise((resolve) => { release = resolve; });
        let first = true;
        globalThis.fetch = async (request) => {
            if (!first) return real(request);
            first = false;
            await gate;
            return new Response(old, { status: 200 });
        };
        const late = ask();
        await ask();
        release();
        const me = await late;
        globalThis.fetch = real;
        return me;
    };
    return (await lateProfile(() => client.profile())).user.name;
}"""

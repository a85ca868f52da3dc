"""The session cookie and `flask.session`, with the real interface, guard and Redis."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from http.cookies import Morsel, SimpleCookie

import pytest
from flask import Response
from werkzeug.test import TestResponse

from bff.access.session_cookie import current
from bff.core.errors import StoreUnavailable
from tests.support.bench import Bench, config_for
from tests.support.fixtures import AuditLines
from tests.support.redis_server import RedisServer
from tests.support.session_application import HTTP, HTTPS, NAMES, Application

Make = Callable[..., Application]


@pytest.fixture
def make(redis_server: RedisServer, redis_prefix: str) -> Iterator[Make]:
    """Makes applications with their own settings."""
    made: list[Application] = []

    def make_one(origin: str = HTTPS, **settings: str) -> Application:
        config = config_for(redis_server, redis_prefix, APP_BASE_URL=origin, **settings)
        made.append(Application(Bench(config)))
        return made[-1]

    yield make_one
    for one in made:
        one.bench.database.client.close()


@pytest.fixture
def application(make: Make) -> Application:
    """An application on https with the usual settings."""
    return make()


def outcome(response: TestResponse) -> tuple[int, str]:
    """Status and stable code of a refusal."""
    assert response.json
    return response.status_code, response.json["code"]


def only_cookie(response: TestResponse) -> Morsel[str]:
    headers = response.headers.getlist("Set-Cookie")
    [header] = [one for one in headers if "session=" in one.partition(";")[0]]
    [morsel] = SimpleCookie(header).values()
    return morsel


# ---------------------------------------------------------------- the cookie


@pytest.mark.parametrize("origin", [HTTPS, HTTP])
def test_the_attributes_when_set_and_when_deleted(make: Make, origin: str) -> None:
    """A browser ignores the deletion of a `__Host-` cookie that lacks Secure or Path=/."""
    application = make(origin)
    made = only_cookie(application.get("/sign-in"))
    gone = only_cookie(application.get("/end"))
    for morsel in (made, gone):
        assert morsel.key == NAMES[origin]
        assert (morsel["path"], morsel["samesite"], morsel["domain"]) == ("/", "Strict", "")
        assert morsel["httponly"] is True
        assert morsel["secure"] == (True if origin == HTTPS else "")
    assert len(made.value) == 43, "256 random bits and nothing else"
    assert (made["max-age"], made["expires"]) == ("", ""), "a browser's session cookie"
    assert (gone.value, gone["max-age"]) == ("", "0")
    assert gone["expires"] == "Thu, 01 Jan 1970 00:00:00 GMT"


def test_a_persistent_cookie_lasts_as_long_as_the_session_can(make: Make) -> None:
    application = make(BFF_SESSION_PERSISTENT="true", BFF_SESSION_ABSOLUTE_SECONDS="90000")
    assert only_cookie(application.get("/sign-in"))["max-age"] == "90000"
    assert only_cookie(application.get("/end"))["max-age"] == "0"


def test_the_browser_s_own_cookie_lasts_as_long_as_its_newest_session(make: Make) -> None:
    """Else it runs out first, and a later sign-in doesn't find the session that the browser has."""
    application = make(BFF_SESSION_PERSISTENT="true", BFF_SESSION_ABSOLUTE_SECONDS="90000")
    for _ in range(6):
        headers = application.get("/sign-in").headers.getlist("Set-Cookie")
        (kept,) = [one for one in headers if "browser-" in one and "Max-Age=90000" in one]
        assert kept


def test_after_the_sign_in_the_cookie_is_never_set_again(application: Application) -> None:
    application.sign_in()
    for path in ("/read", "/write?a=b", "/read", "/api", "/public", "/unguarded"):
        response = application.get(path)
        assert response.status_code == 200
        assert "Set-Cookie" not in response.headers, path


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, ["Cookie"]),
        ("Accept", ["Accept, Cookie"]),
        ("accept, cookie", ["accept, cookie"]),
        ("*", ["*, Cookie"]),
    ],
)
def test_one_vary_names_the_cookie_once(
    application: Application, given: str | None, expected: list[str]
) -> None:
    @application.app.after_request
    def vary(response: Response) -> Response:
        if given:
            response.headers["vary"] = given
        return response

    application.sign_in()
    assert application.get("/read").headers.getlist("Vary") == expected


def test_responses_that_depend_on_the_cookie_vary_with_it(application: Application) -> None:
    assert "Cookie" in application.get("/sign-in").headers["Vary"]
    assert "Cookie" in application.get("/read").headers["Vary"]
    assert "Vary" not in application.get("/public").headers
    assert "Cookie" in application.get("/end").headers["Vary"]


def test_the_id_is_not_in_redis(application: Application) -> None:
    value = only_cookie(application.get("/sign-in")).value
    assert not [key for key in application.bench.stored() if value in key]


@pytest.mark.parametrize("value", ["A" * 43, "A" * 42, "A" * 44, "é" * 43, "x", "../" * 20])
def test_a_made_up_id_is_never_adopted(application: Application, value: str) -> None:
    application.browser.set_cookie(application.name, value, domain="app.example.com")
    for path in ("/read", "/write?a=b"):
        response = application.get(path)
        code = "session_ended" if value == "A" * 43 else "session_missing"
        assert outcome(response) == (401, code)
        assert "Set-Cookie" not in response.headers
    assert application.bench.stored() == []


@pytest.mark.parametrize("foreign", ["city=Z\xfcrich", "city=Z\xc3\xbcrich", 'a="', "\xff"])
def test_a_foreign_cookie_hides_nothing(application: Application, foreign: str) -> None:
    """As gunicorn passes it; under Granian the header is empty."""
    application.sign_in()
    cookie = application.browser.get_cookie(application.name, domain="app.example.com")
    assert cookie
    around = f"{foreign}; {application.name}={cookie.value}; {foreign}"
    application.browser = application.app.test_client(use_cookies=False)
    assert application.get("/read", Cookie=around).status_code == 200
    assert outcome(application.get("/read", Cookie=foreign)) == (401, "session_missing")


@pytest.mark.parametrize("planted", ["A" * 43, "junk"])
def test_two_cookies_of_our_name_are_told_once_a_request(
    application: Application, planted: str, audit_lines: AuditLines
) -> None:
    """WebKitGTK lets a sibling subdomain plant one, which may come before ours."""
    key = application.sign_in()
    cookie = application.browser.get_cookie(application.name, domain="app.example.com")
    assert cookie
    own, other = f"{application.name}={cookie.value}", f"{application.name}={planted}"
    application.browser = application.app.test_client(use_cookies=False)
    for header, used in ((own, key), (f"{own}; {other}", key), (f"{other}; {own}", None)):
        seen = len(audit_lines())
        status = application.get("/read", Cookie=header).status_code
        assert status == (401 if used is None and planted != "junk" else 200)
        told = [line for line in audit_lines()[seen:] if line["event"] == "cookie_repeated"]
        assert len(told) == (header != own)
        assert all(planted not in str(line) and cookie.value not in str(line) for line in told)


@pytest.mark.parametrize("path", ["/read", "/api"])
def test_cookies_that_the_server_hides_are_not_taken_for_absent(
    application: Application, path: str
) -> None:
    application.browser = application.app.test_client(use_cookies=False)
    assert outcome(application.get(path, Cookie="")) == (401, "cookies_unreadable")


def test_a_sign_in_gives_a_new_id_and_ends_the_old_session(application: Application) -> None:
    old = application.sign_in()
    assert application.get("/write?word=of-the-old-session").status_code == 200
    response = application.get("/sign-in")
    assert response.json == {}, "the new session has no data of the old one"
    assert application.key() != old
    assert application.stored(old) == {}
    assert b"data" not in application.stored(application.key())
    assert application.get("/read").json == {}


# ---------------------------------------------------------------- flask.session


def test_data_is_stored_sealed_between_requests(application: Application) -> None:
    key = application.sign_in()
    assert application.get("/write?word=confidential").status_code == 200
    assert application.get("/read").json == {"word": "confidential"}
    assert application.get("/write?more=of-it").status_code == 200
    assert application.get("/read").json == {"word": "confidential", "more": "of-it"}
    assert b"confidential" not in application.stored(key)[b"data"]


def test_a_request_that_changes_nothing_writes_nothing(application: Application) -> None:
    key = application.sign_in()
    application.get("/write?word=one")
    before = application.stored(key)
    assert application.get("/read").status_code == 200
    assert application.stored(key) == before


def test_a_late_write_does_not_revive_an_ended_session(application: Application) -> None:
    key = application.sign_in()
    application.meanwhile = lambda: application.bench.sessions.end(key, "logout")
    response = application.get("/write?late=write")
    assert response.status_code == 200, "a running request may finish"
    assert "Set-Cookie" not in response.headers
    assert application.stored(key) == {}
    assert outcome(application.get("/read")) == (401, "session_ended")


def test_a_write_in_the_request_that_ends_the_session_is_dropped(application: Application) -> None:
    key = application.sign_in()
    assert application.get("/end").json == {}
    assert application.stored(key) == {}


def test_without_a_session_a_write_is_refused(application: Application) -> None:
    response = application.get("/unguarded")
    assert outcome(response) == (401, "session_missing")
    assert "Set-Cookie" not in response.headers
    assert application.bench.stored() == []


def test_data_that_was_tampered_with_is_refused(application: Application) -> None:
    """Nor is it unpickled, as Flask-Session would do."""
    key = application.sign_in()
    name = application.bench.database.keys.session(key)
    pickled = b"cos\nsystem\n(S'touch /tmp/owned'\ntR."
    application.bench.database.command("HSET", name, "data", pickled)
    response = application.get("/read")
    assert outcome(response) == (401, "session_ended")


def test_flask_session_can_not_change_an_id(application: Application) -> None:
    with application.app.test_request_context(), pytest.raises(NotImplementedError):
        application.interface.regenerate(current())


# ---------------------------------------------------------------- the guard in front of it


def count_loads(application: Application) -> list[str]:
    """The keys that are loaded from now on."""
    asked: list[str] = []
    real = application.bench.records.load

    def load(key: str, *, slide: bool) -> object:
        asked.append(key)
        return real(key, slide=slide)

    application.bench.records.load = load  # type: ignore[assignment,method-assign]
    return asked


def test_a_session_is_loaded_once_per_request_and_only_if_needed(
    application: Application,
) -> None:
    key = application.sign_in()
    asked = count_loads(application)
    application.get("/public")
    assert asked == []
    application.get("/read")
    assert asked == [key], "the endpoint needs it twice, it is loaded once"


@pytest.mark.parametrize("path", ["/read", "/api"])
def test_promise_8_another_site_is_refused_before_the_session_is_loaded(
    application: Application, path: str
) -> None:
    application.sign_in()
    asked = count_loads(application)
    for site in ("cross-site", "same-site", "none of these"):
        response = application.get(path, Sec_Fetch_Site=site)
        assert outcome(response) == (403, "cross_site")
    assert asked == []


@pytest.mark.parametrize(("header", "status"), [(None, 403), ("0", 403), ("", 403), ("1", 200)])
def test_promise_8_the_header_can_be_required_for_every_api_request(
    make: Make, header: str | None, status: int
) -> None:
    application = make(BFF_REQUIRE_CSRF_HEADER="true")
    application.sign_in()
    sent = {} if header is None else {"X_CSRF": header}
    assert application.get("/api", **sent).status_code == status
    assert application.get("/read").status_code == 200, "the profile is not behind it"


def test_promise_8_the_header_does_not_replace_fetch_metadata(make: Make) -> None:
    application = make(BFF_REQUIRE_CSRF_HEADER="true")
    application.sign_in()
    response = application.get("/api", X_CSRF="1", Sec_Fetch_Site="cross-site")
    assert response.status_code == 403


def test_promise_5_an_outage_is_no_missing_session(application: Application) -> None:
    application.sign_in()

    def refuse(*_: object, **__: object) -> None:
        raise StoreUnavailable("away")

    real = application.bench.records.load
    application.bench.records.load = refuse  # type: ignore[method-assign]
    response = application.get("/read")
    assert outcome(response) == (503, "store_unavailable")
    assert int(response.headers["Retry-After"]) > 0
    assert "Set-Cookie" not in response.headers
    application.bench.records.load = real  # type: ignore[method-assign]
    assert application.get("/read").status_code == 200


def test_a_request_extends_the_idle_time(application: Application) -> None:
    key = application.sign_in()
    name = application.bench.database.keys.session(key)
    application.bench.database.command("HINCRBY", name, "last_seen_at", -3600)
    application.bench.database.command("HINCRBY", name, "idle_ends_at", -3600)
    before = int(application.stored(key)[b"idle_ends_at"])
    assert application.get("/read").status_code == 200
    assert int(application.stored(key)[b"idle_ends_at"]) >= before + 3600

"""Signing in from the browser's side: what is refused, several tabs, silent sign-ins, the page."""

import json
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from bff import headers, problems
from bff.config import Config, load
from bff.demo.provider import start_provider
from bff.errors import StoreUnavailable
from bff.login import create_blueprint, with_error
from bff.model import PendingLogin, SignIn
from bff.providers import Provider, create_provider
from bff.sealing import Sealer
from tests.support.provider_client import (
    CLIENT_ID,
    CLIENT_SECRET,
    EMAIL,
    PASSWORD,
    ProviderClient,
    provider_settings,
)
from tests.support.provider_form import sign_in_at_provider

ORIGIN = "http://localhost:9"
SECRET = "0123456789abcdef0123456789abcdef"
NAVIGATION = {"Sec-Fetch-Dest": "document", "Sec-Fetch-Mode": "navigate", "Accept": "text/html"}


class World:
    """An application with the two routes, a provider, and one person's browser."""

    def __init__(self, issuer: str, control: ProviderClient, **settings: str) -> None:
        self.control = control
        self.config: Config = load(
            {
                "OIDC_ISSUER": issuer, "AUTH0_CLIENT_ID": CLIENT_ID,
                "AUTH0_CLIENT_SECRET": CLIENT_SECRET, "AUTH0_SECRET": SECRET,
                "APP_BASE_URL": ORIGIN, "BFF_API_URL": "http://127.0.0.1:9",
                "BFF_PROVIDER_TIMEOUT_SECONDS": "5",
            } | settings
        )  # fmt: skip
        self.provider: Provider = create_provider(self.config)
        self.begun: list[tuple[SignIn, PendingLogin]] = []
        self.old_session_key: str | None = None
        self.fail_with: Exception | None = None
        self.app = Flask(__name__, static_folder=None)
        self.app.register_blueprint(
            create_blueprint(
                self.config, self.provider, Sealer([SECRET]),
                session_key=lambda: self.old_session_key, begin_session=self.begin,
            )
        )  # fmt: skip
        problems.install(self.app)
        headers.install(self.app, self.config)
        self.browser = self.new_browser()

    def begin(self, sign_in: SignIn, pending: PendingLogin) -> None:
        if self.fail_with is not None:
            raise self.fail_with
        self.begun.append((sign_in, pending))

    def new_browser(self) -> FlaskClient:
        return self.app.test_client()

    def get(self, url: str, **more: str) -> TestResponse:
        return self.browser.get(url, base_url=self.config.app_base_url, headers=NAVIGATION | more)

    def login(self, **query: str) -> str:
        """Begin, and give the address at the provider."""
        answer = self.get(f"/auth/login?{urlencode(query)}")
        assert answer.status_code == 302, answer.text
        return answer.headers["Location"]

    def at_provider(self, url: str) -> str:
        """Sign in there, and give the address of the callback."""
        return sign_in_at_provider(self.control.browser, url, EMAIL, PASSWORD)

    def callback_url(self, **query: str) -> str:
        """A whole sign-in up to the callback, which is not called."""
        return self.at_provider(self.login(**query))

    def login_cookies(self) -> set[str]:
        jar = self.browser._cookies or {}
        return {cookie.key for cookie in jar.values() if "login-" in cookie.key}

    def close(self) -> None:
        self.provider.close()


@pytest.fixture
def world_for() -> Iterator[Callable[..., World]]:
    """Makes worlds with settings of the application or the provider of their own."""
    with ExitStack() as running:

        def make(provider: dict[str, Any] | None = None, **settings: str) -> World:
            served = running.enter_context(start_provider(provider_settings(**(provider or {}))))
            control = running.enter_context(ProviderClient(served))
            world = World(served.issuer, control, **settings)
            running.callback(world.close)
            return world

        yield make


@pytest.fixture
def world(world_for: Callable[..., World]) -> World:
    """One with the usual settings."""
    return world_for()


@pytest.fixture
def audit_lines(caplog: pytest.LogCaptureFixture) -> Callable[[], list[dict[str, Any]]]:
    """Gives the audit lines so far."""
    caplog.set_level(logging.INFO, logger="bff.audit")
    return lambda: [
        json.loads(record.getMessage()) for record in caplog.records if record.name == "bff.audit"
    ]


def code_of(answer: TestResponse) -> str:
    """The stable code on a page, or in a problem document."""
    if answer.is_json or "problem" in answer.content_type:
        return str(json.loads(answer.data)["code"])
    codes = ("state_invalid", "issuer_mismatch", "parameter_invalid", "return_to_invalid",
             "id_token_invalid", "sign_in_denied", "provider_unavailable", "provider_rejected",
             "request_refused", "method_not_allowed", "store_unavailable",
             "provider_misconfigured")  # fmt: skip
    found = [code for code in codes if code in answer.text]
    assert len(found) == 1, answer.text
    return found[0]


def changed(url: str, **changes: str | None) -> str:
    """A callback address with other parameters; None takes one away."""
    query = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
    kept = {name: value for name, value in (query | changes).items() if value is not None}
    return f"/auth/callback?{urlencode(kept)}"


def refused(world: World, url: str, code: str, status: int) -> TestResponse:
    """The callback at *url* is refused, and nobody is signed in."""
    answer = world.get(url)
    assert (answer.status_code, code_of(answer)) == (status, code)
    assert world.begun == []
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    return answer


# ---------------------------------------------------------------- refusals at the start


@pytest.mark.parametrize(
    "query",
    [
        "prompt=login&prompt=none", "login_hint=a&login_hint=b", "returnTo=/a&returnTo=/b",
        "login_hint=a%0d%0ab", "ui_locales=%00", "connection=" + "x" * 513, "acr_values=%E2%80%A8",
        "prompt=none+login", "prompt=login+none", "prompt=+none", "max_age=soon", "max_age=-1",
        "max_age=1.5", "max_age=9999999999", "max_age=%D9%A3", "invitation=%7F",
    ],
)  # fmt: skip
def test_a_bad_parameter_is_refused(world: World, query: str) -> None:
    answer = world.get(f"/auth/login?{query}")
    assert (answer.status_code, code_of(answer)) == (400, "parameter_invalid")
    assert world.login_cookies() == set()


@pytest.mark.parametrize(
    "value", ["//evil.example", "https://evil.example", "/auth/logout", "/%5Ce"]
)
def test_a_hostile_return_address_is_refused(world: World, value: str) -> None:
    answer = world.get(f"/auth/login?{urlencode({'returnTo': value, 'prompt': 'none'})}")
    assert (answer.status_code, code_of(answer)) == (400, "return_to_invalid")
    assert "Location" not in answer.headers


@pytest.mark.parametrize(
    "more",
    [
        {"Sec-Fetch-Dest": "iframe"}, {"Sec-Fetch-Dest": "image"}, {"Sec-Fetch-Dest": "empty"},
        {"Sec-Fetch-Mode": "cors"}, {"Sec-Fetch-Mode": "no-cors"}, {"Sec-Purpose": "prefetch"},
        {"Purpose": "prefetch"}, {"X-Moz": "prefetch"},
    ],
)  # fmt: skip
@pytest.mark.parametrize("path", ["/auth/login", "/auth/callback"])
def test_only_a_page_load_signs_in(world: World, path: str, more: dict[str, str]) -> None:
    answer = world.get(path, **more)
    assert (answer.status_code, code_of(answer)) == (400, "request_refused")


@pytest.mark.parametrize("path", ["/auth/login", "/auth/callback"])
@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "DELETE"])
def test_only_get_signs_in(world: World, path: str, method: str) -> None:
    """A link checker's HEAD must not use up a code."""
    assert world.browser.open(path, method=method, base_url=ORIGIN).status_code == 405


def test_a_link_on_another_site_may_start_a_sign_in(world: World) -> None:
    """Nothing changes before the callback, and that needs this browser's own state."""
    assert world.get("/auth/login", **{"Sec-Fetch-Site": "cross-site"}).status_code == 302


def test_a_provider_that_is_down_is_said_so(world: World) -> None:
    world.control.control("POST", "orders", endpoint="discovery", do="status", status=503, times=9)
    answer = world.get("/auth/login")
    assert (answer.status_code, code_of(answer)) == (503, "provider_unavailable")
    assert answer.headers["Retry-After"]
    assert world.login_cookies() == set()


# ---------------------------------------------------------------- refusals at the end


def test_a_callback_without_state_or_with_several_is_refused(world: World) -> None:
    url = world.callback_url()
    refused(world, changed(url, state=None), "state_invalid", 400)
    refused(world, changed(url) + "&state=x", "state_invalid", 400)
    refused(world, changed(url, state=""), "state_invalid", 400)
    assert len(world.login_cookies()) == 1


def test_a_callback_of_another_browser_is_refused(world: World) -> None:
    """Login CSRF: the attacker's code and state, planted in somebody else's browser."""
    url = world.callback_url()
    world.browser = world.new_browser()
    world.login()
    refused(world, url, "state_invalid", 400)


def test_state_comes_before_error(
    world: World, audit_lines: Callable[[], list[dict[str, Any]]]
) -> None:
    """Authlib believes an error whatever the state."""
    world.login()
    refused(world, "/auth/callback?error=access_denied&state=made-up", "state_invalid", 400)
    refused(world, "/auth/callback?error=access_denied", "state_invalid", 400)
    assert "access_denied" not in json.dumps(audit_lines())


def test_a_replayed_callback_is_refused(world: World) -> None:
    url = world.callback_url()
    assert world.get(url).status_code == 303
    world.begun.clear()
    refused(world, url, "state_invalid", 400)
    assert world.control.counts()["token"] == 1


@pytest.mark.parametrize(
    ("changes", "code", "status"),
    [
        ({"iss": "https://evil.example/"}, "issuer_mismatch", 400),
        ({"iss": None}, "issuer_mismatch", 400),
        ({"code": None}, "parameter_invalid", 400),
        ({"code": ""}, "parameter_invalid", 400),
        ({"code": "x" * 5000}, "parameter_invalid", 400),
        ({"code": "made-up"}, "provider_rejected", 502),
        ({"code": None, "error": "access_denied"}, "sign_in_denied", 403),
        ({"error": "access_denied"}, "sign_in_denied", 403),
        ({"error": "<script>\n" * 99}, "sign_in_denied", 403),
        ({"error": "access_denied", "iss": "https://evil.example/"}, "issuer_mismatch", 400),
    ],
)
def test_a_bad_callback_is_refused_and_its_cookie_goes(
    world_for: Callable[..., World], changes: dict[str, str | None], code: str, status: int
) -> None:
    world = world_for({"iss_parameter": True})
    url = world.callback_url()
    answer = refused(world, changed(url, **changes), code, status)
    assert world.login_cookies() == set()
    assert "<script>" not in answer.text
    refused(world, url, "state_invalid", 400)


@pytest.mark.parametrize("name", ["code", "iss", "error"])
def test_a_repeated_parameter_is_refused(world: World, name: str) -> None:
    url = world.callback_url()
    refused(world, f"{url}&{name}=x&{name}=y", "parameter_invalid", 400)
    assert world.login_cookies() == set()


@pytest.mark.parametrize(
    "forgery",
    [
        {"omit": True}, {"alg": "none"}, {"alg": "HS256-with-public-key"},
        {"alg": "RS256-with-other-key"}, {"override": {"aud": "other", "azp": CLIENT_ID}},
        {"override": {"nonce": "other"}}, {"override": {"exp": 1}}, {"override": {"iss": "x"}},
    ],
    ids=str,
)  # fmt: skip
def test_a_forged_id_token_lets_nobody_in_and_its_tokens_are_revoked(
    world: World, forgery: dict[str, Any]
) -> None:
    url = world.callback_url()
    world.control.control("POST", "id_token", **forgery)
    refused(world, url, "id_token_invalid", 502)
    issued = [t for t in world.control.control("GET", "tokens") if t["kind"] == "refresh_token"]
    assert [token["state"] for token in issued] == ["revoked"]


def test_an_unexpected_failure_takes_the_cookie_too(world: World) -> None:
    url = world.callback_url()
    world.fail_with = RuntimeError("a bug")
    answer = world.get(url)
    assert answer.status_code == 500
    assert "a bug" not in answer.text
    assert world.login_cookies() == set()


# ---------------------------------------------------------------- signing in


def test_a_sign_in(world: World, audit_lines: Callable[[], list[dict[str, Any]]]) -> None:
    world.old_session_key = "a" * 64
    answer = world.get(world.callback_url(returnTo="/items?x=1#y"))
    assert (answer.status_code, answer.headers["Location"]) == (303, "/items?x=1#y")
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert world.login_cookies() == set()
    ((sign_in, pending),) = world.begun
    assert sign_in.identity.subject == "auth0|demo"
    assert sign_in.identity.sid
    assert sign_in.tokens.refresh_token
    assert pending.old_session_key == "a" * 64
    assert [(line["event"], line["outcome"]) for line in audit_lines()] == [
        ("sign_in_started", "ok"), ("sign_in_succeeded", "ok"),
    ]  # fmt: skip
    written = json.dumps(audit_lines())
    for secret in (pending.state, pending.code_verifier, sign_in.tokens.access_token):
        assert secret not in written


def test_without_an_address_it_leads_to_the_start(world: World) -> None:
    assert world.get(world.callback_url()).headers["Location"] == "/"


def test_the_tokens_can_be_refreshed_and_revoked(world: World) -> None:
    world.get(world.callback_url())
    ((sign_in, _),) = world.begun
    first = sign_in.tokens.refresh_token
    assert first
    second = world.provider.refresh(first, subject=sign_in.identity.subject).refresh_token
    assert second
    world.provider.revoke(second)
    assert world.control.state_of(second) == "revoked"


def test_several_tabs_sign_in_at_once(world: World) -> None:
    begun = {f"/tab/{number}": world.login(returnTo=f"/tab/{number}") for number in range(5)}
    callbacks = {tab: world.at_provider(url) for tab, url in begun.items()}
    for tab, url in reversed(callbacks.items()):
        assert world.get(url).headers["Location"] == tab
    assert len(world.begun) == 5


def test_the_parameters_reach_the_provider(world: World) -> None:
    asked = {
        "prompt": "login consent", "login_hint": "a+b@example.com", "screen_hint": "signup",
        "organization": "org_1", "invitation": "inv_1", "connection": "google", "max_age": "60",
        "acr_values": "urn:mfa", "ui_locales": "de fr",
    }  # fmt: skip
    query = parse_qs(urlsplit(world.login(**asked, utm_source="x", scope="admin", nonce="n")).query)
    # A user can take `prompt=login` out of the address; `max_age=0` shows it in the ID token.
    for name, value in (asked | {"max_age": "0"}).items():
        assert query[name] == [value]
    assert "utm_source" not in query
    assert query["scope"] == ["openid profile email offline_access"]
    assert query["nonce"] != ["n"]


def test_max_age_is_passed_on_and_enforced(world: World) -> None:
    url = world.login(max_age="60")
    assert parse_qs(urlsplit(url).query)["max_age"] == ["60"]
    callback = world.at_provider(url)
    world.control.control("POST", "id_token", override={"auth_time": 1})
    refused(world, callback, "id_token_invalid", 502)


def test_prompt_login_asks_for_the_password_again(world: World) -> None:
    world.get(world.callback_url())
    assert world.get(world.callback_url(prompt="login")).status_code == 303
    assert len(world.begun) == 2


def test_prompt_login_taken_out_of_the_address_is_noticed(world: World) -> None:
    world.get(world.callback_url())
    world.begun.clear()
    world.control.control("POST", "id_token", override={"auth_time": 1})
    url = world.login(prompt="login").replace("prompt=login", "").replace("max_age=0", "")
    refused(world, world.at_provider(url), "id_token_invalid", 502)


def test_over_https_the_cookie_is_bound_to_the_host(world_for: Callable[..., World]) -> None:
    world = world_for(APP_BASE_URL="https://app.example.com")
    world.login()
    ((cookie,),) = [list((world.browser._cookies or {}).values())]
    assert cookie.key.startswith("__Host-login-")
    assert (cookie.secure, cookie.http_only, cookie.same_site) == (True, True, "Lax")
    assert (cookie.path, cookie.origin_only) == ("/", True)


# ---------------------------------------------------------------- silent sign-in


def error_in(answer: TestResponse) -> str:
    """The error that a silent sign-in brings back to `/page?x=1#y`."""
    assert answer.status_code == 303, answer.text
    path, _, query = answer.headers["Location"].partition("?")
    assert path == "/page"
    assert query.startswith("x=1&error=")
    assert query.endswith("#y")
    return query.removeprefix("x=1&error=").removesuffix("#y")


SILENT = {"prompt": "none", "returnTo": "/page?x=1#y"}


def silent_callback(world: World) -> str:
    answer = world.control.get(world.login(**SILENT))
    assert answer.status_code in (302, 303)
    return str(answer.headers["Location"])


def test_a_silent_sign_in_without_a_session_there_brings_the_error_back(
    world: World, audit_lines: Callable[[], list[dict[str, Any]]]
) -> None:
    answer = world.get(silent_callback(world))
    assert error_in(answer) == "login_required"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert world.login_cookies() == set()
    assert audit_lines()[-1]["reason"] == "sign_in_denied: login_required"


def test_a_silent_sign_in_with_a_session_there_succeeds(world: World) -> None:
    world.get(world.callback_url())
    answer = world.get(silent_callback(world))
    assert answer.headers["Location"] == "/page?x=1#y"
    assert len(world.begun) == 2


def test_any_silent_failure_comes_back_to_the_spa(world: World) -> None:
    world.get(world.callback_url())
    orders: list[tuple[Callable[[], Any], str]] = [
        (lambda: world.control.control("POST", "id_token", omit=True), "id_token_invalid"),
        (lambda: world.control.control("POST", "orders", endpoint="token", do="status"),
         "provider_unavailable"),
        (lambda: world.control.control("POST", "orders", endpoint="token", do="drop_after"),
         "provider_unavailable"),
        (lambda: setattr(world, "fail_with", StoreUnavailable("x")), "store_unavailable"),
        (lambda: setattr(world, "fail_with", RuntimeError("x")), "internal_error"),
    ]  # fmt: skip
    for prepare, code in orders:
        url = silent_callback(world)
        prepare()
        assert error_in(world.get(url)) == code
        assert world.login_cookies() == set()
    url = silent_callback(world)
    assert error_in(world.get(changed(url, iss="https://evil.example/"))) == "issuer_mismatch"
    url = silent_callback(world)
    assert error_in(world.get(f"{url}&code=twice")) == "parameter_invalid"


def test_a_silent_sign_in_comes_back_even_if_the_provider_is_down(world: World) -> None:
    world.control.control("POST", "orders", endpoint="discovery", do="drop_before", times=9)
    answer = world.get(f"/auth/login?{urlencode(SILENT)}")
    assert error_in(answer) == "provider_unavailable"
    assert world.login_cookies() == set()


@pytest.mark.parametrize(
    ("return_to", "expected"),
    [
        ("/", "/?error=a%26b"), ("/x", "/x?error=a%26b"), ("/x?", "/x?error=a%26b"),
        ("/x?y=1", "/x?y=1&error=a%26b"), ("/x#y", "/x?error=a%26b#y"),
        ("/x?y=%2F&z#/r?q", "/x?y=%2F&z&error=a%26b#/r?q"),
    ],
)  # fmt: skip
def test_the_error_is_appended_to_what_is_there(return_to: str, expected: str) -> None:
    assert with_error(return_to, "a&b") == expected


# ---------------------------------------------------------------- for programs, and under load


def test_a_program_gets_a_problem_document(world: World) -> None:
    answer = world.browser.get("/auth/callback?state=x", base_url=ORIGIN)
    assert answer.content_type.startswith("application/problem+json")
    assert code_of(answer) == "state_invalid"


def test_the_provider_is_asked_for_its_documents_once_by_many_sign_ins(world: World) -> None:
    def one() -> None:
        world.new_browser().get("/auth/login", base_url=ORIGIN)

    threads = [threading.Thread(target=one) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert world.control.counts()["discovery"] == 1


def test_a_redirect_never_repeats_a_post(world: World) -> None:
    """RFC 9700, 4.12: 302 and 303 only, never 307 or 308."""
    assert world.get("/auth/login").status_code == 302
    assert world.get(world.callback_url()).status_code == 303

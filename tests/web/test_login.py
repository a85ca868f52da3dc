"""Sign-ins that succeed: in one tab, in several tabs, many at once."""

import json
import threading
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

from bff.core import audit
from bff.core.errors import SignInTooOld
from tests.support.signing_in import ORIGIN, World, code_of, refused


def test_a_sign_in(world: World, audit_lines: Callable[[], list[dict[str, Any]]]) -> None:
    world.old_session_key = "a" * 64
    response = world.get(world.callback_url(returnTo="/items?x=1#y"))
    assert (response.status_code, response.headers["Location"]) == (303, "/items?x=1#y")
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["Referrer-Policy"] == "no-referrer"
    assert world.login_cookies() == set()
    ((sign_in, transaction),) = world.begun
    assert sign_in.identity.subject == "auth0|demo"
    assert sign_in.identity.sid
    assert sign_in.tokens.refresh_token
    assert transaction.old_session_key == "a" * 64
    assert [(line["event"], line["outcome"]) for line in audit_lines()] == [
        ("sign_in_started", "ok"), ("sign_in_succeeded", "ok"),
    ]  # fmt: skip
    written = json.dumps(audit_lines())
    for secret in (transaction.state, transaction.code_verifier, sign_in.tokens.access_token):
        assert secret not in written


def test_an_error_without_a_value_is_none(world: World) -> None:
    """RFC 6749, 3.1; it stands beside the code, as `"error": null` does beside tokens."""
    url = world.callback_url(returnTo="/items")
    response = world.get(f"{url}&error=&error_description=")
    assert (response.status_code, response.headers["Location"]) == (303, "/items")


def test_without_return_to_it_leads_to_the_start_page(world: World) -> None:
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


def test_parameters_of_the_setting_reach_the_provider_and_no_others(
    world_for: Callable[..., World],
) -> None:
    world = world_for(
        BFF_LOGIN_PARAMETERS="kc_idp_hint,hd=example.com,ui_locales=de,access_type=offline"
    )
    asked = {"kc_idp_hint": "google", "hd": "evil.example", "ui_locales": "fr", "claims": "{}",
             "state": "theirs", "scope": "admin"}  # fmt: skip
    sent = parse_qs(urlsplit(world.login(**asked)).query)
    assert {name: sent.get(name) for name in ("kc_idp_hint", "hd", "ui_locales", "claims")} == {
        "kc_idp_hint": ["google"], "hd": ["example.com"], "ui_locales": ["de"], "claims": None,
    }  # fmt: skip
    assert sent["state"] != ["theirs"]
    assert "admin" not in sent["scope"][0]
    assert "kc_idp_hint" not in world.login()
    assert "hd=example.com" in world.login()
    assert "access_type=offline" in world.login(access_type="online")


def test_the_parameters_reach_the_provider(world: World) -> None:
    asked = {
        "prompt": "login consent", "login_hint": "a+b@example.com", "screen_hint": "signup",
        "organization": "org_1", "invitation": "inv_1", "connection": "google", "max_age": "60",
        "acr_values": "urn:mfa", "ui_locales": "de fr",
    }  # fmt: skip
    query = parse_qs(urlsplit(world.login(**asked, utm_source="x", scope="admin", nonce="n")).query)
    # A user can remove `prompt=login` from the address; `max_age=0` makes the ID token show it.
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


def test_a_removed_prompt_login_is_noticed(world: World) -> None:
    world.get(world.callback_url())
    world.begun.clear()
    world.control.control("POST", "id_token", override={"auth_time": 1})
    url = world.login(prompt="login").replace("prompt=login", "").replace("max_age=0", "")
    refused(world, world.at_provider(url), "id_token_invalid", 502)


def test_over_https_the_cookie_is_bound_to_the_host(world_for: Callable[..., World]) -> None:
    world = world_for(APP_BASE_URL="https://app.example.com")
    world.login()
    browser, login = sorted((world.browser._cookies or {}).values(), key=lambda one: one.key)
    assert browser.key.startswith("__Host-browser-")
    assert login.key.startswith("__Host-login-")
    for cookie in (browser, login):
        assert (cookie.secure, cookie.http_only, cookie.same_site) == (True, True, "Lax")
        assert (cookie.path, cookie.origin_only) == ("/", True)


def test_a_program_gets_a_problem_document(world: World) -> None:
    response = world.browser.get("/auth/callback?state=x", base_url=ORIGIN)
    assert response.content_type.startswith("application/problem+json")
    assert code_of(response) == "state_invalid"


def test_many_sign_ins_fetch_the_discovery_document_once(world: World) -> None:
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


def test_a_weaker_sign_in_than_requested_succeeds_and_is_logged(
    world: World, audit_lines: Callable[[], list[dict[str, Any]]]
) -> None:
    """A route that needs the stronger sign-in refuses its requests again."""
    for acr_values in ("urn:none", "urn:demo:strong urn:none", ""):
        assert world.get(world.callback_url(acr_values=acr_values)).status_code == 303
    done = [line for line in audit_lines() if line["event"] == "sign_in_succeeded"]
    assert [line.get("reason", "") for line in done] == ["acr_not_reached", "", ""]


def test_a_support_sign_in_is_in_the_profile_and_the_audit_log_says_who_acts(
    world_for: Callable[..., World], audit_lines: Callable[[], list[dict[str, Any]]]
) -> None:
    world = world_for(BFF_PROFILE_CLAIMS="name", BFF_AUDIT_USER="id")
    audit.name_users(lambda issuer, subject: subject)
    for act in ({"sub": "support|eve"}, {}, "support|eve"):
        callback = world.callback_url()
        world.control.control("POST", "id_token", override={"act": act})
        assert world.get(callback).status_code == 303
    shown = [sign_in.identity.claims.get("act") for sign_in, _ in world.begun]
    assert shown == [{"sub": "support|eve"}, {}, None]
    done = [line for line in audit_lines() if line["event"] == "sign_in_succeeded"]
    assert [(line["reason"], line["caller"]) for line in done] == [
        ("acting", "support|eve"), ("acting", None), ("", None),
    ]  # fmt: skip


def test_the_second_try_of_a_sign_in_demands_as_much_as_the_first(world: World) -> None:
    """The first try was older than an end of all sessions."""
    world.fail_with = SignInTooOld()
    response = world.get(world.callback_url(acr_values="urn:demo:strong"))
    assert response.status_code == 302
    asked = parse_qs(urlsplit(response.headers["Location"]).query)
    assert (asked["acr_values"], asked["max_age"]) == (["urn:demo:strong"], ["0"])
    world.fail_with = None
    assert world.get(world.at_provider(response.headers["Location"])).status_code == 303
    assert world.begun[0][1].acr_values == "urn:demo:strong"

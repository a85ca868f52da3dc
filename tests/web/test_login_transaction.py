"""A login transaction is in a sealed cookie of its own, which is small, short-lived and bound."""

import time
from http.cookies import Morsel, SimpleCookie
from typing import Any

import msgspec
import pytest
from flask import Response

from bff.config import load
from bff.core.errors import ReturnToInvalid, StateInvalid
from bff.core.model import LoginTransaction
from bff.core.sealing import Sealer
from bff.web.login_transaction import (
    COOKIE_MAX_BYTES,
    COOKIES_MAX,
    COOKIES_MAX_BYTES,
    LIFETIME_SECONDS,
    LoginTransactions,
)

SECRET = "0123456789abcdef0123456789abcdef"
SEALER = Sealer([SECRET])


class Browser:
    """The cookies of one browser, and a clock for both sides."""

    def __init__(self, origin: str = "https://app.example.com") -> None:
        self.now = float(int(time.time()))
        self.cookies: dict[str, str] = {}
        config = load(
            {
                "OIDC_ISSUER": "https://issuer.example/", "AUTH0_CLIENT_ID": "a",
                "AUTH0_CLIENT_SECRET": "b", "AUTH0_SECRET": SECRET, "APP_BASE_URL": origin,
                "BFF_API_URL": "http://127.0.0.1:9",
            }
        )  # fmt: skip
        self.logins = LoginTransactions(config, SEALER, lambda: self.now)

    def begin(self, return_to: str = "/") -> LoginTransaction:
        """Begin a sign-in, and apply the cookies of the response."""
        transaction = self.logins.begin(
            return_to=return_to, silent=False, max_age=None, old_session_key=None
        )
        self.apply(lambda response: self.logins.set_cookie(response, transaction, self.cookies))
        return transaction

    def apply(self, write: Any) -> list[Morsel[str]]:
        """Apply the cookies of a response, and return them."""
        response = Response()
        write(response)
        morsels = [m for h in response.headers.getlist("Set-Cookie") for m in parsed(h)]
        for morsel in morsels:
            if morsel["max-age"] == "0":
                self.cookies.pop(morsel.key, None)
            else:
                self.cookies[morsel.key] = morsel.value
        return morsels

    def finds(self, transaction: LoginTransaction) -> bool:
        """Whether the callback would find *transaction*."""
        try:
            return self.logins.find(transaction.state, self.cookies)[1] == transaction
        except StateInvalid:
            return False


def parsed(header: str) -> list[Morsel[str]]:
    return list(SimpleCookie(header).values())


@pytest.fixture
def browser() -> Browser:
    """A browser on https."""
    return Browser()


def test_each_of_several_sign_ins_is_found_by_its_state(browser: Browser) -> None:
    begun = [browser.begin(f"/{number}") for number in range(3)]
    assert all(browser.finds(transaction) for transaction in begun)
    assert len({transaction.nonce for transaction in begun} | {p.code_verifier for p in begun}) == 6


@pytest.mark.parametrize(
    ("origin", "prefix", "secure"),
    [("https://app.example.com", "__Host-login-", True), ("http://localhost:8000", "login-", "")],
)
def test_the_attributes_when_set_and_when_deleted(origin: str, prefix: str, secure: Any) -> None:
    """A browser ignores the deletion of a `__Host-` cookie that lacks Secure or Path=/."""
    browser = Browser(origin)
    transaction = browser.logins.begin(
        return_to="/", silent=False, max_age=None, old_session_key=None
    )
    (made,) = browser.apply(lambda r: browser.logins.set_cookie(r, transaction, {}))
    (gone,) = browser.apply(lambda r: browser.logins.delete_cookie(r, made.key))
    for morsel, max_age in ((made, str(LIFETIME_SECONDS)), (gone, "0")):
        assert morsel.key.startswith(prefix)
        assert (morsel["path"], morsel["samesite"], morsel["max-age"]) == ("/", "Lax", max_age)
        assert morsel["httponly"] is True
        assert morsel["secure"] == secure
        assert morsel["domain"] == ""
    assert gone["expires"] == "Thu, 01 Jan 1970 00:00:00 GMT"


def test_the_cookie_reveals_nothing(browser: Browser) -> None:
    transaction = browser.begin("/private")
    ((name, value),) = browser.cookies.items()
    for secret in (transaction.state, transaction.nonce, transaction.code_verifier, "private"):
        assert secret not in name + value


def test_another_browsers_state_is_refused(browser: Browser) -> None:
    assert not browser.finds(Browser().begin())
    browser.begin()
    assert not browser.finds(Browser().begin())


@pytest.mark.parametrize("state", ["", "x", "é" * 100, "\ud800", "\x00", "x" * 10_000])
def test_a_made_up_state_is_refused(browser: Browser, state: str) -> None:
    browser.begin()
    with pytest.raises(StateInvalid):
        browser.logins.find(state, browser.cookies)


def test_a_cookie_that_was_changed_moved_or_made_up_is_refused(browser: Browser) -> None:
    first, second = browser.begin(), browser.begin()
    (name, value), (other_name, other_value) = browser.cookies.items()
    for forged in (value[:-2], value[:-1] + ("A" if value[-1] != "A" else "B"), "", "x", "é",
                   other_value, "A" * 9000):  # fmt: skip
        browser.cookies = {name: forged, other_name: other_value}
        assert not browser.finds(first)
        assert browser.finds(second)


def test_a_value_sealed_for_another_purpose_is_no_transaction(browser: Browser) -> None:
    transaction = browser.begin()
    (name,) = browser.cookies
    content = msgspec.json.encode(transaction)
    browser.cookies[name] = SEALER.seal_text(content, "logout state")
    assert not browser.finds(transaction)
    browser.cookies[name] = SEALER.seal_text(b"{}", f"login transaction {name}")
    assert not browser.finds(transaction)


def test_the_whole_state_is_compared_not_only_the_name(browser: Browser) -> None:
    transaction, (name,) = browser.begin(), browser.cookies
    other = msgspec.structs.replace(transaction, state="another")
    browser.cookies[name] = SEALER.seal_text(
        msgspec.json.encode(other), f"login transaction {name}"
    )
    with pytest.raises(StateInvalid):
        browser.logins.find(transaction.state, browser.cookies)


def test_after_an_hour_it_has_expired_even_if_the_browser_keeps_it(browser: Browser) -> None:
    transaction = browser.begin()
    browser.now += LIFETIME_SECONDS
    assert browser.finds(transaction)
    browser.now += 1
    assert not browser.finds(transaction)


def test_a_transaction_from_the_future_is_refused_but_clocks_may_differ(browser: Browser) -> None:
    transaction = browser.begin()
    browser.now -= 60
    assert browser.finds(transaction)
    browser.now -= 2
    assert not browser.finds(transaction)


def test_the_oldest_is_deleted_when_there_are_too_many(browser: Browser) -> None:
    begun = []
    for _ in range(COOKIES_MAX + 3):
        begun.append(browser.begin())
        browser.now += 1
    assert [browser.finds(transaction) for transaction in begun] == [False] * 3 + [
        True
    ] * COOKIES_MAX


def test_all_together_fit_into_one_cookie_header(browser: Browser) -> None:
    """gunicorn rejects requests with more than 8190 bytes in a header."""
    for _ in range(COOKIES_MAX):
        newest = browser.begin("/" + "x" * 1900)
        browser.now += 1
    total = sum(len(name) + len(value) for name, value in browser.cookies.items())
    assert total <= COOKIES_MAX_BYTES
    assert browser.finds(newest)


def test_what_does_not_fit_into_a_cookie_is_refused_clearly(browser: Browser) -> None:
    with pytest.raises(ReturnToInvalid, match="too long"):
        browser.begin("/" + "x" * COOKIE_MAX_BYTES)
    assert browser.cookies == {}


def test_the_longest_accepted_address_fits(browser: Browser) -> None:
    transaction = browser.begin("/" + "x" * 1999)
    assert browser.finds(transaction)


def test_cookies_of_other_applications_stay(browser: Browser) -> None:
    """Two applications on `localhost` see each other's cookies."""
    browser.cookies = {f"__Host-login-{number:016x}": "another's" for number in range(20)}
    browser.cookies["__Host-Http-session"] = "x"
    browser.begin()
    assert len(browser.cookies) == 22

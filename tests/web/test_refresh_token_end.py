"""A session ends with its refresh token at the latest, where the provider tells when that is."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest
from flask.testing import FlaskClient

from bff.core.model import SignIn
from tests.support.fake_provider import FakeProvider
from tests.support.fixtures import MakeReceiver
from tests.support.receiver import Receiver
from tests.support.waiting import wait_for

OURS = "http://localhost:8000"
PAGE = {"Sec-Fetch-Dest": "document", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "none"}
FETCH = {"Sec-Fetch-Site": "same-origin", "X-CSRF": "1"}
KEY = "k" * 40
IDLE, ABSOLUTE = 3_600, 7_200
TOLD = 1_800


@pytest.fixture
def bff(receiver_for: MakeReceiver) -> Receiver:
    return receiver_for(
        BFF_ADMIN_KEY=KEY,
        BFF_SESSION_IDLE_SECONDS=str(IDLE),
        BFF_SESSION_ABSOLUTE_SECONDS=str(ABSOLUTE),
    )


def signed_in(bff: Receiver, **fields: Any) -> FlaskClient:
    """A browser whose sign-in brought a token response with these *fields*."""
    browser = bff.app.test_client()
    started = browser.get("/auth/login", base_url=OURS, headers=PAGE)
    query = parse_qs(urlsplit(started.headers["Location"]).query)
    bff.fake.token(bff.fake.grant(id_token=bff.fake.id_token(nonce=query["nonce"][0]), **fields))
    address = f"/auth/callback?code=x&state={query['state'][0]}"
    assert browser.get(address, base_url=OURS, headers=PAGE).status_code < 400
    return browser


def started(bff: Receiver, sign_in: SignIn, **tokens: Any) -> FlaskClient:
    """A browser with a session whose tokens are changed."""
    changed = msgspec.structs.replace(sign_in.tokens, **tokens)
    cookie = bff.services.sessions.start(msgspec.structs.replace(sign_in, tokens=changed))
    browser = bff.app.test_client()
    browser.set_cookie("session", cookie, domain="localhost")
    return browser


def times(browser: FlaskClient) -> tuple[int, int]:
    """The seconds left that the profile tells, idle and absolute, to the nearest hundred."""
    response = browser.get("/auth/profile", base_url=OURS, headers=FETCH)
    assert response.status_code == 200, response.text
    told = response.get_json()["session"]
    return round(told["idle_seconds_left"], -2), round(told["absolute_seconds_left"], -2)


BY_SETTINGS = (IDLE, ABSOLUTE)


@pytest.mark.parametrize(
    ("fields", "left"),
    [
        ({"refresh_token_expires_in": TOLD}, (TOLD, TOLD)),
        ({"refresh_expires_in": TOLD}, (TOLD, TOLD)),
        ({"refresh_token_expires_in": "1800"}, (TOLD, TOLD)),
        ({"refresh_token_expires_in": 5_000}, (IDLE, 5_000)),
        ({"refresh_token_expires_in": 15_811_200}, BY_SETTINGS),
        ({"refresh_token_expires_in": None, "refresh_expires_in": TOLD}, (TOLD, TOLD)),
        ({"refresh_token_expires_in": "soon", "refresh_expires_in": TOLD}, (TOLD, TOLD)),
        ({"refresh_expires_in": 0}, BY_SETTINGS),
        ({"refresh_expires_in": -1}, BY_SETTINGS),
        ({"refresh_expires_in": 1e300}, BY_SETTINGS),
        ({"refresh_expires_in": True}, BY_SETTINGS),
        ({"refresh_expires_in": float("nan")}, BY_SETTINGS),
        ({"refresh_expires_in": [TOLD]}, BY_SETTINGS),
        ({"refresh_token": None, "refresh_expires_in": TOLD}, BY_SETTINGS),
    ],
    ids=str,
)
def test_the_profile_tells_the_sooner_end(
    bff: Receiver, fields: dict[str, Any], left: tuple[int, int]
) -> None:
    assert times(signed_in(bff, **fields)) == left


@pytest.mark.parametrize(
    ("fields", "left"),
    [
        ({"refresh_token": "new", "refresh_expires_in": 2_500}, (2_500, 2_500)),
        ({"refresh_token": None, "refresh_expires_in": 2_500}, (2_500, 2_500)),
        ({"refresh_token": None, "refresh_expires_in": 900}, (900, 900)),
        ({"refresh_token": "new", "refresh_expires_in": 0}, BY_SETTINGS),
        ({"refresh_token": "new"}, BY_SETTINGS),
        ({"refresh_token": None}, (TOLD, TOLD)),
    ],
    ids=str,
)
def test_a_refresh_moves_the_end_of_its_refresh_token(
    bff: Receiver, fields: dict[str, Any], left: tuple[int, int]
) -> None:
    """What was told of the old one says nothing of a new one."""
    sign_in = bff.sign_in()
    ends_at = sign_in.tokens.issued_at + TOLD
    browser = started(bff, sign_in, expires_at=1, refresh_expires_at=ends_at)
    assert times(browser) == (TOLD, TOLD)
    bff.fake.token(bff.fake.grant(id_token=None, **fields))
    browser.get("/api/items", base_url=OURS, headers=FETCH)
    assert times(browser) == left


@pytest.mark.session_cache
def test_after_the_end_no_request_gets_in_and_nothing_is_spent(
    bff: Receiver, fake: FakeProvider
) -> None:
    other, sign_in = started(bff, bff.sign_in(sid="sid-two")), bff.sign_in()
    browser = started(bff, sign_in, refresh_expires_at=sign_in.tokens.issued_at + 2)

    def statuses() -> set[int]:
        paths = ("/auth/profile", "/auth/profile?slide=true", "/api/items", "/auth/sessions")
        return {browser.get(p, base_url=OURS, headers=FETCH).status_code for p in paths}

    assert 401 not in statuses()
    wait_for(lambda: statuses() == {401}, "the end")
    listed = other.get("/auth/sessions", base_url=OURS, headers=FETCH).get_json()["sessions"]
    assert [one["current"] for one in listed] == [True]
    query = {"headers": {"Authorization": f"Bearer {KEY}"}, "base_url": OURS}
    told = other.get("/admin/sessions?sub=auth0%7Cdemo", **query).get_json()
    assert len(told["sessions"]) == 1
    assert fake.count("/oauth/token") == 0

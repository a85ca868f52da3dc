"""The provider says that a session is over: what ends, and what a replay or a failure does."""

from __future__ import annotations

import secrets
import time
from typing import Any

import pytest
from joserfc.jwk import ECKey

from bff.app import services
from bff.core.errors import StoreUnavailable
from bff.sessions.lifecycle import session_key
from tests.support.fake_provider import CLIENT_ID, FakeProvider, Reply
from tests.support.fixtures import MakeReceiver
from tests.support.logout_tokens import EVENT, FORM, assert_refused, from_now, post, send
from tests.support.receiver import Receiver
from tests.support.redis_server import RedisServer
from tests.support.waiting import wait_for

pytestmark = pytest.mark.session_cache


# ---------------------------------------------------------------- what it ends
def test_a_sid_ends_what_hangs_on_it_and_nothing_else(bff: Receiver, fake: FakeProvider) -> None:
    mine, twice = bff.start(), bff.start()
    elsewhere, stranger = bff.start(sid="sid-two"), bff.start(subject="auth0|eve", sid="sid-eve")
    answer = post(bff, fake.logout_token())
    assert (answer.status_code, answer.data) == (200, b"")
    assert answer.headers["Cache-Control"] == "no-store"
    assert "Set-Cookie" not in answer.headers
    assert [bff.lives(key) for key in (mine, twice, elsewhere, stranger)] == [0, 0, 1, 1]
    wait_for(lambda: bff.revoked() == {"refresh-1", "refresh-2"}, "their tokens are revoked")


def test_a_sub_alone_ends_all_of_the_users_sessions(bff: Receiver, fake: FakeProvider) -> None:
    mine = [bff.start(), bff.start(sid="sid-two"), bff.start(sid=None)]
    stranger = bff.start(subject="auth0|eve", sid="sid-eve")
    assert post(bff, fake.logout_token(sid=None)).status_code == 200
    assert not any(bff.lives(key) for key in mine)
    assert bff.lives(stranger)


def test_a_sid_alone_is_enough(bff: Receiver, fake: FakeProvider) -> None:
    mine = bff.start()
    assert post(bff, fake.logout_token(sub=None)).status_code == 200
    assert not bff.lives(mine)


def test_the_refresh_tokens_are_revoked_at_once(
    receiver_for: MakeReceiver, fake: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The drain is woken; by itself it would not come again here."""
    monkeypatch.setattr(services, "DRAIN_SECONDS", 3600.0)
    bff = receiver_for()
    for _ in range(3):
        bff.start()
        revoked = len(bff.revoked())
        assert post(bff, fake.logout_token()).status_code == 200
        wait_for(lambda: len(bff.revoked()) > revoked, "revoked")  # noqa: B023
        wait_for(lambda: not bff.names("{outbox}:entry"), "nothing waits")


@pytest.mark.parametrize(
    "changes",
    [{"sid": "unknown"}, {"sid": "unknown", "sub": None}, {"sid": None, "sub": "auth0|nobody"}],
    ids=str,
)
def test_unknown_sessions_are_answered_with_200(
    bff: Receiver, fake: FakeProvider, changes: dict[str, Any]
) -> None:
    """2.7: a user who has signed out here already counts as success."""
    mine = bff.start()
    assert post(bff, fake.logout_token(**changes)).status_code == 200
    assert bff.lives(mine)


def test_a_sub_that_contradicts_the_sid_ends_nothing(bff: Receiver, fake: FakeProvider) -> None:
    mine, eves = bff.start(), bff.start(subject="auth0|eve", sid="sid-eve")
    told = assert_refused(bff, post(bff, fake.logout_token(sub="auth0|eve")))
    assert "different users" in told
    assert bff.lives(mine)
    assert bff.lives(eves)


def test_a_user_whose_sign_in_is_under_way_does_not_slip_through(
    bff: Receiver, fake: FakeProvider
) -> None:
    sign_in = bff.sign_in(auth_time=int(time.time()) - 5)
    assert post(bff, fake.logout_token()).status_code == 200
    with pytest.raises(Exception, match="older than the end"):
        bff.services.sessions.start(sign_in)
    after = bff.sign_in(sid="sid-new", auth_time=int(time.time()) - 5)
    assert bff.services.sessions.start(after), "another session at the provider goes on"


GOOD: dict[str, dict[str, Any]] = {
    "Auth0's": {},
    "typ logout+jwt": {"header": {"typ": "logout+jwt"}},
    "typ in capitals": {"header": {"typ": "LOGOUT+JWT"}},
    "typ as a whole media type": {"header": {"typ": "application/logout+jwt"}},
    "several audiences": {"aud": ["another", CLIENT_ID]},
    "another event beside it": {"events": {EVENT: {}, "https://example.com/more": {"a": 1}}},
    "an event with something in it": {"events": {EVENT: {"reason": "because"}}},
    "a clock that is 5 s ahead": {"iat": 5},
    "a clock that is 5 s behind": {"iat": -125, "exp": -5},
    "an unknown header and claim": {"header": {"x": 1}, "more": [None, {"a": "b"}]},
    "an elliptic key": {"key": ECKey.generate_key("P-256", {"kid": "ec"}), "alg": "ES256"},
}


@pytest.mark.parametrize("changes", GOOD.values(), ids=GOOD)
def test_a_good_token_is_taken(
    receiver_for: MakeReceiver, fake: FakeProvider, changes: dict[str, Any]
) -> None:
    if "key" in changes:
        fake.keys.append(changes["key"].as_dict(private=False))
    bff = receiver_for()
    mine = bff.start()
    assert post(bff, fake.logout_token(**from_now(changes))).status_code == 200
    assert not bff.lives(mine)


def test_other_values_of_the_form_are_passed_over(bff: Receiver, fake: FakeProvider) -> None:
    """2.5. Parameters of the content type too."""
    mine = bff.start()
    body = f"a=&logout_token={fake.logout_token()}&sid=x"
    assert send(bff, body, f"{FORM}; charset=UTF-8").status_code == 200
    assert not bff.lives(mine)


def test_which_typ_is_taken_can_be_narrowed(receiver_for: MakeReceiver, fake: FakeProvider) -> None:
    strict = receiver_for(BFF_LOGOUT_TOKEN_TYPES="logout+jwt")
    mine = strict.start()
    assert_refused(strict, post(strict, fake.logout_token()))
    assert strict.lives(mine)
    assert post(strict, fake.logout_token(header={"typ": "logout+jwt"})).status_code == 200


# ---------------------------------------------------------------- replays and failures
def test_a_replay_is_refused(bff: Receiver, fake: FakeProvider) -> None:
    token = fake.logout_token()
    assert post(bff, token).status_code == 200
    later = bff.start(auth_time=int(time.time()) + 1)
    answer = post(bff, token)
    assert (answer.status_code, answer.get_json()["error"]) == (400, "invalid_request")
    assert bff.lives(later)


def test_a_replay_is_refused_at_another_replica_and_after_a_rotation_of_the_keys(
    receiver_for: MakeReceiver, fake: FakeProvider
) -> None:
    here, token = receiver_for(), fake.logout_token()
    assert post(here, token).status_code == 200
    [name] = here.names("seen")
    assert 3600 <= here.services.stores.database.command("TTL", name) <= 3700
    assert "sid-one" not in name
    old = here.config.secrets[0].get_secret_value()
    there = receiver_for(AUTH0_SECRET=f"{secrets.token_hex(32)},{old}")
    assert post(there, token).status_code == 400


@pytest.mark.parametrize("step", ["rise", "members", "end_records", "deny", "remember"])
def test_a_failure_in_the_middle_is_no_use_of_the_token(
    bff: Receiver, fake: FakeProvider, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """503, and the same token ends the rest when it comes again."""
    mine, token = [bff.start(), bff.start()], fake.logout_token(sid=None)

    def away(*_: Any, **__: Any) -> None:
        raise StoreUnavailable("away")

    stores = bff.services.stores
    steps: dict[str, tuple[Any, str]] = {
        "rise": (stores.watermarks, "rise"),
        "members": (stores.indexes, "members"),
        "end_records": (stores.records, "end_records"),
        "deny": (stores.deny_list, "add"),
        "remember": (stores.seen_messages, "add"),
    }
    with monkeypatch.context() as broken:
        broken.setattr(*steps[step], away)
        answer = post(bff, token)
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "2"
    assert answer.headers["Cache-Control"] == "no-store"
    assert post(bff, token).status_code == 200
    assert not any(bff.lives(key) for key in mine)
    wait_for(lambda: bff.revoked() == {"refresh-1", "refresh-2"}, "revoked")
    assert post(bff, token).status_code == 400


def test_redis_away_is_503_and_a_retry_afterwards_succeeds(fake: FakeProvider) -> None:
    with RedisServer() as server:
        bff = Receiver(fake, server, "outage")
        try:
            mine, token = bff.start(), fake.logout_token()
            server.stop()
            assert post(bff, token).status_code == 503
            server.start_again()
            assert bff.lives(mine)
            assert post(bff, token).status_code == 200
            assert not bff.lives(mine)
        finally:
            bff.close()


def test_a_provider_whose_keys_are_away_is_503(receiver_for: MakeReceiver) -> None:
    fake = FakeProvider()
    try:
        fake.says("/jwks", lambda: Reply(b"", 503))
        fake.says("/.well-known/openid-configuration", lambda: Reply(b"", 503))
        receiver = receiver_for(OIDC_ISSUER=fake.issuer)
        mine = receiver.start()
        answer = post(receiver, fake.logout_token())
        assert answer.status_code == 503
        assert answer.get_json()["error"] == "temporarily_unavailable"
        assert receiver.lives(mine)
    finally:
        fake.stop()


def test_a_thousand_sessions_end_within_the_senders_patience(
    bff: Receiver, fake: FakeProvider
) -> None:
    mine = [bff.start() for _ in range(1000)]
    began_at = time.monotonic()
    assert post(bff, fake.logout_token(sid=None)).status_code == 200
    assert time.monotonic() - began_at < 5
    assert not any(bff.lives(key) for key in mine)


def test_a_session_key_is_what_the_cookie_hashes_to(bff: Receiver) -> None:
    """So that `lives` above means what a request would meet."""
    cookie = bff.services.sessions.start(bff.sign_in())
    key = session_key(cookie)
    assert key
    assert bff.lives(key)

"""Back-channel logout: which sessions end, and the effect of a repeated token or a failure."""

from __future__ import annotations

import secrets
import time
from typing import Any

import pytest
from joserfc.jwk import ECKey

from bff.app import services
from bff.core.errors import StoreUnavailable
from bff.sessions.lifecycle import session_key
from tests.support.fake_provider import CLIENT_ID, NULL, FakeProvider, Reply
from tests.support.fixtures import MakeReceiver
from tests.support.logout_tokens import EVENT, FORM, assert_refused, from_now, post, send
from tests.support.receiver import Receiver
from tests.support.redis_server import RedisServer
from tests.support.waiting import wait_for

pytestmark = pytest.mark.session_cache


# ---------------------------------------------------------------- what it ends
def test_a_sid_ends_its_sessions_and_no_others(bff: Receiver, fake: FakeProvider) -> None:
    mine, twice = bff.start(), bff.start()
    elsewhere, stranger = bff.start(sid="sid-two"), bff.start(subject="auth0|eve", sid="sid-eve")
    response = post(bff, fake.logout_token())
    assert (response.status_code, response.data) == (200, b"")
    assert response.headers["Cache-Control"] == "no-store"
    assert "Set-Cookie" not in response.headers
    assert [bff.has_session(key) for key in (mine, twice, elsewhere, stranger)] == [0, 0, 1, 1]
    wait_for(lambda: bff.revoked() == {"refresh-1", "refresh-2"}, "their tokens are revoked")


def test_a_sub_alone_ends_all_of_the_users_sessions(bff: Receiver, fake: FakeProvider) -> None:
    mine = [bff.start(), bff.start(sid="sid-two"), bff.start(sid=None)]
    stranger = bff.start(subject="auth0|eve", sid="sid-eve")
    assert post(bff, fake.logout_token(sid=None)).status_code == 200
    assert not any(bff.has_session(key) for key in mine)
    assert bff.has_session(stranger)


def test_a_sid_alone_is_enough(bff: Receiver, fake: FakeProvider) -> None:
    mine = bff.start()
    assert post(bff, fake.logout_token(sub=None)).status_code == 200
    assert not bff.has_session(mine)


@pytest.mark.next_second
def test_the_refresh_tokens_are_revoked_at_once(
    receiver_for: MakeReceiver, fake: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The drain is woken; its next regular run would be too late."""
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
def test_unknown_sessions_are_a_success(
    bff: Receiver, fake: FakeProvider, changes: dict[str, Any]
) -> None:
    """2.7: a user who has signed out here before is a success."""
    mine = bff.start()
    assert post(bff, fake.logout_token(**changes)).status_code == 200
    assert bff.has_session(mine)


def test_a_sub_that_contradicts_the_sid_ends_nothing(bff: Receiver, fake: FakeProvider) -> None:
    mine, eves = bff.start(), bff.start(subject="auth0|eve", sid="sid-eve")
    description = assert_refused(bff, post(bff, fake.logout_token(sub="auth0|eve")))
    assert "different users" in description
    assert bff.has_session(mine)
    assert bff.has_session(eves)


@pytest.mark.next_second
def test_a_sign_in_from_before_the_logout_starts_no_session(
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
    "Keycloak's, with a member that is no event": {
        "events": {EVENT: {}, "revoke_offline_access": True, "other": None, "more": ["a"]}
    },
    "Hydra's, without exp": {"exp": None},
    "without exp, 50 minutes old": {"exp": None, "iat": -3000},
    "an event with something in it": {"events": {EVENT: {"reason": "because"}}},
    "null for what is missing": {"nonce": NULL, "nbf": NULL, "exp": NULL},
    "a sub that is null beside the sid": {"sub": NULL},
    "a sid that is null beside the sub": {"sid": NULL},
    "a clock that is 5 s ahead": {"iat": 5},
    "a clock that is 5 s behind": {"iat": -125, "exp": -5},
    "an unknown header and claim": {"header": {"x": 1}, "more": [None, {"a": "b"}]},
    "an elliptic key": {"key": ECKey.generate_key("P-256", {"kid": "ec"}), "alg": "ES256"},
}


@pytest.mark.parametrize("changes", GOOD.values(), ids=GOOD)
def test_a_valid_token_is_accepted(
    receiver_for: MakeReceiver, fake: FakeProvider, changes: dict[str, Any]
) -> None:
    if "key" in changes:
        fake.keys.append(changes["key"].as_dict(private=False))
    bff = receiver_for()
    mine = bff.start()
    assert post(bff, fake.logout_token(**from_now(changes))).status_code == 200
    assert not bff.has_session(mine)


def test_other_parameters_of_the_form_are_ignored(bff: Receiver, fake: FakeProvider) -> None:
    """2.5. So are parameters of the media type."""
    mine = bff.start()
    body = f"a=&logout_token={fake.logout_token()}&sid=x"
    assert send(bff, body, f"{FORM}; charset=UTF-8").status_code == 200
    assert not bff.has_session(mine)


def test_the_accepted_typ_can_be_narrowed(receiver_for: MakeReceiver, fake: FakeProvider) -> None:
    strict = receiver_for(BFF_LOGOUT_TOKEN_TYPES="logout+jwt")
    mine = strict.start()
    assert_refused(strict, post(strict, fake.logout_token()))
    assert strict.has_session(mine)
    assert post(strict, fake.logout_token(header={"typ": "logout+jwt"})).status_code == 200


# ---------------------------------------------------------------- repeated tokens and failures
@pytest.mark.next_second
def test_a_repeated_token_is_refused(bff: Receiver, fake: FakeProvider) -> None:
    token = fake.logout_token()
    assert post(bff, token).status_code == 200
    later = bff.start(auth_time=int(time.time()) + 1)
    response = post(bff, token)
    assert (response.status_code, response.get_json()["error"]) == (400, "invalid_request")
    assert bff.has_session(later)


def test_a_repeated_token_is_refused_at_another_replica_and_after_a_key_rotation(
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


@pytest.mark.parametrize("step", ["rise", "members", "end_records", "deny", "seen"])
def test_a_failure_half_way_does_not_use_up_the_token(
    bff: Receiver, fake: FakeProvider, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The response is 503, and the same token then ends the other sessions."""
    mine, token = [bff.start(), bff.start()], fake.logout_token(sid=None)

    def away(*_: Any, **__: Any) -> None:
        raise StoreUnavailable("away")

    stores = bff.services.stores
    steps: dict[str, tuple[Any, str]] = {
        "rise": (stores.watermarks, "rise"),
        "members": (stores.indexes, "members"),
        "end_records": (stores.records, "end_records"),
        "deny": (stores.deny_list, "add"),
        "seen": (stores.seen_messages, "add"),
    }
    with monkeypatch.context() as broken:
        broken.setattr(*steps[step], away)
        response = post(bff, token)
    assert response.status_code == 503
    assert response.headers["Retry-After"] == "2"
    assert response.headers["Cache-Control"] == "no-store"
    assert post(bff, token).status_code == 200
    assert not any(bff.has_session(key) for key in mine)
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
            assert bff.has_session(mine)
            assert post(bff, token).status_code == 200
            assert not bff.has_session(mine)
        finally:
            bff.close()


def test_without_the_providers_keys_the_response_is_503(receiver_for: MakeReceiver) -> None:
    fake = FakeProvider()
    try:
        fake.says("/jwks", lambda: Reply(b"", 503))
        fake.says("/.well-known/openid-configuration", lambda: Reply(b"", 503))
        receiver = receiver_for(OIDC_ISSUER=fake.issuer)
        mine = receiver.start()
        response = post(receiver, fake.logout_token())
        assert response.status_code == 503
        assert response.get_json()["error"] == "temporarily_unavailable"
        assert receiver.has_session(mine)
    finally:
        fake.stop()


def test_a_thousand_sessions_end_before_the_provider_times_out(
    bff: Receiver, fake: FakeProvider
) -> None:
    mine = [bff.start() for _ in range(1000)]
    began_at = time.monotonic()
    assert post(bff, fake.logout_token(sid=None)).status_code == 200
    assert time.monotonic() - began_at < 5
    assert not any(bff.has_session(key) for key in mine)


def test_a_session_key_is_the_hash_of_the_cookie(bff: Receiver) -> None:
    """So `has_session` above looks up the session that a request would find."""
    cookie = bff.services.sessions.start(bff.sign_in())
    key = session_key(cookie)
    assert key
    assert bff.has_session(key)

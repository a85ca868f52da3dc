"""A profile follows the provider, its indexes with it, and no failure costs a session."""

from __future__ import annotations

from typing import Any, NoReturn
from unittest import mock

import msgspec
import pytest

from bff.core.errors import (
    BFFError,
    IDTokenInvalid,
    ProviderUnavailable,
    SessionEnded,
    StoreUnavailable,
)
from bff.core.model import Group
from tests.support.bench import Bench, MakeBench, token_response
from tests.tokens.test_renewal import EXPIRED

ISSUER = "https://provider.example/"
OLD = Group.of_email(ISSUER, "dana@example.com")
NEW = Group.of_email(ISSUER, "dana@new.example")
CHANGED = {"email": "dana@new.example", "name": "Dana Married"}


def tell(bench: Bench, **claims: Any) -> None:
    """From now on each refresh brings an ID token with these claims."""
    bench.provider.on_refresh = lambda _: msgspec.structs.replace(
        token_response(len(bench.provider.refreshed), now=bench.now()), claims=claims
    )


def refresh(bench: Bench, key: str) -> None:
    bench.access_token(bench.load(key))


def refreshed(bench: Bench, **claims: Any) -> str:
    """A session whose refresh has brought *claims*."""
    tell(bench, **claims)
    key = bench.start(**EXPIRED)
    refresh(bench, key)
    return key


def lost(*_: object) -> NoReturn:
    raise StoreUnavailable("killed here")


def test_claims_follow_and_those_that_the_id_token_lacks_stay(bench: Bench) -> None:
    key = refreshed(bench, name="Dana Married", roles=["editor"])
    claims = bench.load(key).identity.claims
    assert claims == {
        "sub": "auth0|dana",
        "name": "Dana Married",
        "email": "dana@example.com",
        "roles": ["editor"],
    }


def test_an_end_by_the_new_address_ends_it_and_one_by_the_old_counts_none(bench: Bench) -> None:
    key = refreshed(bench, **CHANGED)
    assert bench.sessions.of_group(OLD) == []
    assert bench.sessions.end_group(OLD, "admin") == 0
    assert bench.load(key).identity.claims["email"] == "dana@new.example"
    assert bench.sessions.end_group(NEW, "admin") == 1
    assert bench.sessions.load(key) is None


def test_after_the_end_of_a_session_no_index_names_it(bench: Bench) -> None:
    key = refreshed(bench, **CHANGED)
    bench.sessions.end(key, "logout")
    groups = [OLD, NEW, Group.of_user(ISSUER, "auth0|dana"), Group.everyone()]
    assert [bench.indexes.members(group) for group in groups] == [[]] * 4


def test_another_spelling_of_the_same_address_stays_in_its_index(bench: Bench) -> None:
    refreshed(bench, email="Dana@Example.COM")
    assert bench.sessions.end_group(OLD, "admin") == 1


@pytest.mark.parametrize("by", [OLD, NEW], ids=["old", "new"])
@pytest.mark.parametrize("step", ["before the record", "before the old index"])
def test_a_kill_in_between_hides_the_session_from_no_end(
    bench: Bench, step: str, by: Group
) -> None:
    target = {
        "before the record": (bench.stores.identity_changes, "_replace"),
        "before the old index": (bench.indexes, "drop"),
    }[step]
    with mock.patch.object(*target, side_effect=lost):
        key = refreshed(bench, **CHANGED)
    assert bench.load(key).tokens.refresh_token == "refresh-1"
    assert bench.sessions.end_group(by, "admin") == 1
    assert bench.sessions.load(key) is None


def test_an_end_by_an_address_that_the_session_didn_t_know_yet_holds(bench: Bench) -> None:
    tell(bench, **CHANGED)
    key = bench.start(**EXPIRED)
    assert bench.sessions.end_group(NEW, "admin") == 0
    with pytest.raises(SessionEnded):
        refresh(bench, key)
    assert bench.sessions.load(key) is None
    assert bench.provider.revoked == ["refresh-1"]


def test_an_end_of_the_new_address_from_before_the_sign_in_ends_nothing(bench: Bench) -> None:
    bench.sessions.end_group(NEW, "admin")
    key = refreshed(bench, **CHANGED)
    assert bench.load(key).identity.claims["email"] == "dana@new.example"


def test_a_session_that_ends_during_the_change_stays_ended(bench: Bench) -> None:
    tell(bench, **CHANGED)
    key = bench.start(**EXPIRED)
    add_to = bench.indexes.add_to

    def end_meanwhile(*arguments: Any) -> list[int]:
        counts = add_to(*arguments)
        bench.sessions.end(key, "logout")
        return counts

    session = bench.load(key)
    with mock.patch.object(bench.indexes, "add_to", side_effect=end_meanwhile):
        bench.access_token(session)
    assert bench.sessions.load(key) is None
    assert bench.indexes.members(NEW) == []


# ---------------------------------------------------------------- UserInfo
def with_userinfo(make_bench: MakeBench, **claims: Any) -> Bench:
    bench = make_bench(BFF_USERINFO="true")
    tell(bench, name="from the ID token")
    bench.provider.on_userinfo = lambda token, subject: claims
    return bench


def test_userinfo_is_asked_with_the_new_token_and_stands_over_the_id_token(
    make_bench: MakeBench,
) -> None:
    bench = with_userinfo(make_bench)
    asked = []

    def answer(*arguments: str) -> dict[str, Any]:
        asked.append(arguments)
        return CHANGED

    bench.provider.on_userinfo = answer
    key = bench.start(**EXPIRED)
    refresh(bench, key)
    assert asked == [("access-1", "auth0|dana")]
    assert bench.load(key).identity.claims["name"] == "Dana Married"
    assert bench.sessions.end_group(NEW, "admin") == 1


@pytest.mark.parametrize(
    "error", [ProviderUnavailable("503"), IDTokenInvalid("another sub")], ids=["outage", "other"]
)
def test_a_userinfo_that_is_away_or_of_another_costs_no_session(
    make_bench: MakeBench, error: BFFError, caplog: pytest.LogCaptureFixture
) -> None:
    bench = with_userinfo(make_bench)

    def fail(*_: str) -> NoReturn:
        raise error

    bench.provider.on_userinfo = fail
    key = bench.start(**EXPIRED)
    assert bench.access_token(bench.load(key)) == "access-1"
    assert bench.load(key).identity.claims["name"] == "from the ID token"
    assert "UserInfo says nothing" in caplog.text


def test_redis_that_fails_at_the_change_costs_no_token(bench: Bench) -> None:
    tell(bench, **CHANGED)
    key = bench.start(**EXPIRED)
    with mock.patch.object(bench.indexes, "add_to", side_effect=lost):
        assert bench.access_token(bench.load(key)) == "access-1"
    session = bench.load(key)
    assert session.tokens.refresh_token == "refresh-1"
    assert session.identity.claims["email"] == "dana@example.com"

"""Which access tokens are valid? On a real Redis, and against a table of forgeries."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from joserfc.jwk import RSAKey

from bff.core.errors import ProviderUnavailable, ScopeMissing, StoreUnavailable, TokenInvalid
from bff.core.keyed_hashes import KeyedHashes
from bff.core.model import Group, Tokens
from bff.core.sealing import Sealer
from bff.resource_server.revoked_tokens import RevokedTokenKeys, RevokedTokens
from bff.resource_server.verification import AccessTokenVerifier, ExpectedAccessToken
from bff.store import Database, DenyList, HistoryStart, Watermarks
from tests.support.issuer import AUDIENCE, EC_KEY, ISSUER, KEY, OTHER_KEY, REFUSED, Issuer, token
from tests.support.redis_server import RedisServer

SECRET, NEWER_SECRET = "s" * 40, "n" * 40


class Bench:
    """What the BFF writes to Redis, and a verifier that reads it."""

    def __init__(self, server: RedisServer, prefix: str) -> None:
        self.database = Database(server.client(), prefix)
        self.sealer = Sealer([SECRET])
        self.issuer = Issuer()
        self.start_history(3600)

    def start_history(self, seconds_ago: int) -> None:
        key = self.keys().history_start_keys()[0]
        self.database.command("SET", key, int(time.time()) - seconds_ago)

    def keys(self, *secrets: str) -> RevokedTokenKeys:
        names = Sealer(secrets or (SECRET,)).revoked_token_names
        # Through the text, as an API gets them.
        return RevokedTokenKeys(self.database.prefix, KeyedHashes.from_text(names.as_text()))

    def verifier(self, *secrets: str, **expected: Any) -> AccessTokenVerifier:
        rules: dict[str, Any] = {"issuer": ISSUER, "audience": AUDIENCE, **expected}
        revoked_tokens = RevokedTokens(self.database.commands, self.keys(*secrets))
        return AccessTokenVerifier(
            ExpectedAccessToken(**rules), self.issuer.keys().find, revoked_tokens
        )

    def deny(self, access_token: str, *secrets: str) -> None:
        deny_list = DenyList(self.database, Sealer(secrets or (SECRET,)), 10)
        tokens = Tokens(access_token=access_token, issued_at=int(time.time()), expires_at=0)
        deny_list.add([deny_list.entry(tokens)])

    def rise(self, group: Group) -> int:
        return Watermarks(self.database, self.sealer, lifetime_seconds=60).rise(group)

    def reason(self, access_token: str) -> str:
        with pytest.raises(TokenInvalid) as refusal:
            self.verifier().verify(access_token)
        return refusal.value.detail


@pytest.fixture
def bench(redis_server: RedisServer, redis_prefix: str) -> Iterator[Bench]:
    bench = Bench(redis_server, redis_prefix)
    yield bench
    bench.database.client.close()


# ---------------------------------------------------------------- valid


@pytest.mark.parametrize(
    "make",
    [
        lambda: token(),
        lambda: token(header={"typ": "at+jwt"}, jti="1", client_id="c"),
        lambda: token(header={"typ": "application/AT+JWT"}),
        lambda: token(without_typ=True),
        lambda: token(header={"x-of-the-provider": 1}),
        lambda: token(EC_KEY, {"alg": "ES256", "kid": "e1"}),
        lambda: token(aud=["https://issuer.test/userinfo", AUDIENCE]),
        lambda: token(iat=int(time.time()) + 5),
        lambda: token(sub="auth0|ö 'x\" \u2028"),
    ],
    ids=[
        "auth0_dialect", "rfc9068_dialect", "rfc9068_long_type", "no_type", "unknown_header",
        "es256", "audience_list", "clock_a_little_ahead", "odd_subject",
    ],
)  # fmt: skip
def test_a_valid_token_is_accepted(bench: Bench, make: Callable[[], str]) -> None:
    assert bench.verifier().verify(make())["iss"] == ISSUER


def test_a_key_with_the_name_of_another_is_tried_and_found(bench: Bench) -> None:
    """The second of two, or one that has taken the place of the other. Forged ones cost little."""
    verifier = bench.verifier()
    assert verifier.verify(token())
    for _ in range(20):
        with pytest.raises(TokenInvalid, match="BadSignature"):
            verifier.verify(token(OTHER_KEY))
    assert len(bench.issuer.fetched) == 4
    bench.issuer.listed = [KEY, OTHER_KEY]
    verifier = bench.verifier()
    for _ in range(2):
        assert verifier.verify(token(OTHER_KEY))
        assert verifier.verify(token(KEY))
    third = RSAKey.generate_key(2048, {"kid": "k1"})
    bench.issuer.listed = [third]
    assert verifier.verify(token(third))


def test_without_an_audience_all_but_id_tokens_pass(bench: Bench) -> None:
    verifier = bench.verifier(audience=None, not_audience="client-id")
    assert verifier.verify(token(aud="https://whatever"))
    with pytest.raises(TokenInvalid):
        verifier.verify(token(aud=["client-id", "https://whatever"]))


OTHER = "another-client"


@pytest.mark.parametrize(
    ("changes", "header"),
    [
        ({"aud": OTHER, "scope": None}, {}),
        ({"aud": [OTHER], "azp": OTHER}, {}),
        ({"aud": [OTHER, "x"], "azp": OTHER, "scope": None}, {}),
        ({"aud": OTHER, "nonce": "n"}, {}),
        ({"aud": "web-client", "azp": OTHER, "scope": None, "email": "a@b.example"}, {}),
        ({"aud": OTHER, "client_id": OTHER}, {"typ": None}),
        ({"aud": "https://api", "typ": "ID"}, {}),
        ({"aud": "https://api", "token_use": "id"}, {"typ": "at+jwt"}),
    ],
)
def test_without_an_audience_an_id_token_of_another_client_is_refused(
    bench: Bench, changes: dict[str, Any], header: dict[str, Any]
) -> None:
    with pytest.raises(TokenInvalid):
        bench.verifier(audience=None, not_audience="client-id").verify(
            token(KEY, header, **changes)
        )


@pytest.mark.parametrize(
    ("changes", "header"),
    [
        ({"azp": "client-id"}, {}),
        ({"azp": OTHER, "aud": ["https://api", "https://issuer.test/userinfo"]}, {}),
        ({"aud": None, "client_id": "client-id", "token_use": "access"}, {}),
        ({"scope": None, "permissions": ["read:items"]}, {}),
        ({"scope": None, "client_id": OTHER}, {"typ": "at+jwt"}),
        ({"aud": "account", "azp": OTHER, "nonce": "n", "typ": "Bearer"}, {}),
    ],
)
def test_without_an_audience_an_access_token_passes(
    bench: Bench, changes: dict[str, Any], header: dict[str, Any]
) -> None:
    verifier = bench.verifier(audience=None, not_audience="client-id")
    assert verifier.verify(token(KEY, header, **changes))


@pytest.mark.parametrize(
    ("scope", "claims", "allowed"),
    [
        ("", {"scope": None}, True),
        ("read:items", {}, True),
        ("read:items openid", {}, True),
        ("read:items write:items", {}, False),
        ("read", {}, False),
        ("write:items", {"permissions": ["write:items"]}, True),
        ("write:items", {"permissions": "write:items"}, False),
        ("write:items", {"scope": ["write:items"]}, False),
        ("write:items", {"permissions": [{"write:items": 1}, ["write:items"]]}, False),
    ],
)
def test_scopes(bench: Bench, scope: str, claims: dict[str, Any], allowed: bool) -> None:
    if allowed:
        assert bench.verifier().verify(token(**claims), scope)
        return
    with pytest.raises(ScopeMissing):
        bench.verifier().verify(token(**claims), scope)


# ---------------------------------------------------------------- forged or not for us


@pytest.mark.parametrize("make", REFUSED.values(), ids=REFUSED.keys())
def test_a_forged_token_is_rejected_without_redis(bench: Bench, make: Callable[[], str]) -> None:
    forged = make()
    sent: list[object] = []
    revoked_tokens = RevokedTokens(lambda *c: sent.append(c) or [], bench.keys())  # type: ignore[func-returns-value]
    expected = ExpectedAccessToken(issuer=ISSUER, audience=AUDIENCE)
    with pytest.raises(TokenInvalid) as refusal:
        AccessTokenVerifier(expected, bench.issuer.keys().find, revoked_tokens).verify(forged)
    assert not sent
    assert not any(part in refusal.value.detail for part in forged.split(".") if len(part) > 9)


def test_there_is_no_leeway_for_exp(bench: Bench) -> None:
    """The deny-list drops a token soon after it expires."""
    access_token = token(iat=1000, exp=2000)
    bench.database.command("SET", bench.keys().history_start_keys()[0], 1)
    revoked_tokens = RevokedTokens(bench.database.commands, bench.keys())
    for now, valid in ((1999.9, True), (2000.0, False)):
        expected = ExpectedAccessToken(issuer=ISSUER, audience=AUDIENCE)
        clock: Callable[[], float] = partial(float, now)
        verifier = AccessTokenVerifier(expected, bench.issuer.keys().find, revoked_tokens, clock)
        if valid:
            assert verifier.verify(access_token)
        else:
            with pytest.raises(TokenInvalid):
                verifier.verify(access_token)


# ---------------------------------------------------------------- revoked


def test_a_denied_token_is_rejected_and_another_of_the_user_is_not(bench: Bench) -> None:
    copied, other = token(jti="1"), token(jti="2")
    assert bench.verifier().verify(copied)
    bench.deny(copied)
    assert bench.reason(copied) == "denied"
    assert bench.verifier().verify(other)


@pytest.mark.parametrize("group", [Group.of_user(ISSUER, "alice"), Group.everyone()])
def test_tokens_older_than_a_watermark_are_rejected(bench: Bench, group: Group) -> None:
    old = token()
    risen = bench.rise(group)
    assert bench.reason(old) == "older_than_watermark"
    assert bench.reason(token(iat=risen - 1)) == "older_than_watermark"
    assert bench.verifier().verify(token(iat=risen))


@pytest.mark.parametrize(
    "group",
    [Group.of_user(ISSUER, "bob"), Group.of_user("https://other/", "alice"),
     Group.of_sid(ISSUER, "alice"), Group.of_email(ISSUER, "alice")],
)  # fmt: skip
def test_the_watermark_of_another_group_has_no_effect(bench: Bench, group: Group) -> None:
    bench.rise(group)
    assert bench.verifier().verify(token())


def test_the_newest_of_several_watermarks_counts(bench: Bench) -> None:
    [of_everyone] = bench.keys().watermark_keys("everyone")
    now = int(time.time())
    bench.database.command("SET", of_everyone, now - 100)
    risen = bench.rise(Group.of_user(ISSUER, "alice"))
    assert bench.reason(token(iat=risen - 1)) == "older_than_watermark"
    bench.database.command("SET", of_everyone, risen + 2)
    assert bench.reason(token(iat=risen + 1)) == "older_than_watermark"


def test_keys_can_be_rotated(bench: Bench) -> None:
    """With both keys, entries named with either key are found."""
    old, new = token(jti="1"), token(jti="2")
    bench.deny(old)
    bench.deny(new, NEWER_SECRET)
    verifier = bench.verifier(NEWER_SECRET, SECRET)
    for denied in (old, new):
        with pytest.raises(TokenInvalid, match="denied"):
            verifier.verify(denied)
    assert verifier.verify(token(jti="3"))


# ---------------------------------------------------------------- unknown


def test_after_redis_was_emptied_older_tokens_are_rejected(bench: Bench) -> None:
    copied = token()
    bench.deny(copied)
    for key in bench.database.client.scan_iter(f"{bench.database.prefix}:*"):
        bench.database.client.delete(key)
    start_at = HistoryStart(bench.database, bench.sealer).begin()
    assert bench.reason(copied) == "older_than_store"
    assert bench.reason(token(iat=start_at - 1)) == "older_than_store"
    assert bench.verifier().verify(token(iat=start_at))


def test_the_bff_writes_the_history_start_and_an_api_waits_for_it(bench: Bench) -> None:
    copied = token()
    bench.database.command("DEL", *bench.keys().history_start_keys())
    with pytest.raises(StoreUnavailable):
        bench.verifier().verify(copied)
    start = HistoryStart(bench.database, bench.sealer)
    may_write = RevokedTokens(bench.database.commands, bench.keys(), start.begin)
    assert may_write.reason(copied, {"iss": ISSUER, "sub": "alice", "iat": int(time.time())}) == (
        "older_than_store"
    )
    assert bench.reason(copied) == "older_than_store"


def test_with_a_wrong_key_or_prefix_every_request_fails(bench: Bench) -> None:
    with pytest.raises(StoreUnavailable, match="deny-list key"):
        bench.verifier(NEWER_SECRET).verify(token())
    bench.database.prefix += "x"
    with pytest.raises(StoreUnavailable, match="prefix"):
        bench.verifier().verify(token())


def test_with_an_outdated_key_every_request_fails(bench: Bench) -> None:
    """An API that has only the old key can't find new entries."""
    HistoryStart(bench.database, Sealer([NEWER_SECRET, SECRET])).begin()
    with pytest.raises(StoreUnavailable):
        bench.verifier(SECRET).verify(token())
    assert bench.verifier(NEWER_SECRET, SECRET).verify(token())


def test_of_two_history_starts_the_older_counts(bench: Bench) -> None:
    """During a key rotation there may be one for each key."""
    newer_name = bench.keys(NEWER_SECRET).history_start_keys()[0]
    bench.database.command("SET", newer_name, int(time.time()) + 60)
    assert bench.verifier(NEWER_SECRET, SECRET).verify(token())


def test_without_redis_validity_is_unknown(redis_prefix: str) -> None:
    with RedisServer() as server:
        bench = Bench(server, redis_prefix)
        verifier = bench.verifier()
        assert verifier.verify(token())
        server.stop()
        with pytest.raises(StoreUnavailable):
            verifier.verify(token())
        server.start_again()
        assert verifier.verify(token())
        bench.database.client.close()


def test_without_the_provider_s_keys_validity_is_unknown(bench: Bench) -> None:
    bench.issuer.broken = True
    with pytest.raises(ProviderUnavailable):
        bench.verifier().verify(token())


def test_all_lookups_are_one_round_trip(bench: Bench) -> None:
    trips: list[int] = []

    def counted(*commands: tuple[str | bytes | float, ...]) -> list[Any]:
        trips.append(len(commands))
        return bench.database.commands(*commands)

    revoked_tokens = RevokedTokens(counted, bench.keys())
    expected = ExpectedAccessToken(issuer=ISSUER, audience=AUDIENCE)
    assert AccessTokenVerifier(expected, bench.issuer.keys().find, revoked_tokens).verify(token())
    assert trips == [5]


@pytest.mark.parametrize(
    ("expected", "aud"),
    [
        ({}, "account"),
        ({}, ["a", "b"]),
        ({}, None),
        ({"audience": None, "not_audience": "client-one"}, "client-one"),
    ],
)
def test_a_genuine_token_of_another_audience_is_logged_once(
    bench: Bench, caplog: pytest.LogCaptureFixture, expected: dict[str, Any], aud: object
) -> None:
    verifier = bench.verifier(**expected)
    for access_token in [token(aud=aud), token(aud=aud), token(aud=aud, exp=1)]:
        with pytest.raises(TokenInvalid):
            verifier.verify(access_token)
    [line] = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    assert repr(aud) in line
    assert access_token not in line


def test_an_expired_token_logs_nothing(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(TokenInvalid):
        bench.verifier().verify(token(aud="account", exp=1))
    assert caplog.records == []

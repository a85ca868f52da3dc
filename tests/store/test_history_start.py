"""Since when does this Redis remember? Each test on a key prefix of its own."""

from __future__ import annotations

import time

from bff.core.model import Tokens
from bff.core.sealing import Sealer
from bff.store import Database, DenyList, HistoryStart
from tests.support.bench import SECRET, Bench

NEWER_SECRET = "n" * 40


def epoch(bench: Bench, *secrets: str) -> HistoryStart:
    return HistoryStart(bench.database, Sealer(secrets))


def born_keys(database: Database) -> list[bytes]:
    return list(database.client.scan_iter(f"{database.prefix}:{{born_at}}:*"))


def test_the_first_instant_is_the_next_second_and_stays(bench: Bench) -> None:
    before = int(bench.database.now())
    born_at = epoch(bench, SECRET).begin()
    assert before < born_at <= int(bench.database.now()) + 1
    time.sleep(max(0.0, born_at - time.time()) + 0.01)
    assert epoch(bench, SECRET).begin() == born_at
    [key] = born_keys(bench.database)
    assert bench.database.command("TTL", key) == -1


def test_it_has_begun_when_its_second_has_come(bench: Bench) -> None:
    name = epoch(bench, SECRET)._keys[0]
    now = int(bench.database.now())
    bench.database.command("SET", name, now + 60)
    assert not epoch(bench, SECRET).has_begun()
    bench.database.command("SET", name, now - 60)
    assert epoch(bench, SECRET).has_begun()


def test_a_new_key_takes_the_instant_over(bench: Bench) -> None:
    born_at = epoch(bench, SECRET).begin()
    [old] = born_keys(bench.database)
    assert epoch(bench, NEWER_SECRET, SECRET).begin() == born_at
    [new] = born_keys(bench.database)
    assert new != old


def test_of_two_instants_the_older_is_believed(bench: Bench) -> None:
    newer, older = epoch(bench, NEWER_SECRET, SECRET)._keys
    bench.database.command("SET", newer, 2000)
    bench.database.command("SET", older, 1000)
    assert epoch(bench, NEWER_SECRET, SECRET).begin() == 1000
    assert bench.database.client.exists(newer, older) == 1


def test_a_denied_token_is_listed_until_its_own_end(bench: Bench) -> None:
    """`expires_in` may be missing; an API goes by `exp`."""
    payload = "eyJleHAiOjUwMDB9"  # {"exp":5000}
    deny_list = DenyList(bench.database, bench.sealer, 0)
    dead = deny_list.entry(Tokens(access_token=f"e30.{payload}.x", issued_at=0, expires_at=300))
    assert dead.expires_at == 5000
    opaque = deny_list.entry(Tokens(access_token="opaque", issued_at=0, expires_at=300))
    assert opaque.expires_at == 300
    endless = "eyJleHAiOjFlOTl9"  # {"exp":1e99}
    bounded = deny_list.entry(Tokens(access_token=f"e30.{endless}.x", issued_at=0, expires_at=300))
    assert bounded.expires_at == 31 * 86_400

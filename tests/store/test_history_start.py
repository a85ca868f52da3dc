"""Since when does this Redis have a complete history? Each test has its own key prefix."""

from __future__ import annotations

import time

from bff.core.model import Tokens
from bff.core.sealing import Sealer
from bff.store import Database, DenyList, HistoryStart
from tests.support.bench import SECRET, Bench

NEWER_SECRET = "n" * 40


def history_start(bench: Bench, *secrets: str) -> HistoryStart:
    return HistoryStart(bench.database, Sealer(secrets))


def stored_keys(database: Database) -> list[bytes]:
    return list(database.client.scan_iter(f"{database.prefix}:{{born_at}}:*"))


def test_the_history_starts_at_the_next_second_and_that_stays(bench: Bench) -> None:
    before = int(bench.database.now())
    start_at = history_start(bench, SECRET).begin()
    assert before < start_at <= int(bench.database.now()) + 1
    time.sleep(max(0.0, start_at - time.time()) + 0.01)
    assert history_start(bench, SECRET).begin() == start_at
    [key] = stored_keys(bench.database)
    assert bench.database.command("TTL", key) == -1


def test_it_has_begun_when_its_second_is_reached(bench: Bench) -> None:
    name = history_start(bench, SECRET)._keys[0]
    now = int(bench.database.now())
    bench.database.command("SET", name, now + 60)
    assert not history_start(bench, SECRET).has_begun()
    bench.database.command("SET", name, now - 60)
    assert history_start(bench, SECRET).has_begun()


def test_the_instant_is_moved_to_the_name_of_a_new_key(bench: Bench) -> None:
    start_at = history_start(bench, SECRET).begin()
    [old] = stored_keys(bench.database)
    assert history_start(bench, NEWER_SECRET, SECRET).begin() == start_at
    [new] = stored_keys(bench.database)
    assert new != old


def test_of_two_instants_the_older_counts(bench: Bench) -> None:
    newer, older = history_start(bench, NEWER_SECRET, SECRET)._keys
    bench.database.command("SET", newer, 2000)
    bench.database.command("SET", older, 1000)
    assert history_start(bench, NEWER_SECRET, SECRET).begin() == 1000
    assert bench.database.client.exists(newer, older) == 1


def test_a_denied_token_is_listed_until_it_expires(bench: Bench) -> None:
    """`expires_in` may be missing; APIs read `exp`."""
    payload = "eyJleHAiOjUwMDB9"  # {"exp":5000}
    deny_list = DenyList(bench.database, bench.sealer, 0)
    listed = deny_list.entry(Tokens(access_token=f"e30.{payload}.x", issued_at=0, expires_at=300))
    assert listed.expires_at == 5000
    opaque = deny_list.entry(Tokens(access_token="opaque", issued_at=0, expires_at=300))
    assert opaque.expires_at == 300
    endless = "eyJleHAiOjFlOTl9"  # {"exp":1e99}
    bounded = deny_list.entry(Tokens(access_token=f"e30.{endless}.x", issued_at=0, expires_at=300))
    assert bounded.expires_at == 31 * 86_400

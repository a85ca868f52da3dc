"""A session is bound once; an end wins, and a record that knows nothing of it stays readable."""

from __future__ import annotations

import threading

from bff.core.errors import StoreUnavailable
from bff.store.connection import Script
from bff.store.device_keys import _BIND
from tests.support.bench import Bench, MakeBench
from tests.support.device_key import DeviceKey

FIRST, SECOND = DeviceKey().public, DeviceKey().public


def test_a_session_is_bound_once(bench: Bench) -> None:
    key, keys = bench.start(), bench.stores.device_keys
    assert bench.load(key).bound_at is None
    assert keys.key_of(key) is None
    assert keys.bind(key, FIRST) == "bound"
    # Also for the same key: a proof that comes again is somebody else's.
    assert keys.bind(key, FIRST) == keys.bind(key, SECOND) == "taken"
    assert keys.key_of(key) == FIRST
    session = bench.load(key)
    assert session.bound_at is not None
    assert abs(session.bound_at - session.read_at) <= 1


def test_a_repeated_command_finds_itself(bench: Bench) -> None:
    """As when the connection breaks before its reply."""
    key = bench.start()
    run = bench.database.run
    name = bench.database.keys.session(key)
    assert [run(_BIND, [name], b"key", "attempt") for _ in range(2)] == [b"bound"] * 2
    assert run(_BIND, [name], b"key", "another") == b"taken"


def test_of_many_at_once_one_is_bound(bench: Bench) -> None:
    key, results = bench.start(), []

    def bind() -> None:
        results.append(bench.stores.device_keys.bind(key, DeviceKey().public))

    threads = [threading.Thread(target=bind) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == ["bound"] + ["taken"] * 15


def test_an_end_wins(bench: Bench) -> None:
    key, keys = bench.start(), bench.stores.device_keys
    bench.sessions.end(key, "logout")
    assert keys.bind(key, FIRST) == "gone"
    assert bench.sessions.load(key) is None
    assert not [name for name in bench.stored() if ":session:" in name]


def test_a_bound_session_leaves_no_key_behind(bench: Bench) -> None:
    key, keys = bench.start(), bench.stores.device_keys

    def no_provider(_: str) -> None:
        raise StoreUnavailable("the tombstone stays")

    bench.provider.on_revoke = no_provider
    keys.bind(key, FIRST)
    bench.sessions.end(key, "logout")
    tombstone = bench.database.command("HGETALL", bench.database.keys.tombstone(key))
    assert not {b"device_key", b"bound_at", b"device_attempt"} & set(tombstone)
    assert keys.key_of(key) is None


OLD_LOAD = Script(
    """
    return redis.call('HMGET', KEYS[1], 'generation', 'tokens', 'identity', 'created_at',
      'last_seen_at', 'idle_ends_at', 'absolute_ends_at', 'data')
    """
)


def test_an_earlier_version_reads_a_bound_session(bench: Bench) -> None:
    """It asks for the fields by name; what it writes leaves the binding as it is."""
    key = bench.start()
    name = bench.database.keys.session(key)
    before = bench.database.run(OLD_LOAD, [name])
    bench.stores.device_keys.bind(key, FIRST)
    assert bench.database.run(OLD_LOAD, [name]) == before
    session = bench.load(key)
    sealed = bench.records.seal_tokens(key, session.tokens)
    assert bench.records.replace_tokens(key, session.generation, "attempt", sealed) == "applied"
    assert bench.load(key).bound_at == session.bound_at
    assert bench.stores.device_keys.key_of(key) == FIRST


def test_a_challenge_counts_as_used_under_each_secret(make_bench: MakeBench) -> None:
    old, new = make_bench(), make_bench(AUTH0_SECRET=f"{'n' * 40},{'s' * 40}")
    until = new.now() + 60
    assert new.stores.seen_messages.add_first("device challenge", "", "one", until=until)
    assert not old.stores.seen_messages.add_first("device challenge", "", "one", until=until)
    assert old.stores.seen_messages.add_first("device challenge", "", "two", until=until)
    assert not new.stores.seen_messages.add_first("device challenge", "", "two", until=until)

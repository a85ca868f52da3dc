"""A transmitter that fails, several processes, and outages: no event is lost or acted on twice."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from bff.core.errors import BFFError, ProviderError, SealKeyUnknown, StoreUnavailable
from bff.machine_api.signal_polling import create_polling
from tests.support.fake_provider import Reply
from tests.support.fixtures import AuditLines, MakeReceiver
from tests.support.receiver import Receiver
from tests.support.signal_polls import pause_over, polling
from tests.support.transmitter import TOKEN, Asked, Transmitter
from tests.support.waiting import wait_for

pytestmark = pytest.mark.session_cache


@pytest.fixture
def bff(receiver_for: MakeReceiver, transmitter: Transmitter) -> Receiver:
    """It doesn't poll by itself: the tests say when."""
    return receiver_for(BFF_SSF_ISSUER=transmitter.issuer, BFF_PROVIDER_TIMEOUT_SECONDS="2")


# ---------------------------------------------------------------- bad answers
def _slow(asked: Asked) -> Reply:
    time.sleep(0.4)
    return Reply({"sets": {}})


HUGE = {"sets": {str(n): "x" * 60_000 for n in range(20)}}
LATER = {"Retry-After": "77"}
ANSWERS: dict[str, tuple[Any, int]] = {
    "401": (Reply({"err": "authentication_failed"}, 401), 2),
    "403": (Reply({}, 403), 2),
    "404": (Reply(b"<html>", 404), 2),
    "429": (Reply({}, 429), 2),
    "429 with a pause": (Reply({}, 429, LATER), 77),
    "429 with a pause of a year": (Reply({}, 429, {"Retry-After": "31536000"}), 3600),
    "429 with a pause that is none": (Reply({}, 429, {"Retry-After": "soon"}), 2),
    "500": (Reply({}, 500), 2),
    "503 with a pause": (Reply({}, 503, LATER), 77),
    "a redirect": (Reply({}, 307, {"Location": "/elsewhere"}), 2),
    "HTML": (Reply(b"<html>Please sign in</html>", 200, {"Content-Type": "text/html"}), 2),
    "half JSON": (Reply(b'{"sets": {'), 2),
    "a list": (Reply([]), 2),
    "null": (Reply(None), 2),
    "no sets": (Reply({"moreAvailable": False}), 2),
    "sets that is a list": (Reply({"sets": ["x"]}), 2),
    "sets that is null": (Reply({"sets": None}), 2),
    "the same jti twice": (Reply(b'{"sets": {"a": "x", "a": "y"}}'), 2),
    "depth": (Reply(b'{"sets": ' + b"[" * 100_000), 2),
    "huge": (Reply(HUGE), 2),
    "slow": (_slow, 2),
}


@pytest.mark.parametrize(("answer", "pause_seconds"), ANSWERS.values(), ids=ANSWERS)
def test_a_bad_answer_loses_nothing_and_is_followed_by_a_pause(
    bff: Receiver,
    transmitter: Transmitter,
    audit_lines: AuditLines,
    answer: Any,
    pause_seconds: int,
) -> None:
    mine, jti = bff.start(), transmitter.add()
    transmitter.in_the_way = [answer]
    with pytest.raises(ProviderError) as raised:
        polling(bff, transmitter, provider_timeout_seconds=0.2).run()
    assert TOKEN not in f"{raised.value.detail} {raised.value}"
    assert bff.has_session(mine)
    assert len(transmitter.polls) <= 1
    [line] = [one for one in audit_lines() if one["event"] == "event_received"]
    assert line["outcome"] == "failed"
    assert line["reason"] == f"shared_signal: poll: {raised.value.code}"
    # During the pause nobody asks.
    polling(bff, transmitter).run()
    assert len(transmitter.polls) <= 1
    assert pause_seconds - 1 < pause_over(bff) / 1000 <= pause_seconds
    with transmitter.lock:
        del transmitter.asked[:]
    polling(bff, transmitter).run()
    assert transmitter.acknowledged == [jti]
    assert not bff.has_session(mine)
    assert [asked.body["maxEvents"] for asked in transmitter.polls] == [1, 1]


def test_failures_in_a_row_make_the_pause_longer_for_all_processes(
    bff: Receiver, transmitter: Transmitter
) -> None:
    jobs = [polling(bff, transmitter) for _ in range(3)]
    pauses = []
    for number in range(7):
        transmitter.in_the_way = [Reply({}, 500)]
        with pytest.raises(ProviderError):
            jobs[number % 3].run()
        pauses.append(round(pause_over(bff) / 1000))
    assert pauses == [2, 4, 8, 16, 32, 60, 60]
    jobs[0].run()
    assert round(pause_over(bff) / 1000) == 5
    transmitter.in_the_way = [Reply({}, 500)]
    with pytest.raises(ProviderError):
        jobs[1].run()
    assert round(pause_over(bff) / 1000) == 2


def test_answers_that_are_empty_are_none(bff: Receiver, transmitter: Transmitter) -> None:
    for reply in (Reply(b"", 204), Reply(b"", 202), Reply({"sets": {}})):
        transmitter.in_the_way = [reply]
        polling(bff, transmitter).run()
        assert pause_over(bff) > 4000


def test_the_token_is_read_again(bff: Receiver, transmitter: Transmitter, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("an-expired-token\n")
    config = bff.fake.config(
        **transmitter.settings | {"BFF_SSF_TOKEN": "", "BFF_SSF_TOKEN_FILE": str(file)},
        REDIS_URL=bff.config.redis_url.get_secret_value(),
    )
    stores = bff.services.stores
    job = create_polling(config, bff.services.sessions, stores.seen_messages, stores.poll_lease)
    assert job
    transmitter.add()
    with pytest.raises(ProviderError, match="401"):
        job.run()
    pause_over(bff)
    file.write_text(f"{TOKEN}\n")
    config.live_secrets.look()
    job.run()
    assert transmitter.events == {}


# ---------------------------------------------------------------- outages
def test_without_redis_nothing_is_acknowledged(
    bff: Receiver, transmitter: Transmitter, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, jti = bff.start(), transmitter.add()

    def away(*_: Any, **__: Any) -> None:
        raise StoreUnavailable("away")

    with monkeypatch.context() as broken:
        broken.setattr(bff.services.stores.deny_list, "add", away)
        with pytest.raises(StoreUnavailable):
            polling(bff, transmitter).run()
    assert transmitter.acknowledged == []
    pause_over(bff)
    polling(bff, transmitter).run()
    assert transmitter.acknowledged == [jti]
    assert not bff.has_session(mine)


def test_without_the_transmitters_keys_what_is_done_is_acknowledged_and_the_rest_comes_again(
    bff: Receiver, transmitter: Transmitter
) -> None:
    mine, jti = bff.start(), transmitter.add()
    transmitter.metadata["issuer"] = "https://evil.example"
    with pytest.raises(ProviderError):
        polling(bff, transmitter).run()
    assert (transmitter.acknowledged, transmitter.errors) == ([], {})
    assert bff.has_session(mine)
    transmitter.metadata["issuer"] = transmitter.issuer
    pause_over(bff)
    polling(bff, transmitter).run()
    assert transmitter.acknowledged == [jti]
    assert not bff.has_session(mine)


@pytest.mark.parametrize("failure", [StoreUnavailable, SealKeyUnknown])
def test_what_was_done_before_a_failure_is_acknowledged(
    bff: Receiver,
    transmitter: Transmitter,
    monkeypatch: pytest.MonkeyPatch,
    audit_lines: AuditLines,
    failure: type[BFFError],
) -> None:
    done, not_done = transmitter.add(), transmitter.add()
    add, calls = bff.services.stores.seen_messages.add, []

    def fail_then(*args: Any, **options: Any) -> None:
        calls.append(1)
        if len(calls) == 2:
            raise failure("as it is called")
        add(*args, **options)

    monkeypatch.setattr(bff.services.stores.seen_messages, "add", fail_then)
    with pytest.raises(failure):
        polling(bff, transmitter).run()
    reasons = [line["reason"] for line in audit_lines() if line["event"] == "event_received"]
    assert f"shared_signal: poll: {failure.code}" in reasons
    assert transmitter.acknowledged == [done]
    assert list(transmitter.events) == [not_done]
    assert transmitter.polls[-1].body["maxEvents"] == 0


def test_with_the_provider_away_the_sessions_end_all_the_same(
    bff: Receiver, transmitter: Transmitter
) -> None:
    mine, jti = bff.start(), transmitter.add()
    bff.fake.says("/oauth/revoke", lambda: Reply({}, 503))
    polling(bff, transmitter).run()
    assert transmitter.acknowledged == [jti]
    assert not bff.has_session(mine)
    bff.fake.says("/oauth/revoke", lambda: Reply(b""))
    wait_for(lambda: "refresh-1" in bff.revoked(), "its refresh token is revoked")


# ---------------------------------------------------------------- several processes
def test_one_process_polls_at_a_time(bff: Receiver, transmitter: Transmitter) -> None:
    others = [polling(bff, transmitter) for _ in range(3)]
    jti = transmitter.add()

    def others_run(asked: Asked) -> None:
        if asked.path == "/poll":
            for other in others:
                other.run()

    transmitter.before_reply = others_run
    polling(bff, transmitter).run()
    assert len(transmitter.polls) == 2
    assert transmitter.acknowledged == [jti]


def test_who_loses_the_lease_acknowledges_nothing_and_the_next_one_does_all(
    bff: Receiver, transmitter: Transmitter
) -> None:
    """As a process that is suspended between the end and the acknowledgement."""
    mine, jti = bff.start(), transmitter.add()
    lost = polling(bff, transmitter)
    receive = lost._receiver.receive

    def receive_and_stall(token: str) -> str:
        result = receive(token)
        pause_over(bff)
        polling(bff, transmitter).run()
        return result

    lost._receiver.receive = receive_and_stall  # type: ignore[method-assign]
    lost.run()
    assert transmitter.acknowledged == [jti]
    assert not bff.has_session(mine)
    # The pause of the one that has finished is kept.
    assert pause_over(bff) > 4000


def test_the_application_polls_by_itself(
    receiver_for: MakeReceiver, transmitter: Transmitter
) -> None:
    for _ in range(2):
        last = receiver_for(**transmitter.settings, BFF_SSF_POLL_SECONDS="1")
    mine, jti = last.start(), transmitter.add()
    wait_for(lambda: transmitter.acknowledged == [jti], "the event is acknowledged")
    assert not last.has_session(mine)


def test_nothing_is_polled_unless_the_address_is_set(bff: Receiver) -> None:
    stores = bff.services.stores
    assert bff.config.ssf_issuer
    assert not create_polling(
        bff.config, bff.services.sessions, stores.seen_messages, stores.poll_lease
    )

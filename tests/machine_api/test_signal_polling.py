"""Security events that are polled: each takes effect, is acknowledged, and none is lost."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.support.fake_provider import OTHER_KEY, Reply
from tests.support.fixtures import AuditLines, MakeReceiver
from tests.support.receiver import Receiver
from tests.support.signal_polls import pause_over, polling
from tests.support.transmitter import CAEP, DANA, Asked, Transmitter

pytestmark = pytest.mark.session_cache


@pytest.fixture
def bff(receiver_for: MakeReceiver, transmitter: Transmitter) -> Receiver:
    """It doesn't poll by itself: the tests say when."""
    return receiver_for(BFF_SSF_ISSUER=transmitter.issuer, BFF_PROVIDER_TIMEOUT_SECONDS="2")


# ---------------------------------------------------------------- what is delivered
def test_a_polled_event_ends_the_sessions_and_is_acknowledged_afterwards(
    bff: Receiver, transmitter: Transmitter, audit_lines: AuditLines
) -> None:
    mine = bff.start()
    ended_when_acknowledged: list[bool] = []

    def look(asked: Asked) -> None:
        if asked.body and asked.body.get("ack"):
            ended_when_acknowledged.append(not bff.has_session(mine))

    transmitter.before_reply = look
    jti = transmitter.add()
    polling(bff, transmitter).run()
    assert ended_when_acknowledged == [True]
    assert transmitter.acknowledged == [jti]
    assert transmitter.errors == {}
    first, second = transmitter.polls
    assert first.body == {"maxEvents": 25, "returnImmediately": True}
    assert second.body == {"maxEvents": 25, "returnImmediately": True, "ack": [jti]}
    assert first.headers["Content-Type"] == "application/json"
    [line] = [one for one in audit_lines() if one["event"] == "event_received"]
    assert (line["outcome"], line["reason"]) == ("ok", "shared_signal: session-revoked: 1 ended")


def test_everything_is_fetched_while_there_is_more(bff: Receiver, transmitter: Transmitter) -> None:
    sent = [transmitter.add() for _ in range(60)]
    polling(bff, transmitter).run()
    assert transmitter.acknowledged == sent
    assert [len(asked.body.get("ack", [])) for asked in transmitter.polls] == [0, 25, 25, 10]


def test_one_that_comes_again_has_no_second_effect(
    bff: Receiver, transmitter: Transmitter, audit_lines: AuditLines
) -> None:
    token, jti = transmitter.token()
    for _ in range(2):
        transmitter.events[jti] = token
        polling(bff, transmitter).run()
        pause_over(bff)
    reasons = [one["reason"] for one in audit_lines() if one["event"] == "event_received"]
    assert reasons == ["shared_signal: session-revoked: 0 ended", "shared_signal: delivered before"]
    assert transmitter.acknowledged == [jti, jti]


def test_a_transmitter_that_forgets_acknowledgements_is_not_asked_in_a_loop(
    bff: Receiver, transmitter: Transmitter
) -> None:
    token, jti = transmitter.token()
    again = Reply({"sets": {jti: token}, "moreAvailable": True})
    transmitter.in_the_way = [again] * 5
    polling(bff, transmitter).run()
    assert len(transmitter.polls) == 2
    assert pause_over(bff) > 4000


def test_one_that_promises_more_and_has_nothing_is_asked_a_little_later(
    bff: Receiver, transmitter: Transmitter
) -> None:
    transmitter.in_the_way = [Reply({"sets": {}, "moreAvailable": True})]
    polling(bff, transmitter).run()
    assert len(transmitter.polls) == 1
    assert 0 < pause_over(bff) <= 1000


# ---------------------------------------------------------------- bad events
NOW = int(time.time())
REFUSED: dict[str, tuple[str, dict[str, Any]]] = {
    "another key": ("invalid_key", {"key": OTHER_KEY, "header": {"kid": "two"}}),
    "a wrong signature": ("invalid_request", {"key": OTHER_KEY}),
    "another issuer": ("invalid_issuer", {"iss": "https://evil.example"}),
    "another audience": ("invalid_audience", {"aud": "https://evil.example"}),
    "another kind of token": ("invalid_request", {"header": {"typ": "JWT"}}),
    "an iat of last month": ("invalid_request", {"iat": NOW - 30 * 86_400}),
    "a sub": ("invalid_request", {"sub": "auth0|demo"}),
    "no events": ("invalid_request", {"events": {}}),
    "an unknown subject": ("invalid_request", {"sub_id": {"format": "did", "url": "did:x"}}),
    "a device alone": ("invalid_request", {"sub_id": {"format": "complex", "device": DANA}}),
}
NO_TOKENS: dict[str, Any] = {
    "null": None, "a number": 1, "an object": {"set": "x"}, "a list": ["x"], "nothing": "",
    "a word": "hello", "letters beyond ASCII": "é.é.é", "two parts": "a.b", "huge": "x" * 70_000,
    "none": "eyJhbGciOiJub25lIn0.e30.",
}  # fmt: skip


@pytest.mark.parametrize("name", [*REFUSED, *NO_TOKENS])
def test_a_bad_event_is_refused_and_the_others_take_effect(
    bff: Receiver, transmitter: Transmitter, audit_lines: AuditLines, name: str
) -> None:
    eve = bff.start(subject="auth0|eve", sid="sid-eve", claims={})
    mine = bff.start()
    code, changes = REFUSED.get(name, ("invalid_request", {}))
    if name in REFUSED:
        bad = transmitter.add(**{"sub_id": {"format": "opaque", "id": "auth0|eve"}} | changes)
    else:
        bad = "the-jti"
        transmitter.events[bad] = NO_TOKENS[name]
    good = transmitter.add()
    polling(bff, transmitter).run()
    assert bff.has_session(eve)
    assert not bff.has_session(mine)
    assert transmitter.acknowledged == [good]
    assert set(transmitter.errors) == {bad}
    assert set(transmitter.errors[bad]) == {"err", "description"}
    assert transmitter.errors[bad]["err"] == code
    assert transmitter.polls[1].headers["Content-Language"] == "en"
    outcomes = [one["outcome"] for one in audit_lines() if one["event"] == "event_received"]
    assert outcomes == ["refused", "ok"]


def test_odd_names_are_acknowledged_as_they_are(bff: Receiver, transmitter: Transmitter) -> None:
    names = ["", "é\x00\r\n", "\ud800", "x" * 5000]
    for name in names:
        transmitter.events[name] = transmitter.token()[0]
    polling(bff, transmitter).run()
    assert transmitter.acknowledged == names


def test_an_unknown_event_is_acknowledged(bff: Receiver, transmitter: Transmitter) -> None:
    mine = bff.start()
    jti = transmitter.add(events={f"{CAEP}token-claims-change": {}})
    polling(bff, transmitter).run()
    assert transmitter.acknowledged == [jti]
    assert bff.has_session(mine)


def test_a_bug_with_one_event_keeps_no_other_from_taking_effect(
    bff: Receiver, transmitter: Transmitter, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, poisonous, good = bff.start(), transmitter.add(iat=NOW - 5), transmitter.add()
    end_group = bff.services.sessions.end_group
    calls: list[int] = []

    def fail_once(*args: Any, **options: Any) -> int:
        calls.append(1)
        if len(calls) == 1:
            raise RuntimeError
        return end_group(*args, **options)

    monkeypatch.setattr(bff.services.sessions, "end_group", fail_once)
    polling(bff, transmitter).run()
    assert not bff.has_session(mine)
    assert transmitter.acknowledged == [good]
    assert list(transmitter.events) == [poisonous]
    pause_over(bff)
    polling(bff, transmitter).run()
    assert transmitter.events == {}

"""Auth0's log stream: wrong secrets, garbage and hostile events are refused and end nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.machine_api.test_auth0_log_stream import DANA, HOUR, KEY, PATH, Log, begin, post
from tests.support.admin_calls import assert_problem
from tests.support.fixtures import AuditLines, MakeReceiver
from tests.support.receiver import Receiver


@pytest.fixture
def bff(receiver_for: MakeReceiver) -> Receiver:
    return receiver_for(BFF_LOG_STREAM_KEY=KEY)


@pytest.fixture
def log(bff: Receiver) -> Log:
    return Log(bff)


def dana(bff: Receiver) -> str:
    key = bff.start()
    begin(bff, key, -HOUR)
    return key


# ------------------------------------------------------------------ authentication


@pytest.mark.parametrize("value", [KEY, f"Bearer {KEY}", f"bearer  {KEY}", f" {KEY} "])
def test_the_value_with_and_without_bearer(bff: Receiver, log: Log, value: str) -> None:
    key = dana(bff)
    assert post(bff, [log.event("slo")], value).status_code == 200
    assert not bff.has_session(key)


WRONG = [
    None, "", "Bearer", "Bearer ", KEY[:-1], f"{KEY}x", KEY.upper(), f"Basic {KEY}", f"{KEY},{KEY}",
    f"Bearer Bearer {KEY}", f"{KEY}\x00", "é" * len(KEY), "x" * 100_000,
]  # fmt: skip


@pytest.mark.parametrize("value", WRONG, ids=range(len(WRONG)))
def test_another_value_ends_nothing(
    bff: Receiver, log: Log, audit_lines: AuditLines, value: str | None
) -> None:
    key = dana(bff)
    response = post(bff, [log.event("slo"), log.event("scp")], value)
    assert_problem(response, 401, response.get_json()["code"])
    assert response.headers["WWW-Authenticate"].startswith("Bearer ")
    assert bff.has_session(key)
    assert bff.names("seen") == bff.names("watermark") == set()
    assert [(a["event"], a["origin"]) for a in audit_lines()] == [
        ("request_refused", "log_streams")
    ]
    assert KEY not in json.dumps(audit_lines())


def test_the_secret_is_checked_before_the_body(bff: Receiver) -> None:
    assert post(bff, b"x" * 10_000_000, "wrong").status_code == 401


def test_it_is_off_unless_configured(receiver_for: MakeReceiver) -> None:
    bff = receiver_for(BFF_ADMIN_KEY=KEY)
    assert_problem(post(bff, [Log(bff).event("slo")]), 404, "not_found")


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_other_methods_do_nothing(bff: Receiver, log: Log, method: str) -> None:
    key = dana(bff)
    response = bff.client.open(
        PATH, method=method, json=[log.event("slo")], headers={"Authorization": KEY}
    )
    assert response.status_code in (404, 405)
    assert bff.has_session(key)


# ------------------------------------------------------------------ bad bodies

GARBAGE = [
    b"", b" \n\n ", b"null", b"7", b'"slo"', b"[]", b"[1, 2]", b"[[]]", b"[null]", b"{", b"{}{}",
    b"\xff\xfe\x00", b"\x1f\x8b\x08\x00", b"type=slo", b"<log/>", b"[" * 200_000,
    b'{"a": ' * 50_000, b'{"log_id": "1", "log_id": "2"}', b"NaN,",
]  # fmt: skip


@pytest.mark.parametrize("body", GARBAGE, ids=range(len(GARBAGE)))
def test_garbage_is_refused(bff: Receiver, audit_lines: AuditLines, body: bytes) -> None:
    assert_problem(post(bff, body), 400, "request_refused")
    received = audit_lines()[-1]
    assert (received["event"], received["outcome"]) == ("event_received", "refused")


@pytest.mark.parametrize("bad", [b"{", b"null", b"[]", b"\xff", b"]"])
def test_garbage_beside_events_refuses_them_all(bff: Receiver, log: Log, bad: bytes) -> None:
    key = dana(bff)
    body = json.dumps(log.event("slo")).encode() + b"\n" + bad
    assert_problem(post(bff, body), 400, "request_refused")
    assert bff.has_session(key)


def test_a_huge_body_is_not_read(bff: Receiver, log: Log) -> None:
    key = dana(bff)
    body = json.dumps([log.event("slo", details={"session_id": "sid-one", "x": "y" * 5_000_000})])
    assert_problem(post(bff, body.encode()), 413, "body_too_large")
    assert bff.has_session(key)


UNREADABLE: list[dict[str, Any]] = [
    {"date": None},
    {"date": ""},
    {"date": "yesterday"},
    {"date": 7},
    {"date": ["2026-01-01"]},
    {"date": "9999-99-99T00:00:00Z"},
    {"user_id": ["auth0|demo"]},
    {"user_id": {"eq": DANA}},
    {"user_id": 7},
    {"user_id": "x" * 256},
    {"user_id": "\ud800"},
    {"client_id": ["x"]},
    {"details": {"session_id": ["sid-one"]}},
    {"details": {"session_id": "x" * 256}},
    {"log_id": ["x"]},
    {"log_id": "x" * 256},
]


@pytest.mark.parametrize("changes", UNREADABLE, ids=str)
@pytest.mark.parametrize("kind", ["slo", "scp"])
def test_an_unreadable_event_ends_nothing_and_does_not_stop_the_others(
    bff: Receiver, log: Log, audit_lines: AuditLines, kind: str, changes: dict[str, Any]
) -> None:
    """After a 400, Auth0 would deliver the event and its companions again."""
    key, eve = dana(bff), bff.start(subject="auth0|eve", sid="sid-eve")
    event = log.event(kind)
    event["data"] |= {name: value for name, value in changes.items() if name != "log_id"}
    event |= {name: value for name, value in changes.items() if name == "log_id"}
    response = post(bff, [event, log.event("sdu", user_id="auth0|eve")])
    assert (response.status_code, response.get_json()) == (200, {"received": 2, "ended": 1})
    assert (bff.has_session(key), bff.has_session(eve)) == (True, False)
    refused = [a for a in audit_lines() if a["event"] == "event_received"][0]
    assert refused["outcome"] == "refused"


@pytest.mark.parametrize(
    "item",
    [
        {},
        {"data": None},
        {"data": []},
        {"data": "slo"},
        {"data": {}},
        {"data": {"type": None}},
        {"data": {"type": ["slo"]}},
        {"data": {"type": {"slo": 1}}},
        {"data": {"data": {"type": "slo"}}},
    ],
    ids=str,
)
def test_an_object_that_is_no_event_is_ignored(bff: Receiver, item: dict[str, Any]) -> None:
    key = dana(bff)
    assert post(bff, [item]).get_json() == {"received": 1, "ended": 0}
    assert bff.has_session(key)


def test_a_date_far_ahead_does_not_prevent_a_new_sign_in(bff: Receiver, log: Log) -> None:
    """The sessions end; a sign-in of now starts a new one."""
    key = dana(bff)
    post(bff, [log.event("scp", after=10 * 365 * 24 * HOUR)])
    assert not bff.has_session(key)
    assert bff.start(auth_time=int(bff.services.stores.database.now()) + 1)


def test_a_date_without_a_zone_is_utc(bff: Receiver, log: Log) -> None:
    key = dana(bff)
    event = log.event("scp", after=-2 * HOUR)
    event["data"]["date"] = event["data"]["date"].rstrip("Z")
    assert post(bff, [event]).get_json()["ended"] == 0
    assert bff.has_session(key)


def test_one_delivery_may_be_long(bff: Receiver, log: Log) -> None:
    events = [log.event("s", user_id=f"auth0|{n}") for n in range(3000)]
    assert post(bff, events).get_json() == {"received": 3000, "ended": 0}

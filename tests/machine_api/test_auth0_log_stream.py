"""Auth0's log stream: which sessions each event ends, once, and which it must not end."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import TestResponse

from bff.core.errors import SignInTooOld, StoreUnavailable
from bff.machine_api.auth0_log_stream import EFFECTS
from tests.support.admin_calls import assert_problem
from tests.support.fake_provider import CLIENT_ID, Reply
from tests.support.fixtures import AuditLines, MakeReceiver
from tests.support.receiver import Receiver
from tests.support.waiting import wait_for

pytestmark = pytest.mark.session_cache

PATH = "/webhooks/auth0-logs"
KEY = "the-authorization-value-of-the-stream"
DANA, EVE = "auth0|demo", "auth0|eve"
HOUR = 3600


@pytest.fixture
def bff(receiver_for: MakeReceiver) -> Receiver:
    return receiver_for(BFF_LOG_STREAM_KEY=KEY)


def post(
    bff: Receiver, body: Any, authorization: str | None = KEY, content_type: str | None = None
) -> TestResponse:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {} if authorization is None else {"Authorization": authorization}
    content_type = content_type or "application/json"
    return bff.client.post(PATH, data=raw, headers=headers, content_type=content_type)


class Log:
    """Makes events, each with its own `log_id`."""

    def __init__(self, bff: Receiver) -> None:
        self._bff = bff
        self._made = 0

    def event(
        self, kind: str, *, after: float = 1, details: Any = None, log_id: Any = None, **data: Any
    ) -> dict[str, Any]:
        """An event about Dana and sid-one, *after* seconds from now; None removes a field."""
        self._made += 1
        at = datetime.fromtimestamp(self._bff.services.stores.database.now() + after, UTC)
        usual = {
            "type": kind,
            "date": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "user_id": DANA,
            "client_id": CLIENT_ID,
            "ip": "192.0.2.1",
            "details": {"session_id": "sid-one"} if details is None else details,
        }
        shown = {name: value for name, value in (usual | data).items() if value is not None}
        return {"log_id": log_id or f"9002{self._made:052d}", "data": shown}


@pytest.fixture
def log(bff: Receiver) -> Log:
    return Log(bff)


def sessions_left(bff: Receiver, keys: list[str]) -> list[bool]:
    return [bff.has_session(key) for key in keys]


def three(bff: Receiver) -> list[str]:
    """Dana's sessions sid-one and sid-two, and one of Eve's; all began an hour ago."""
    keys = [bff.start(), bff.start(sid="sid-two"), bff.start(subject=EVE, sid="sid-eve")]
    for key in keys:
        begin(bff, key, -HOUR)
    return keys


def begin(bff: Receiver, key: str, seconds: int) -> None:
    """Set the beginning of the session to *seconds* from now."""
    created_at = int(bff.services.stores.database.now()) + seconds
    name = bff.services.stores.database.keys.session(key)
    bff.services.stores.database.command("HSET", name, "created_at", created_at)


# ------------------------------------------------------------------ effects

SESSION, USER, NONE = [False, True, True], [False, False, True], [True, True, True]
"""Which of the three sessions are left."""


@pytest.mark.parametrize(
    ("kind", "left"),
    [
        ("slo", SESSION),
        ("srrt", SESSION),
        ("ferrt", SESSION),
        ("oidc_backchannel_logout_failed", SESSION),
        ("fslo", SESSION),
        ("scp", USER),
        ("sce", USER),
        ("sdu", USER),
        ("universal_logout_succeeded", USER),
        ("flo", NONE),
        ("scu", NONE),
        ("scpn", NONE),
        ("sapi", NONE),
        ("sertft", NONE),
        ("fertft", NONE),
        ("oidc_backchannel_logout_succeeded", NONE),
        ("sslo", NONE),
        ("universal_logout_failed", NONE),
    ],
)
def test_what_an_event_ends(
    bff: Receiver, log: Log, audit_lines: AuditLines, kind: str, left: list[bool]
) -> None:
    assert kind in EFFECTS
    keys = three(bff)
    response = post(bff, [log.event(kind)])
    assert (response.status_code, response.get_json()) == (
        200, {"received": 1, "ended": left.count(False)},
    )  # fmt: skip
    assert response.headers["Cache-Control"] == "no-store"
    assert sessions_left(bff, keys) == left
    wait_for(lambda: len(bff.revoked()) == left.count(False), "their tokens are revoked")
    received = [a for a in audit_lines() if a["event"] == "event_received"]
    assert [a["reason"].partition(":")[0] for a in received] == [kind]
    ends = [a["reason"] for a in audit_lines() if a["event"] == "session_ended"]
    assert ends == [f"log_stream: {kind}"] * left.count(False)


@pytest.mark.parametrize("kind", ["s", "f", "seacft", "limit_wc", "", "SLO", "slo ", "unknown"])
def test_other_events_are_ignored(
    bff: Receiver, log: Log, audit_lines: AuditLines, kind: str
) -> None:
    keys = three(bff)
    assert post(bff, [log.event(kind)]).get_json() == {"received": 1, "ended": 0}
    assert sessions_left(bff, keys) == NONE
    assert audit_lines() == []


@pytest.mark.parametrize(
    ("kind", "left"),
    [("slo", SESSION), ("scp", USER), ("srrt", NONE), ("ferrt", NONE), ("fslo", NONE)],
)
def test_events_of_another_application(
    bff: Receiver, log: Log, kind: str, left: list[bool]
) -> None:
    """They count if they concern a user or a session at the provider, not for a refresh token."""
    keys = three(bff)
    post(bff, [log.event(kind, client_id="another-client")])
    assert sessions_left(bff, keys) == left


def test_a_password_changed_by_an_administrator_has_no_client(bff: Receiver, log: Log) -> None:
    keys = three(bff)
    post(bff, [log.event("scp", client_id=None, details={})])
    assert sessions_left(bff, keys) == USER


@pytest.mark.parametrize(
    ("kind", "left"), [("slo", NONE), ("srrt", NONE), ("fslo", NONE), ("ferrt", USER)]
)
def test_an_event_without_a_session(bff: Receiver, log: Log, kind: str, left: list[bool]) -> None:
    """A reused refresh token was stolen, so all sessions end; a logout alone ends none."""
    keys = three(bff)
    post(bff, [log.event(kind, details={})])
    assert sessions_left(bff, keys) == left


def test_events_about_unknown_users_end_nothing(bff: Receiver, log: Log) -> None:
    keys = three(bff)
    events = [
        log.event("scp", user_id="auth0|unknown"),
        log.event("slo", details={"session_id": "unknown"}, user_id="auth0|unknown"),
        log.event("sdu", user_id="auth0|DEMO"),
    ]
    assert post(bff, events).get_json() == {"received": 3, "ended": 0}
    assert sessions_left(bff, keys) == NONE


# ------------------------------------------------------------------ forms of delivery


def as_array(events: list[dict[str, Any]]) -> bytes:
    return json.dumps(events, indent=1).encode()


def as_lines(events: list[dict[str, Any]]) -> bytes:
    return b"\n".join(json.dumps(event).encode() for event in events)


def as_windows_lines(events: list[dict[str, Any]]) -> bytes:
    return b"\r\n\r\n".join(json.dumps(event).encode() for event in events) + b"\r\n"


@pytest.mark.parametrize("form", [as_array, as_lines, as_windows_lines])
@pytest.mark.parametrize("content_type", ["application/json", "application/x-ndjson", "text/plain"])
def test_an_array_and_lines(
    bff: Receiver, log: Log, form: Callable[[list[dict[str, Any]]], bytes], content_type: str
) -> None:
    keys = three(bff)
    body = form([log.event("s"), log.event("slo"), log.event("scp", user_id=EVE)])
    response = post(bff, body, content_type=content_type)
    assert response.get_json() == {"received": 3, "ended": 2}
    assert sessions_left(bff, keys) == [False, True, False]


def test_a_single_object_and_one_without_an_envelope(bff: Receiver, log: Log) -> None:
    keys = three(bff)
    assert post(bff, log.event("slo")).get_json() == {"received": 1, "ended": 1}
    bare = log.event("scp", user_id=EVE)
    assert post(bff, bare["data"] | {"log_id": bare["log_id"]}).get_json()["ended"] == 1
    assert sessions_left(bff, keys) == [False, True, False]


# ------------------------------------------------------------------ late, repeated, in any order


def test_an_event_ends_only_older_sessions(bff: Receiver, log: Log) -> None:
    old, recent = bff.start(auth_time=None), bff.start(auth_time=None)
    begin(bff, old, -2 * HOUR)
    assert post(bff, [log.event("scp", after=-HOUR)]).get_json()["ended"] == 1
    assert sessions_left(bff, [old, recent]) == [False, True]


@pytest.fixture
def far_from_utc() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("TZ", "XXX+5")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("far_from_utc")
def test_a_date_without_a_zone_is_utc(bff: Receiver, log: Log) -> None:
    recent = bff.start(auth_time=None)
    begin(bff, recent, -HOUR)
    event = log.event("scp", after=-2 * HOUR)
    event["data"]["date"] = event["data"]["date"].removesuffix("Z")
    assert post(bff, [event]).get_json() == {"received": 1, "ended": 0}
    assert bff.has_session(recent)


def test_the_order_of_events_makes_no_difference(bff: Receiver, log: Log) -> None:
    first, second, third = (bff.start(sid="sid-one", auth_time=None) for _ in range(3))
    begin(bff, first, -3 * HOUR)
    begin(bff, second, -HOUR - 60)
    late, early = log.event("slo", after=-HOUR), log.event("scp", after=-2 * HOUR)
    post(bff, [late])
    assert sessions_left(bff, [first, second, third]) == [False, False, True]
    assert post(bff, [early]).get_json()["ended"] == 0
    assert sessions_left(bff, [first, second, third]) == [False, False, True]


def test_a_sign_in_from_before_the_event_is_refused_afterwards(bff: Receiver, log: Log) -> None:
    now = int(bff.services.stores.database.now())
    post(bff, [log.event("scp", after=-60)])
    with pytest.raises(SignInTooOld):
        bff.start(auth_time=now - 70)
    assert bff.start(auth_time=now - 50)


def test_an_event_is_handled_once(bff: Receiver, log: Log, audit_lines: AuditLines) -> None:
    event = log.event("slo")
    assert post(bff, [event]).get_json()["ended"] == 0
    key = bff.start(sid=None)
    begin(bff, key, -HOUR)
    repeated = log.event("scp", log_id=event["log_id"])
    assert post(bff, [repeated, repeated]).get_json()["ended"] == 0
    assert bff.has_session(key)
    assert audit_lines()[-1]["reason"] == "scp: repeated"
    assert post(bff, [log.event("scp")]).get_json()["ended"] >= 1
    assert not bff.has_session(key)


def test_a_failed_event_is_handled_at_the_next_delivery(
    bff: Receiver, log: Log, monkeypatch: pytest.MonkeyPatch, audit_lines: AuditLines
) -> None:
    keys = three(bff)
    events = [log.event("scp", user_id=EVE), log.event("slo")]

    def away(*_: object, **__: object) -> None:
        raise StoreUnavailable("away")

    with monkeypatch.context() as broken:
        broken.setattr(bff.services.stores.deny_list, "add", away)
        response = post(bff, events)
    assert_problem(response, 503, "store_unavailable")
    assert response.headers["Retry-After"]
    assert audit_lines()[-1]["outcome"] == "failed"
    assert bff.names("seen") == set()
    assert post(bff, events).status_code == 200
    assert sessions_left(bff, keys) == [False, True, False]
    assert len(bff.names("seen")) == 2


def test_a_log_id_expires_after_the_days_of_delivery(bff: Receiver, log: Log) -> None:
    post(bff, [log.event("slo")])
    [name] = bff.names("seen")
    assert 7 * 86_400 < bff.services.stores.database.command("TTL", name) <= 8 * 86_400
    assert "9002" not in name


# ------------------------------------------------------------------ the echo


def test_the_echo_of_our_own_revocation_ends_nothing(
    bff: Receiver, log: Log, audit_lines: AuditLines
) -> None:
    """A logout here, then a sign-in at once, with the same session at the provider."""
    gone = bff.start()
    bff.services.sessions.end(gone, "logout")
    wait_for(lambda: bool(bff.revoked()), "revoked")
    again = bff.start(auth_time=int(bff.services.stores.database.now()) - HOUR)
    assert post(bff, [log.event("srrt", after=0)]).get_json()["ended"] == 0
    assert bff.has_session(again)
    assert audit_lines()[-1]["reason"] == "srrt: our own revocation"


def test_a_revocation_is_noted_before_the_provider_can_log_it(bff: Receiver) -> None:
    noted: list[set[str]] = []

    def revoke() -> Reply:
        noted.append(bff.names("revoked"))
        return Reply(b"")

    bff.fake.says("/oauth/revoke", revoke)
    bff.services.sessions.end(bff.start(), "logout")
    assert [len(names) for names in noted] == [1]


def test_a_revocation_that_was_not_ours_is_no_echo(bff: Receiver, log: Log) -> None:
    """It is of another session, or of another time."""
    bff.services.sessions.end(bff.start(sid="sid-two"), "logout")
    key = bff.start()
    assert post(bff, [log.event("srrt", after=0)]).get_json()["ended"] == 1
    assert not bff.has_session(key)
    late = bff.start(sid="sid-two")
    assert post(
        bff, [log.event("srrt", after=HOUR, details={"session_id": "sid-two"})]
    ).get_json() == {"received": 1, "ended": 1}
    assert not bff.has_session(late)


def test_a_late_revocation_is_still_recognised_as_ours(bff: Receiver, log: Log) -> None:
    """The provider was down at the logout, and the user has signed in again since."""
    down = True

    bff.fake.says("/oauth/revoke", lambda: Reply(b"", 503 if down else 200))
    bff.services.sessions.end(bff.start(), "logout")
    again = bff.start(auth_time=int(bff.services.stores.database.now()) - HOUR)
    down = False
    wait_for(lambda: not bff.services.stores.outbox.waiting(), "the drain has sent it")
    assert post(bff, [log.event("srrt", after=0)]).get_json()["ended"] == 0
    assert bff.has_session(again)


def test_the_log_of_our_own_logout_ends_no_further_session(bff: Receiver, log: Log) -> None:
    keys = three(bff)
    bff.services.sessions.end(keys[0], "logout")
    events = [log.event("slo", after=0), log.event("srrt", after=0)]
    assert post(bff, events).get_json() == {"received": 2, "ended": 0}
    assert sessions_left(bff, keys) == [False, True, True]


def test_without_a_log_stream_nothing_is_noted(receiver_for: MakeReceiver) -> None:
    bff = receiver_for()
    bff.services.sessions.end(bff.start(), "logout")
    assert bff.names("revoked") == set()


def test_the_documented_table_is_that_of_the_code() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "admin.md").read_text()
    ends = re.compile(r"\| (session|user|record) \|$")
    rows = [line.split("|") for line in page.splitlines() if ends.search(line)]
    documented = {kind: row[3].strip() for row in rows for kind in re.findall(r"`(\w+)`", row[1])}
    assert documented == EFFECTS

"""The admin API: what it lists and ends, bad input, and its audit lines."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bff.core.errors import StoreUnavailable
from bff.machine_api import admin
from bff.sessions.lifecycle import session_key
from tests.support.admin_calls import (
    BY_KEY,
    BY_TOKEN,
    access_token,
    ask,
    assert_problem,
    end,
)
from tests.support.fixtures import AuditLines, MakeReceiver
from tests.support.receiver import Receiver
from tests.support.waiting import wait_for

pytestmark = pytest.mark.session_cache

LIST = "/admin/sessions?sub=auth0%7Cdemo"
END = "/admin/sessions/end"


@pytest.fixture
def bff(receiver_for: MakeReceiver) -> Receiver:
    return receiver_for(**BY_KEY, **BY_TOKEN)


def start_in(bff: Receiver, browser: str) -> str:
    key = session_key(bff.services.sessions.start(bff.sign_in(), browser=browser))
    assert key
    return key


# ------------------------------------------------------------------ listing and ending


def test_a_users_sessions_are_listed(bff: Receiver) -> None:
    bff.start()
    start_in(bff, "Firefox on Linux")
    bff.start(subject="auth0|eve", claims={"email": "eve@example.com"})
    for query in ({"sub": "auth0|demo"}, {"email": "Dana@Example.com"}):
        response = ask(bff, "GET", "/admin/sessions", query_string=query)
        assert response.status_code == 200
        assert response.headers["Cache-Control"] == "no-store"
        listed = response.get_json()["sessions"]
        assert {s["browser"] for s in listed} == {"", "Firefox on Linux"}
        assert {s["sub"] for s in listed} == {"auth0|demo"}
        assert set(listed[0]) == {
            "id", "sub", "browser", "created_at", "last_seen_at", "idle_ends_at",
            "absolute_ends_at",
        }  # fmt: skip
        assert "refresh-" not in response.text
        assert "access-" not in response.text


@pytest.mark.parametrize(
    "body", [{"sub": "auth0|demo"}, {"email": " DANA@example.com "}], ids=["sub", "email"]
)
def test_all_sessions_of_a_user_end_and_no_others(bff: Receiver, body: dict[str, str]) -> None:
    mine = [bff.start(sid=f"sid-{n}") for n in range(3)]
    eve = bff.start(subject="auth0|eve", claims={"email": "eve@example.com"})
    response = end(bff, **body, reason="laptop stolen")
    assert (response.status_code, response.get_json()) == (200, {"ended": 3})
    assert not any(bff.has_session(key) for key in mine)
    assert bff.has_session(eve)
    wait_for(lambda: len(bff.revoked()) == 3, "their refresh tokens are revoked")


def test_one_session_ends_by_the_id_in_the_list(bff: Receiver) -> None:
    kept = bff.start()
    gone = start_in(bff, "the stolen one")
    listed = ask(bff, "GET", LIST).get_json()["sessions"]
    [public_id] = [s["id"] for s in listed if s["browser"] == "the stolen one"]
    response = end(bff, sub="auth0|demo", id=public_id)
    assert (response.status_code, response.get_json()) == (200, {"ended": 1})
    assert (bff.has_session(kept), bff.has_session(gone)) == (True, False)
    assert_problem(end(bff, sub="auth0|demo", id=public_id), 404, "session_unknown")


def test_the_id_must_be_of_a_session_of_the_named_user(bff: Receiver) -> None:
    bff.start()
    eve = bff.start(subject="auth0|eve")
    listed = ask(bff, "GET", "/admin/sessions?sub=auth0|eve").get_json()["sessions"]
    assert_problem(end(bff, sub="auth0|demo", id=listed[0]["id"]), 404, "session_unknown")
    assert bff.has_session(eve)


def test_all_sessions_of_all_users_end(bff: Receiver) -> None:
    keys = [bff.start(subject=f"auth0|{n}", sid=f"sid-{n}") for n in range(3)]
    assert end(bff, everyone=True).get_json() == {"ended": 3}
    assert not any(bff.has_session(key) for key in keys)


def test_an_end_of_very_many_is_answered_before_it_is_complete(
    bff: Receiver, audit_lines: AuditLines, monkeypatch: pytest.MonkeyPatch
) -> None:
    """200,000 sessions take longer than the proxy in front waits."""
    monkeypatch.setattr(admin, "RESPONSE_SECONDS", 0)
    keys = [bff.start(subject=f"auth0|{n}", sid=f"sid-{n}") for n in range(3)]
    response = end(bff, everyone=True)
    assert (response.status_code, response.get_json()) == (202, {"ended": 0, "left": 3})
    [line] = [line for line in audit_lines() if line["event"] == "admin_called"]
    assert line["reason"] == "end everyone: ended 0, 3 left"
    wait_for(lambda: not any(bff.has_session(key) for key in keys), "the end of all")


ODD_SUBJECTS = [
    "nobody",
    "auth0|../../etc/passwd",
    "a/b?c#d&e=f%2Fg",
    "x y\tz\r\nSet-Cookie: a=b",
    "\x00",
    "*",
    "{tag}:user:*",
    "ünïcödé 🐢 \u202e",
    '"; DROP TABLE users; --',
    "x" * 255,
]


@pytest.mark.parametrize("subject", ODD_SUBJECTS, ids=range(len(ODD_SUBJECTS)))
@pytest.mark.next_second
def test_a_subject_may_have_any_character(bff: Receiver, subject: str) -> None:
    dana = bff.start()
    assert ask(bff, "GET", "/admin/sessions", query_string={"sub": subject}).get_json() == {
        "sessions": []
    }
    assert end(bff, sub=subject).get_json() == {"ended": 0}
    odd = bff.start(
        subject=subject, sid="odd", auth_time=bff.services.stores.history_start.begin() + 3600
    )
    assert end(bff, sub=subject).get_json() == {"ended": 1}
    assert (bff.has_session(dana), bff.has_session(odd)) == (True, False)


# ------------------------------------------------------------------ bad requests

BAD_BODIES: list[Any] = [
    b"",
    b"null",
    b"[]",
    b'"sub"',
    b"{",
    b'{"sub": "auth0|demo"',
    b"\xff\xfe",
    b'{"sub": "nobody", "sub": "auth0|demo"}',
    b"[" * 100_000,
    {},
    {"reason": "x"},
    {"sub": ""},
    {"sub": None},
    {"sub": 7},
    {"sub": ["auth0|demo"]},
    {"sub": {"eq": "auth0|demo"}},
    {"sub": "x" * 256},
    {"sub": "\ud800"},
    {"email": ""},
    {"email": "x" * 321},
    {"everyone": False},
    {"everyone": "true"},
    {"everyone": 1},
    {"everyone": None},
    {"sub": "auth0|demo", "email": "dana@example.com"},
    {"sub": "auth0|demo", "everyone": True},
    {"everyone": True, "id": "x"},
    {"id": "x"},
    {"subject": "auth0|demo"},
    {"sub": "auth0|demo", "dry_run": True},
    {"sub": "auth0|demo", "reason": ""},
    {"sub": "auth0|demo", "reason": 7},
    {"sub": "auth0|demo", "reason": "x" * 201},
    {"sub": "auth0|demo", "id": 7},
    {"sub": "auth0|demo", "id": "x" * 33},
]


@pytest.mark.parametrize("body", BAD_BODIES, ids=range(len(BAD_BODIES)))
def test_bad_input_ends_nothing(bff: Receiver, audit_lines: AuditLines, body: Any) -> None:
    key = bff.start()
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    response = ask(bff, "POST", END, data=raw, content_type="application/json")
    assert response.status_code in (400, 413)
    assert_problem(response, response.status_code, response.get_json()["code"])
    assert bff.has_session(key)
    assert bff.names("watermark") == set()
    assert [(a["event"], a["outcome"]) for a in audit_lines()][-1] == ("admin_called", "refused")


def test_a_body_of_another_type_ends_nothing(bff: Receiver) -> None:
    """A form can be sent by another site's page without a preflight request."""
    body = json.dumps({"everyone": True})
    for content_type in ("text/plain", "application/x-www-form-urlencoded", None):
        response = ask(bff, "POST", END, data=body, content_type=content_type)
        assert_problem(response, 400, "request_refused")


def test_a_huge_body_is_not_read(bff: Receiver) -> None:
    body = b'{"sub": "' + b"x" * 10_000_000 + b'"}'
    response = ask(bff, "POST", END, data=body, content_type="application/json")
    assert_problem(response, 413, "body_too_large")


@pytest.mark.parametrize(
    "query", ["", "sub=", "email=", "sub=a&sub=b", "sub=a&email=b", "everyone=true", "id=x", "x=1"]
)
def test_a_list_needs_exactly_one_user(bff: Receiver, query: str) -> None:
    assert_problem(ask(bff, "GET", f"/admin/sessions?{query}"), 400, "request_refused")


@pytest.mark.parametrize(("method", "path"), [("GET", END), ("DELETE", LIST), ("POST", LIST)])
def test_other_methods_do_nothing(bff: Receiver, method: str, path: str) -> None:
    key = bff.start()
    assert ask(bff, method, path, json={"everyone": True}).status_code in (404, 405)
    assert bff.has_session(key)


def test_an_outage_of_redis_is_503(
    bff: Receiver, monkeypatch: pytest.MonkeyPatch, audit_lines: AuditLines
) -> None:
    def away(*_: object, **__: object) -> None:
        raise StoreUnavailable("away")

    bff.start()
    monkeypatch.setattr(bff.services.stores.watermarks, "rise", away)
    response = end(bff, sub="auth0|demo")
    assert_problem(response, 503, "store_unavailable")
    assert response.headers["Retry-After"]
    assert audit_lines()[-1]["outcome"] == "failed"


# ------------------------------------------------------------------ audit log


def test_every_call_is_audited(bff: Receiver, audit_lines: AuditLines) -> None:
    bff.start()
    ask(bff, "GET", LIST)
    end(bff, sub="auth0|demo", reason='stolen\n{"event": "forged"}')
    listed, *ended = [a for a in audit_lines() if a["origin"] == "admin"]
    assert (listed["event"], listed["outcome"], listed["reason"]) == (
        "admin_called", "ok", "list user: found 1",
    )  # fmt: skip
    assert [a["event"] for a in ended] == ["session_ended", "admin_called"]
    assert ended[0]["reason"] == "admin"
    assert ended[1]["reason"] == 'end user: ended 1 "stolen\n{"event": "forged"}"'
    assert ended[1]["caller"] == "key"
    assert ended[0]["user"] == ended[1]["user"] != "auth0|demo"
    assert ended[0]["request_id"] == ended[1]["request_id"]


def test_a_caller_with_a_token_is_named_like_a_user(
    receiver_for: MakeReceiver, audit_lines: AuditLines
) -> None:
    bff = receiver_for(**BY_TOKEN, BFF_AUDIT_USER="id")
    end(bff, access_token(bff), sub="auth0|demo")
    called = audit_lines()[-1]
    assert (called["caller"], called["user"]) == ("tool@clients", "auth0|demo")


def test_a_refused_caller_is_audited(bff: Receiver, audit_lines: AuditLines) -> None:
    ask(bff, "GET", LIST, key="wrong" * 10)
    assert [(a["event"], a["outcome"], a["origin"]) for a in audit_lines()] == [
        ("request_refused", "refused", "admin")
    ]
    assert "wrong" not in json.dumps(audit_lines())


def test_the_given_reason_does_not_reach_redis(bff: Receiver) -> None:
    """It may name a person, and a stolen dump must name none (promise 7)."""
    bff.fake.says("/oauth/revoke", lambda: (_ for _ in ()).throw(AssertionError))
    bff.start()
    end(bff, sub="auth0|demo", reason="Dana Demo lost her phone")
    client = bff.services.stores.database.client
    for name in client.scan_iter(f"{bff.config.redis_prefix}:*"):
        if client.type(name) == b"hash":
            assert "Dana" not in str(client.hgetall(name))

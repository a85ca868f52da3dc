"""Global Token Revocation: an identity team's tool ends all sessions of a user."""

from __future__ import annotations

import json
from typing import Any

import pytest
from werkzeug.test import TestResponse

from bff.core.errors import SignInTooOld, StoreUnavailable
from tests.support.admin_calls import (
    ADMIN_KEY,
    BY_KEY,
    BY_TOKEN,
    access_token,
    ask,
    assert_problem,
)
from tests.support.fixtures import AuditLines, MakeReceiver
from tests.support.receiver import Receiver
from tests.support.waiting import wait_for

pytestmark = pytest.mark.session_cache

PATH = "/auth/global-token-revocation"


@pytest.fixture
def bff(receiver_for: MakeReceiver) -> Receiver:
    return receiver_for(**BY_KEY, **BY_TOKEN)


def revoke(bff: Receiver, body: Any, key: str | None = ADMIN_KEY) -> TestResponse:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return ask(bff, "POST", PATH, key=key, data=raw, content_type="application/json")


def identifiers(bff: Receiver) -> list[dict[str, str]]:
    """Dana in each supported format of RFC 9493."""
    return [
        {"format": "iss_sub", "iss": bff.fake.issuer, "sub": "auth0|demo"},
        {"format": "opaque", "id": "auth0|demo"},
        {"format": "email", "email": "Dana@Example.com"},
    ]


@pytest.mark.parametrize("number", range(3), ids=["iss_sub", "opaque", "email"])
@pytest.mark.parametrize(("name", "status"), [("sub_id", 204), ("subject", 200)])
def test_all_sessions_of_the_user_end(bff: Receiver, number: int, name: str, status: int) -> None:
    mine = [bff.start(sid=f"sid-{n}") for n in range(2)]
    eve = bff.start(subject="auth0|eve", claims={"email": "eve@example.com"})
    response = revoke(bff, {name: identifiers(bff)[number]})
    assert response.status_code == status
    assert response.data == (b"{}" if status == 200 else b"")
    assert response.headers["Cache-Control"] == "no-store"
    assert not any(bff.has_session(key) for key in mine)
    assert bff.has_session(eve)
    wait_for(lambda: len(bff.revoked()) == 2, "their refresh tokens are revoked")


@pytest.mark.next_second
def test_the_old_session_at_the_provider_starts_no_session_here(bff: Receiver) -> None:
    """3.3: MUST re-authenticate the user."""
    before = bff.sign_in()
    assert revoke(bff, {"sub_id": identifiers(bff)[0]}).status_code == 204
    with pytest.raises(SignInTooOld):
        bff.services.sessions.start(before)
    assert bff.start(auth_time=int(bff.services.stores.database.now()))


def test_a_user_without_a_session_is_no_error(bff: Receiver) -> None:
    dana = bff.start()
    assert revoke(bff, {"sub_id": {"format": "opaque", "id": "auth0|nobody"}}).status_code == 204
    assert bff.has_session(dana)


def test_a_user_of_another_issuer_is_404(bff: Receiver) -> None:
    dana = bff.start()
    issuers = ["https://other.example/", bff.fake.issuer.rstrip("/"), bff.fake.issuer.upper()]
    for issuer in issuers:
        body = {"sub_id": {"format": "iss_sub", "iss": issuer, "sub": "auth0|demo"}}
        assert_problem(revoke(bff, body), 404, "user_not_found")
    assert bff.has_session(dana)


BAD_BODIES: list[Any] = [
    b"",
    b"{",
    b"[]",
    b"null",
    b"\xff",
    b"[" * 50_000,
    b'{"sub_id": {"format": "opaque", "id": "x", "id": "auth0|demo"}}',
    {},
    {"sub_id": None},
    {"sub_id": "auth0|demo"},
    {"sub_id": []},
    {"sub_id": {}},
    {"sub_id": {"format": "opaque"}},
    {"sub_id": {"id": "auth0|demo"}},
    {"sub_id": {"format": "opaque", "sub": "auth0|demo"}},
    {"sub_id": {"format": "opaque", "id": ""}},
    {"sub_id": {"format": "opaque", "id": 7}},
    {"sub_id": {"format": "opaque", "id": ["auth0|demo"]}},
    {"sub_id": {"format": "opaque", "id": "x" * 321}},
    {"sub_id": {"format": "opaque", "id": "\ud800"}},
    {"sub_id": {"format": "opaque", "id": "auth0|demo", "more": "x"}},
    {"sub_id": {"format": ["opaque"], "id": "auth0|demo"}},
    {"sub_id": {"format": "OPAQUE", "id": "auth0|demo"}},
    {"sub_id": {"format": "iss_sub", "sub": "auth0|demo"}},
    {"sub_id": {"format": "email", "email": ""}},
    {"sub_id": {"format": "phone_number", "phone_number": "+12065550100"}},
    {"sub_id": {"format": "aliases", "identifiers": [{"format": "opaque", "id": "auth0|demo"}]}},
    {"sub_id": {"format": "account", "uri": "acct:dana@example.com"}},
    {"sub_id": {"format": "opaque", "id": "a"}, "subject": {"format": "opaque", "id": "b"}},
    {"sub_id": {"format": "opaque", "id": "auth0|demo"}, "more": 1},
    {"subject": "auth0|demo"},
    {"user": {"format": "opaque", "id": "auth0|demo"}},
]


@pytest.mark.parametrize("body", BAD_BODIES, ids=range(len(BAD_BODIES)))
def test_bad_input_ends_nothing(bff: Receiver, audit_lines: AuditLines, body: Any) -> None:
    dana = bff.start()
    assert_problem(revoke(bff, body), 400, "request_refused")
    assert bff.has_session(dana)
    assert bff.names("watermark") == set()
    assert (audit_lines()[-1]["event"], audit_lines()[-1]["outcome"]) == ("admin_called", "refused")


def test_a_huge_body_is_not_read(bff: Receiver) -> None:
    assert_problem(revoke(bff, b"x" * 1_000_000), 413, "body_too_large")


def test_a_body_of_another_type_is_refused(bff: Receiver) -> None:
    body = json.dumps({"sub_id": {"format": "opaque", "id": "auth0|demo"}})
    response = ask(bff, "POST", PATH, data=body, content_type="text/plain")
    assert_problem(response, 400, "request_refused")


def test_callers_are_authenticated_as_for_the_admin_api(bff: Receiver) -> None:
    dana = bff.start()
    body = {"sub_id": identifiers(bff)[0]}
    assert_problem(revoke(bff, body, None), 401, "token_missing")
    assert_problem(revoke(bff, body, "x" * 40), 401, "invalid_token")
    assert_problem(revoke(bff, body, access_token(bff, scope="other")), 403, "insufficient_scope")
    assert_problem(revoke(bff, body, access_token(bff, aud="other")), 401, "invalid_token")
    assert bff.has_session(dana)
    assert revoke(bff, body, access_token(bff)).status_code == 204
    assert not bff.has_session(dana)


def test_it_is_off_unless_configured(receiver_for: MakeReceiver) -> None:
    bff = receiver_for()
    assert_problem(revoke(bff, {"sub_id": identifiers(bff)[0]}), 404, "not_found")


def test_an_outage_of_redis_is_503(
    bff: Receiver, monkeypatch: pytest.MonkeyPatch, audit_lines: AuditLines
) -> None:
    def away(*_: object, **__: object) -> None:
        raise StoreUnavailable("away")

    monkeypatch.setattr(bff.services.stores.watermarks, "rise", away)
    response = revoke(bff, {"sub_id": identifiers(bff)[0]})
    assert_problem(response, 503, "store_unavailable")
    assert response.headers["Retry-After"]
    assert audit_lines()[-1]["outcome"] == "failed"


def test_every_call_is_audited(bff: Receiver, audit_lines: AuditLines) -> None:
    bff.start()
    revoke(bff, {"sub_id": identifiers(bff)[2]})
    ended, called = [a for a in audit_lines() if a["origin"] == "global_revocation"]
    assert (ended["event"], ended["reason"]) == ("session_ended", "global_token_revocation")
    assert called["reason"] == "global_token_revocation email: ended 1"
    assert called["caller"] == "key"
    assert "dana" not in json.dumps([ended, called]).lower()

"""An administrator without a shell lifts an end of many: `POST /admin/sessions/allow`."""

from __future__ import annotations

from typing import Any

import pytest
from werkzeug.test import TestResponse

from bff.core.errors import SignInTooOld, StoreUnavailable
from tests.support.admin_calls import BY_KEY, ask, assert_problem, end
from tests.support.fixtures import AuditLines, MakeReceiver
from tests.support.receiver import Receiver

pytestmark = pytest.mark.next_second

ALLOW = "/admin/sessions/allow"
DANA = {"sub": "auth0|demo"}
ENDS: list[dict[str, Any]] = [DANA, {"email": "Dana@example.com"}, {"everyone": True}]


@pytest.fixture
def bff(receiver_for: MakeReceiver) -> Receiver:
    return receiver_for(**BY_KEY)


def allow(bff: Receiver, **body: Any) -> TestResponse:
    return ask(bff, "POST", ALLOW, json=body)


@pytest.mark.parametrize("whose", ENDS)
def test_an_end_is_lifted_and_that_is_audited(
    bff: Receiver, audit_lines: AuditLines, whose: dict[str, Any]
) -> None:
    ended = bff.start(auth_time=None)
    end(bff, **whose)
    with pytest.raises(SignInTooOld):
        bff.start(auth_time=None)
    response = allow(bff, **whose, reason="no auth_time")
    assert (response.status_code, response.headers["Cache-Control"]) == (200, "no-store")
    assert response.get_json() == {"lifted": 1, "still_refused_before": None}
    line = audit_lines()[-1]
    assert (line["event"], line["outcome"], line["caller"]) == ("admin_called", "ok", "key")
    kind = {"sub": "user"}.get(*whose, *whose)
    assert line["reason"] == f'allow {kind}: lifted 1 "no auth_time"'
    assert bff.has_session(bff.start(auth_time=None))
    assert not bff.has_session(ended), "an ended session came back"
    assert allow(bff, **whose).get_json()["lifted"] == 0


def test_an_end_of_everyone_is_not_lifted_for_one_user_and_the_response_says_so(
    bff: Receiver,
) -> None:
    end(bff, everyone=True)
    end(bff, **DANA)
    lifted = allow(bff, **DANA).get_json()
    assert lifted["lifted"] == 1
    assert lifted["still_refused_before"] > 0
    with pytest.raises(SignInTooOld):
        bff.start(auth_time=None)


BAD_BODIES: list[Any] = [
    {}, {"everyone": False}, {"everyone": 1}, {"sub": ""}, {"sub": ["auth0|demo"]},
    {**DANA, "everyone": True}, {**DANA, "email": "dana@example.com"}, {**DANA, "id": "x"},
    {"everyone": True, "id": "x"}, {**DANA, "reason": ""}, {**DANA, "force": True}, [DANA],
]  # fmt: skip


@pytest.mark.parametrize("body", BAD_BODIES, ids=range(len(BAD_BODIES)))
def test_bad_input_lifts_nothing(bff: Receiver, audit_lines: AuditLines, body: Any) -> None:
    end(bff, everyone=True)
    end(bff, **DANA)
    assert_problem(ask(bff, "POST", ALLOW, json=body), 400, "request_refused")
    assert (audit_lines()[-1]["event"], audit_lines()[-1]["outcome"]) == ("admin_called", "refused")
    assert len(bff.names("watermark")) == 2


def test_an_outage_of_redis_is_503_and_audited(
    bff: Receiver, monkeypatch: pytest.MonkeyPatch, audit_lines: AuditLines
) -> None:
    def away(*_: object, **__: object) -> None:
        raise StoreUnavailable("away")

    monkeypatch.setattr(bff.services.stores.watermarks, "lift", away)
    assert_problem(allow(bff, everyone=True), 503, "store_unavailable")
    assert audit_lines()[-1]["outcome"] == "failed"


def test_it_is_off_until_a_caller_is_configured(receiver_for: MakeReceiver) -> None:
    assert allow(receiver_for(), everyone=True).status_code == 404

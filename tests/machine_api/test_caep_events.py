"""Which changes of a device's compliance and of an assurance level end sessions, and which not?"""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.fixtures import MakeReceiver
from tests.support.receiver import Receiver
from tests.support.transmitter import CAEP, DANA, Transmitter

pytestmark = pytest.mark.session_cache

COMPLIANCE, ASSURANCE = f"{CAEP}device-compliance-change", f"{CAEP}assurance-level-change"
AAL = {"namespace": "NIST-AAL", "current_level": "nist-aal1"}
DEVICE = {"format": "opaque", "id": "device-1"}


@pytest.fixture
def bff(receiver_for: MakeReceiver, transmitter: Transmitter) -> Receiver:
    return receiver_for(BFF_SSF_ISSUER=transmitter.issuer)


def push(bff: Receiver, token: str) -> int:
    headers = {"Content-Type": "application/secevent+jwt"}
    return bff.client.post("/webhooks/ssf", data=token, headers=headers).status_code


ENDING: dict[str, tuple[str, Any]] = {
    "not compliant": (
        COMPLIANCE,
        {"previous_status": "compliant", "current_status": "not-compliant"},
    ),
    "a status that we don't know": (COMPLIANCE, {"current_status": "noncompliant"}),
    "a status in other letters": (COMPLIANCE, {"current_status": "Compliant"}),
    "a status that is null": (COMPLIANCE, {"current_status": None}),
    "a status that is a list": (COMPLIANCE, {"current_status": ["compliant"]}),
    "a decrease": (ASSURANCE, AAL | {"change_direction": "decrease"}),
    "a decrease from none": (ASSURANCE, {"change_direction": "decrease"}),
    "a direction that we don't know": (ASSURANCE, AAL | {"change_direction": "sideways"}),
    "a direction that is null": (ASSURANCE, AAL | {"change_direction": None}),
    "a lower number": (ASSURANCE, AAL | {"previous_level": "nist-aal2"}),
    "a lower number in other letters": (ASSURANCE, AAL | {"previous_level": "NIST-AAL10"}),
    "levels without numbers": (
        ASSURANCE,
        {"namespace": "x", "previous_level": "high", "current_level": "low"},
    ),
    "levels of different names": (ASSURANCE, AAL | {"previous_level": "nist-ial1"}),
    "levels that are numbers": (ASSURANCE, {"previous_level": 2, "current_level": 1}),
    "endless levels": (ASSURANCE, AAL | {"previous_level": "1" * 9999}),
}
NOT_ENDING: dict[str, tuple[str, Any]] = {
    "compliant again": (
        COMPLIANCE,
        {"previous_status": "not-compliant", "current_status": "compliant"},
    ),
    "no status": (COMPLIANCE, {}),
    "an increase": (ASSURANCE, AAL | {"change_direction": "increase"}),
    "a higher number": (ASSURANCE, AAL | {"previous_level": "nist-aal0"}),
    "the same level": (ASSURANCE, AAL | {"previous_level": "nist-aal1"}),
    "a first level": (ASSURANCE, AAL),
    "nothing": (ASSURANCE, {}),
}


@pytest.mark.parametrize("name", [*ENDING, *NOT_ENDING])
def test_what_got_worse_ends_the_sessions(
    bff: Receiver, transmitter: Transmitter, name: str
) -> None:
    mine, two = bff.start(), bff.start(sid="sid-two")
    eve = bff.start(subject="auth0|eve", sid="sid-eve", claims={})
    event, content = (ENDING | NOT_ENDING)[name]
    subject = {"format": "complex", "user": DANA, "device": DEVICE}
    token, _ = transmitter.token(sub_id=subject, events={event: content})
    assert push(bff, token) == 202
    assert bff.has_session(mine) == bff.has_session(two) == (name in NOT_ENDING)
    assert bff.has_session(eve)


@pytest.mark.parametrize("event", [COMPLIANCE, ASSURANCE])
@pytest.mark.parametrize("content", ["decrease", None, [], 1])
def test_an_event_that_is_no_object_is_refused(
    bff: Receiver, transmitter: Transmitter, event: str, content: Any
) -> None:
    mine = bff.start()
    token, _ = transmitter.token(events={event: content})
    assert push(bff, token) == 400
    assert bff.has_session(mine)


def test_a_device_without_its_user_is_refused(bff: Receiver, transmitter: Transmitter) -> None:
    """Nobody's sessions would end, and the transmitter should know."""
    subject = {"format": "complex", "device": DEVICE}
    event = {COMPLIANCE: {"current_status": "not-compliant"}}
    assert push(bff, transmitter.token(sub_id=subject, events=event)[0]) == 400
    assert push(bff, transmitter.token(sub_id=subject, events={COMPLIANCE: {}})[0]) == 202

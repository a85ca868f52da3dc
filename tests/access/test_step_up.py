"""Which sign-ins meet the demand of a route? (RFC 9470)"""

from __future__ import annotations

from typing import Any

import pytest

from bff.access.step_up import MULTI_FACTOR, check
from bff.config.route import StepUp
from bff.core.errors import StepUpRequired
from bff.core.model import Identity

NOW = 1_000_000.0
SKEW_SECONDS = 10


def signed_in(**how: Any) -> Identity:
    return Identity(issuer="https://issuer.test/", subject="dana", **how)


def met(demand: StepUp, identity: Identity) -> bool:
    try:
        check(demand, identity, NOW, SKEW_SECONDS)
    except StepUpRequired:
        return False
    return True


STRONG = StepUp(acr_values=("urn:gold", "urn:silver"))


@pytest.mark.parametrize(
    ("acr", "enough"),
    [("urn:gold", True), ("urn:silver", True), ("urn:GOLD", False), ("urn", False), (None, False)],
)
def test_the_acr_must_equal_a_demanded_one(acr: str | None, enough: bool) -> None:
    assert met(STRONG, signed_in(acr=acr)) is enough


@pytest.mark.parametrize(("amr", "enough"), [(("mfa",), True), (("pwd",), False), ((), False)])
def test_auth0_reports_several_factors_in_amr(amr: tuple[str, ...], enough: bool) -> None:
    assert met(StepUp(acr_values=(MULTI_FACTOR,)), signed_in(amr=amr)) is enough


def test_amr_replaces_no_other_acr() -> None:
    assert not met(STRONG, signed_in(amr=("mfa",)))


@pytest.mark.parametrize(
    ("age_seconds", "enough"), [(0, True), (300, True), (310, True), (311, False), (-60, True)]
)
def test_the_sign_in_is_recent_within_the_skew_of_the_clocks(
    age_seconds: int, enough: bool
) -> None:
    identity = signed_in(auth_time=int(NOW) - age_seconds)
    assert met(StepUp(max_age_seconds=300), identity) is enough


def test_a_missing_auth_time_is_not_recent() -> None:
    assert not met(StepUp(max_age_seconds=300), signed_in())


def test_a_prompted_sign_in_without_auth_time_is_as_recent_as_its_id_token() -> None:
    demand = StepUp(max_age_seconds=300)
    assert met(demand, signed_in(prompted_at=int(NOW) - 300))
    assert not met(demand, signed_in(prompted_at=int(NOW) - 311))
    assert not met(demand, signed_in(prompted_at=int(NOW), auth_time=int(NOW) - 311))


def test_both_must_be_met_and_both_are_demanded() -> None:
    demand = StepUp(acr_values=("urn:gold", "urn:silver"), max_age_seconds=300)
    fresh, old = int(NOW) - 1, int(NOW) - 400
    assert met(demand, signed_in(acr="urn:gold", auth_time=fresh))
    for how in ({"acr": "urn:gold", "auth_time": old}, {"acr": "urn:bronze", "auth_time": fresh}):
        with pytest.raises(StepUpRequired) as refused:
            check(demand, signed_in(**how), NOW, SKEW_SECONDS)
        assert refused.value.requirements == {"acr_values": "urn:gold urn:silver", "max_age": 300}


def test_a_demand_for_nothing_is_met() -> None:
    assert met(StepUp(), signed_in())

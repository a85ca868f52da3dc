"""Which 401 of an upstream demands a stronger sign-in, and which only looks like it? (RFC 9470)"""

from __future__ import annotations

import time

import pytest

from bff.config.route import Route, TokenMode, TokenRule
from bff.core.errors import StepUpRequired
from bff.gateway.response_head import Head
from bff.gateway.step_up_challenge import (
    CHALLENGES_MAX,
    HEADER_MAX_CHARACTERS,
    OF_TOKENS,
    PARAMETERS_MAX,
    Malformed,
    challenges,
    demanded_step_up,
    refuse_weak_sign_in,
)

ERROR = 'error="insufficient_user_authentication"'


def demanded(*values: str) -> dict[str, str | int] | None:
    found = demanded_step_up([("www-authenticate", value) for value in values])
    return None if found is None else found.requirements


DEMANDS: dict[str, tuple[list[str], dict[str, str | int]]] = {
    "RFC 9470, figure 2": (
        [
            f'Bearer {ERROR}, error_description="A different authentication level is required", '
            'acr_values="myACR"'
        ],
        {"acr_values": "myACR"},
    ),
    "RFC 9470, figure 3": (
        [f'Bearer {ERROR}, error_description="More recent is required", max_age="5"'],
        {"max_age": 5},
    ),
    "both, the number as a token": (
        [f'Bearer {ERROR}, acr_values="urn:a urn:b", max_age=0'],
        {"acr_values": "urn:a urn:b", "max_age": 0},
    ),
    "neither": ([f"Bearer {ERROR}"], {}),
    "names in any case": (
        ['BEARER Error="insufficient_user_authentication",ACR_VALUES=urn-a'],
        {"acr_values": "urn-a"},
    ),
    "blanks around the equals sign": (
        [f'Bearer realm = "x" ,\t{ERROR} , max_age\t=\t"9"'],
        {"max_age": 9},
    ),
    "escaped letters": (
        ['Bearer error="insufficient\\_user_authentication", acr_values="\\u\\r\\n:a"'],
        {"acr_values": "urn:a"},
    ),
    "commas and quotes inside of a text": (
        [f'Bearer realm="a, DPoP \\", error=\\"x", {ERROR}, max_age="1"'],
        {"max_age": 1},
    ),
    "after another challenge": (
        [f'DPoP algs="ES256 RS256", Negotiate, Basic realm="x", Bearer {ERROR}, max_age=7'],
        {"max_age": 7},
    ),
    "before another challenge": ([f"Bearer {ERROR}, max_age=7, Negotiate YWJj=="], {"max_age": 7}),
    "in a header of its own": (["Negotiate YWJj", f"Bearer {ERROR}, max_age=7"], {"max_age": 7}),
    "with empty elements": ([f", ,Bearer {ERROR}, , max_age=7 ,,"], {"max_age": 7}),
}  # fmt: skip


@pytest.mark.parametrize(("values", "asked"), DEMANDS.values(), ids=DEMANDS)
def test_a_demand_is_read(values: list[str], asked: dict[str, str | int]) -> None:
    assert demanded(*values) == asked


NONE: dict[str, str] = {
    "nothing": "",
    "another error": 'Bearer error="invalid_token", acr_values="a"',
    "another scheme": f'DPoP {ERROR}, acr_values="a"',
    "the error in another challenge": f'Bearer acr_values="a", Custom {ERROR}',
    "the error in a text": 'Bearer realm="error=insufficient_user_authentication"',
    "two demands": f"Bearer {ERROR}, max_age=1, Bearer {ERROR}, max_age=2",
    "no quote at the end": 'Bearer error="insufficient_user_authentication',
    "a quote too many": f'Bearer {ERROR}", max_age=1',
    "a parameter twice": f"Bearer {ERROR}, max_age=1, max_age=2",
    "a parameter twice in other letters": f"Bearer {ERROR}, max_age=1, Max_Age=2",
    "no comma": f"Bearer {ERROR} max_age=1",
    "a semicolon": f"Bearer {ERROR}; max_age=1",
    "no value": f"Bearer {ERROR}, max_age=",
    "a parameter of no challenge": f"{ERROR}, max_age=1",
    "a tab after the scheme": f"Bearer\t{ERROR}",
    "a control character": f'Bearer {ERROR}, acr_values="a\x00b"',
    "a line break": f'Bearer {ERROR}, acr_values="a\nb"',
    "an escaped control character": f'Bearer {ERROR}, acr_values="a\\\x01b"',
    "an empty acr": f'Bearer {ERROR}, acr_values=""',
    "an acr with a quote": f'Bearer {ERROR}, acr_values="a\\"b"',
    "an acr of other than ASCII": f'Bearer {ERROR}, acr_values="\xe9"',
    "two blanks between acrs": f'Bearer {ERROR}, acr_values="a  b"',
    "a long acr": f'Bearer {ERROR}, acr_values="{"a" * 513}"',
    "a negative age": f'Bearer {ERROR}, max_age="-1"',
    "an age with a sign": f'Bearer {ERROR}, max_age="+1"',
    "an age in other digits": f'Bearer {ERROR}, max_age="\xb2"',
    "an age with a fraction": f'Bearer {ERROR}, max_age="1.5"',
    "an endless age": f'Bearer {ERROR}, max_age="{"9" * 10}"',
    "too long": f'Bearer {ERROR}, realm="{"a" * HEADER_MAX_CHARACTERS}"',
    "too many challenges": ", ".join([f"Bearer {ERROR}", *["Other"] * CHALLENGES_MAX]),
    "too many parameters": f"Bearer {ERROR}" + "".join(f", p{n}=1" for n in range(PARAMETERS_MAX)),
}


@pytest.mark.parametrize("value", NONE.values(), ids=NONE)
def test_any_other_or_malformed_challenge_passes(value: str) -> None:
    assert demanded(value) is None


def test_the_limits_themselves_are_allowed() -> None:
    parameters = "".join(f", p{n}=1" for n in range(PARAMETERS_MAX - 1))
    others = ", Other" * (CHALLENGES_MAX - 1)
    assert demanded(f"Bearer {ERROR}{parameters}{others}") == {}


def test_challenges_are_distinguished() -> None:
    """RFC 9110, 11.6.1."""
    value = 'Basic realm="simple", Newauth realm="apps", type=1, title="Login to \\"apps\\"", X a=='
    assert challenges(value) == [
        ("basic", {"realm": "simple"}),
        ("newauth", {"realm": "apps", "type": "1", "title": 'Login to "apps"'}),
        ("x", {}),
    ]


@pytest.mark.parametrize("value", ['A "x"', "A b c", "A =", "A,b=c d", "=", '"', "A b=c, =d"])
def test_garbage_is_malformed(value: str) -> None:
    with pytest.raises(Malformed):
        challenges(value)


def test_parsing_takes_no_time_whatever_comes() -> None:
    started_at = time.perf_counter()
    for part in ('a="', '\\"', "a,", "a =", " ", "\t", "a b", '"\\'):
        demanded("Bearer " + part * (HEADER_MAX_CHARACTERS // len(part) - 8))
    assert time.perf_counter() - started_at < 1


def route(mode: TokenMode) -> Route:
    return Route(prefix="/api", upstream_urls=("http://api.test",), token=TokenRule(mode=mode))


@pytest.mark.parametrize("mode", ["user", "audience", "exchange", "optional"])
def test_a_401_with_a_demand_becomes_our_own(mode: TokenMode) -> None:
    head = Head(401, [("www-authenticate", f'Bearer {ERROR}, acr_values="urn:a b", max_age="5"')])
    with pytest.raises(StepUpRequired) as refused:
        refuse_weak_sign_in(head, route(mode))
    assert refused.value.login_parameters == "acr_values=urn%3Aa+b&max_age=5"
    assert refused.value.challenge == f'Bearer {ERROR}, acr_values="urn:a b", max_age="5"'


@pytest.mark.parametrize("mode", ["client", "none"])
def test_no_sign_in_helps_where_the_token_is_not_the_users(mode: TokenMode) -> None:
    refuse_weak_sign_in(Head(401, [("www-authenticate", f"Bearer {ERROR}")]), route(mode))


def test_only_a_401_counts() -> None:
    for status in (200, 400, 403, 407):
        refuse_weak_sign_in(Head(status, [("www-authenticate", f"Bearer {ERROR}")]), route("user"))


@pytest.mark.parametrize("scheme", ["DPoP", "dpop", "Bearer"])
def test_an_api_demands_it_in_the_scheme_of_its_tokens(scheme: str) -> None:
    value = f'{scheme} error="insufficient_user_authentication", acr_values="a"'
    demand = demanded_step_up([("www-authenticate", value)], OF_TOKENS)
    assert demand is not None
    assert demand.requirements == {"acr_values": "a"}

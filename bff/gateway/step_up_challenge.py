"""Does the upstream's 401 demand a stronger or a more recent sign-in?

RFC 9470, section 3: a Bearer or DPoP challenge with `error="insufficient_user_authentication"` and
the parameters of the next sign-in. It is parsed strictly by RFC 9110; anything else isn't such a
challenge, and the response passes like any other.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from bff.config.route import Route
from bff.core.errors import StepUpRequired
from bff.gateway.response_head import Head, Header

HEADER_MAX_CHARACTERS = 4096
CHALLENGES_MAX = 8
PARAMETERS_MAX = 16
ACR_VALUES_MAX_CHARACTERS = 512
"""The limit of `/auth/login` for one parameter."""

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 - RFC 9110, 5.6.2.
_QUOTED = r'"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t \x21-\x7e\x80-\xff])*"'
_SEPARATOR = re.compile(r"[ \t]*,[ \t,]*")
_END = re.compile(r"[ \t,]*")
_SCHEME = re.compile(rf"({_TOKEN})(?= |[ \t]*(?:,|$))")
_PARAMETER = re.compile(rf"({_TOKEN})[ \t]*=[ \t]*({_TOKEN}|{_QUOTED})(?=[ \t]*(?:,|$))")
_TOKEN68 = re.compile(r"[A-Za-z0-9._~+/-]+=*(?=[ \t]*(?:,|$))")

_ACR_VALUES = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+(?: [\x21\x23-\x5b\x5d-\x7e]+)*")
_MAX_AGE = re.compile(r"[0-9]{1,9}")

OF_TOKENS = ("bearer", "dpop")
"""An API that takes bound tokens demands it in their scheme (RFC 9449, 7.1)."""

Challenge = tuple[str, dict[str, str]]
"""Scheme and parameters; names in lower case."""


class Malformed(ValueError):
    """The header violates RFC 9110 or one of our limits."""


def refuse_weak_sign_in(head: Head, route: Route) -> None:
    """Raise if *head* demands another sign-in of the user.

    Not on a route whose token isn't the user's: there no sign-in would help.

    Raises:
        StepUpRequired: With the parameters of the next sign-in.
    """
    if head.status != 401 or route.token.mode in ("client", "none"):
        return
    demand = demanded_step_up(head.headers, OF_TOKENS)
    if demand is not None:
        raise demand


def demanded_step_up(
    headers: Iterable[Header], schemes: tuple[str, ...] = ("bearer",)
) -> StepUpRequired | None:
    """The demand in the `WWW-Authenticate` of *headers*, if there is a well-formed one.

    Args:
        headers: Of the response.
        schemes: Those in which it counts, in lower case.
    """
    value = ", ".join(value for name, value in headers if name == "www-authenticate")
    try:
        demands = [
            parameters
            for scheme, parameters in challenges(value)
            if scheme in schemes and parameters.get("error") == StepUpRequired.code
        ]
        # One sign-in can't be sent with two demands.
        return _demand(demands[0]) if len(demands) == 1 else None
    except Malformed:
        return None


def challenges(value: str) -> list[Challenge]:
    """The challenges in the value of `WWW-Authenticate`.

    Raises:
        Malformed: It is ambiguous, or exceeds a limit.

    Source: RFC 9110, sections 5.6.1, 5.6.4, 11.3 and 11.6.1.
    """
    if len(value) > HEADER_MAX_CHARACTERS:
        raise Malformed("too long")
    found: list[Challenge] = []
    position = _END.match(value).end()  # type: ignore[union-attr] # It matches anything.
    while position < len(value):
        position = _element(value, position, found)
        end = _SEPARATOR.match(value, position) or _END.match(value, position)
        if end is None or (end.end() == position and position < len(value)):
            raise Malformed("no comma where one must be")
        position = end.end()
    return found


def _element(value: str, position: int, found: list[Challenge]) -> int:
    """Read one element: a parameter of the last challenge, or a scheme and what follows it."""
    parameter = _PARAMETER.match(value, position)
    if parameter is not None:
        return _add(parameter, found)
    scheme = _SCHEME.match(value, position)
    if scheme is None or len(found) >= CHALLENGES_MAX:
        raise Malformed("neither a scheme nor a parameter, or too many")
    found.append((scheme[1].lower(), {}))
    position = scheme.end()
    while value[position : position + 1] == " ":
        position += 1
    first = _PARAMETER.match(value, position)
    if first is not None:
        return _add(first, found)
    credentials = _TOKEN68.match(value, position)
    return credentials.end() if credentials is not None else position


def _add(parameter: re.Match[str], found: list[Challenge]) -> int:
    name, text = parameter[1].lower(), parameter[2]
    if not found or name in found[-1][1] or len(found[-1][1]) >= PARAMETERS_MAX:
        raise Malformed("a parameter of no challenge, or twice, or one too many")
    found[-1][1][name] = re.sub(r"\\(.)", r"\1", text[1:-1]) if text[0] == '"' else text
    return parameter.end()


def _demand(parameters: dict[str, str]) -> StepUpRequired:
    acr_values, max_age = parameters.get("acr_values", ""), parameters.get("max_age")
    if "acr_values" in parameters and not (
        _ACR_VALUES.fullmatch(acr_values) and len(acr_values) <= ACR_VALUES_MAX_CHARACTERS
    ):
        raise Malformed("acr_values is empty, too long, or has characters that none has")
    if max_age is not None and not _MAX_AGE.fullmatch(max_age):
        raise Malformed("max_age is no number of seconds")
    return StepUpRequired(
        "the upstream demands it",
        acr_values=acr_values,
        max_age_seconds=None if max_age is None else int(max_age),
    )

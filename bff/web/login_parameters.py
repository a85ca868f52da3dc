"""Which parameters of `/auth/login` go to the provider, and which values are valid?"""

from __future__ import annotations

import re

from werkzeug.datastructures import MultiDict

from bff.core.errors import ParameterInvalid
from bff.core.model import LoginTransaction

# Auth0: `screen_hint`, `organization`, `invitation` and `connection` are its own parameters.
PASSED_ON = ("prompt", "login_hint", "screen_hint", "organization", "invitation", "connection",
             "max_age", "acr_values", "ui_locales")  # fmt: skip
"""Query parameters of `/auth/login` that go to the provider, beside those of the settings."""
PARAMETER_MAX_CHARACTERS = 512
COUNTS_ONCE = "invitation"
"""The parameter that is used up once the browser has been at the provider with it."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_MAX_AGE = re.compile(r"[0-9]{1,9}")


def single(arguments: MultiDict[str, str], name: str) -> str | None:
    """The value of a parameter that must not be repeated (RFC 6749, 3.1)."""
    values = arguments.getlist(name)
    if len(values) > 1:
        raise ParameterInvalid(f"{name} is repeated")
    return values[0] if values else None


def for_provider(arguments: MultiDict[str, str], more: tuple[str, ...] = ()) -> dict[str, str]:
    """The checked parameters for the provider; `prompt=none` excludes other prompts.

    Args:
        arguments: The query.
        more: Names of further parameters (`BFF_LOGIN_PARAMETERS`).
    """
    found = {name: single(arguments, name) for name in (*PASSED_ON, *more)}
    parameters = {name: value for name, value in found.items() if value}
    for name, value in parameters.items():
        if len(value) > PARAMETER_MAX_CHARACTERS or _CONTROL.search(value):
            raise ParameterInvalid(f"{name} is too long or has control characters")
    # A lax provider might take `None` for it, and so sign in silently for any site.
    prompts = parameters.get("prompt", "").lower().split()
    if "none" in prompts and parameters["prompt"] != "none":
        raise ParameterInvalid("prompt=none with another prompt, or in other letters")
    return parameters


def asked_for(transaction: LoginTransaction) -> dict[str, str]:
    """The parameters of `/auth/login` by which the sign-in can be begun again."""
    own = {
        "organization": transaction.organization,
        "acr_values": transaction.acr_values,
        "max_age": None if transaction.max_age is None else str(transaction.max_age),
    }
    asked = {name: value for name, value in own.items() if value is not None} | transaction.asked
    if transaction.prompt_login and not has_prompt_login(asked):
        asked = with_prompt(asked, "login")  # A second try had it added.
    return asked


def with_prompt(parameters: dict[str, str], prompt: str) -> dict[str, str]:
    """*parameters* with *prompt* before the prompts that they have (OpenID Connect Core, 3.1.2.1).

    A user who is to choose another account must still be asked for their consent, say.
    """
    prompts = dict.fromkeys([prompt, *parameters.get("prompt", "").split()])
    return parameters | {"prompt": " ".join(prompts)}


def demand_login(parameters: dict[str, str]) -> None:
    """Add `prompt=login` to *parameters* with a maximum age: only it meets one without `auth_time`.

    Not to a silent sign-in, which can't ask.
    """
    prompts = parameters.get("prompt", "").split()
    if "max_age" in parameters and not {"none", "login"} & set(prompts):
        parameters["prompt"] = " ".join(["login", *prompts])


def has_prompt_login(parameters: dict[str, str]) -> bool:
    """Whether the user has to authenticate, even with a session at the provider."""
    return "login" in parameters.get("prompt", "").split()


def max_age_seconds(parameters: dict[str, str]) -> int | None:
    """The maximum age of the authentication at the provider, in seconds.

    It is removed from *parameters*, since the provider gets that of the transaction.
    `prompt=login` counts as 0: a user can remove the prompt from the address, and only the
    `auth_time` that `max_age` demands would show it.
    """
    value = parameters.pop("max_age", None)
    if value is not None and not _MAX_AGE.fullmatch(value):
        raise ParameterInvalid("max_age is not a number of seconds")
    if has_prompt_login(parameters):
        return 0
    return None if value is None else int(value)

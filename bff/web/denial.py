"""What is the user told when the provider refuses a sign-in, and which sign-in is offered next?

The provider's `error_description` is shown and logged as such, once `state` and `iss`
have shown that it comes from there: without control characters, and shortened. The same
sign-in again would be refused again, since the session at the provider continues; so the page
offers another account, unless the provider itself has failed.
Source: RFC 6749, 4.1.2.1; OpenID Connect Core 1.0, 3.1.2.1 and 3.1.2.6.
"""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import urlencode

from bff.config import Config
from bff.core.errors import SignInDenied
from bff.core.model import LoginTransaction
from bff.web.login_parameters import asked_for, with_prompt

DESCRIPTION_MAX_CHARACTERS = 300
PROVIDER_FAILED = frozenset({"server_error", "temporarily_unavailable"})
"""What a provider says instead of 500 and 503, which a redirect can't have (RFC 6749, 4.1.2.1)."""

_ERROR = re.compile(r"[\x20\x21\x23-\x5b\x5d-\x7e]{1,64}")


def denied(
    error: str, description: str | None, transaction: LoginTransaction, config: Config
) -> SignInDenied:
    """The error to raise for an authorization response that is one."""
    asked, provider_failed = asked_for(transaction), error in PROVIDER_FAILED
    if not provider_failed:
        asked = _for_other_account(asked, config)
    return SignInDenied(
        error_code(error),
        description=readable(description or ""),
        login_parameters=urlencode(asked | {"returnTo": transaction.return_to}),
        other_account=not provider_failed,
    )


def error_code(error: str) -> str:
    """The provider's `error`, if it has the form of one."""
    return error if _ERROR.fullmatch(error) else "unreadable"


def readable(description: str) -> str:
    """*description* in one line, without characters that hide or reorder others."""
    line = "".join(
        " " if unicodedata.category(character)[0] in "CZ" else character
        for character in description[: 4 * DESCRIPTION_MAX_CHARACTERS]
    )
    line = " ".join(line.split())
    if len(line) <= DESCRIPTION_MAX_CHARACTERS:
        return line
    return f"{line[: DESCRIPTION_MAX_CHARACTERS - 1]}\u2026"


def _for_other_account(asked: dict[str, str], config: Config) -> dict[str, str]:
    """The parameters *asked* of a sign-in, for one with another account."""
    # Auth0: has no account chooser.
    prompt = "login" if config.auth0_domain else "select_account"
    # The hint names the account that was refused.
    others = {name: value for name, value in asked.items() if name != "login_hint"}
    return with_prompt(others, prompt)

"""What does every error have, and which one does a wrong setting raise?"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType


class BFFError(Exception):
    """Root of the tree; never raised itself.

    Args:
        detail: For the log; must not contain a token, code, cookie or session id.
        retry_after_seconds: The value of `Retry-After`; None for the class's own.
    """

    status = 500
    code = "internal_error"
    message = "Something went wrong on our side."
    hint = "Please try again. If it happens again, tell us the reference below."
    retry_after_seconds: int | None = None
    return_to: str | None = None
    """Where the sign-in that this error stopped was to lead: its page offers to begin it again."""
    sign_in_parameters: Mapping[str, str] = MappingProxyType({})
    """What else that sign-in asked for, such as an organization."""

    def __init__(self, detail: str = "", *, retry_after_seconds: int | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        if retry_after_seconds is not None:
            self.retry_after_seconds = retry_after_seconds


class ConfigError(BFFError):
    """The settings can't be used; `problems` has one line for each problem."""

    code = "config_invalid"
    message = "The settings are not valid."

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        lines = "\n".join(f"  - {problem}" for problem in problems)
        super().__init__(f"{len(problems)} problem(s) with the settings:\n{lines}")

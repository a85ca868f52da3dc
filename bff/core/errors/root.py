"""What does every error have, and which one does a wrong setting raise?"""

from __future__ import annotations

import logging
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
    set_by = ""
    """The settings of which one is wrong, where it is our set-up that is at fault; for the log."""

    def __init__(self, detail: str = "", *, retry_after_seconds: int | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        if retry_after_seconds is not None:
            self.retry_after_seconds = retry_after_seconds

    @property
    def log_level(self) -> int:
        """An error where somebody has to do something: a bug, or a wrong setting."""
        return logging.ERROR if self.status == 500 or self.set_by else logging.INFO

    def log(self, log: logging.Logger, reference: str) -> None:
        """Log that a response tells of this error, under *reference*."""
        detail = f"{self.detail} (see {self.set_by})" if self.set_by else self.detail
        log.log(self.log_level, "%s %s: %s [%s]", self.status, self.code, detail, reference)


class ConfigError(BFFError):
    """The settings can't be used; `problems` has one line for each problem."""

    code = "config_invalid"
    message = "The settings are not valid."

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        lines = "\n".join(f"  - {problem}" for problem in problems)
        super().__init__(f"{len(problems)} problem(s) with the settings:\n{lines}")

"""What is one row of `check`?"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "warning", "failed"]

_VARIABLE = re.compile(r"\b(?:AUTH0|OIDC|APP|REDIS|BFF)_[A-Z0-9_]*[A-Z0-9]\b")


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found; nothing in it is secret."""

    subject: str
    """What was looked at."""
    status: Status
    meaning: str
    """What was found, and what it means."""
    advice: str = ""
    """What to do, with the variable's name; empty if all is well."""

    @property
    def variables(self) -> tuple[str, ...]:
        """The variables that it is about, those in the subject first."""
        return tuple(dict.fromkeys(_VARIABLE.findall(f"{self.subject} {self.advice}")))


def one_line(text: str) -> str:
    """*text* without control characters: parts of it come from other servers (CWE-117)."""
    return "".join(one if one.isprintable() else "?" for one in text)

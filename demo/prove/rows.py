"""What is the result of an attack, and when has the promise held?

An attack is an attempt that can be repeated. If the promise is "at once", the first attempt
decides; if it is "within so many seconds", the attack is repeated until it fails or times out.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import requests

from demo.child import ChildFailed

POLL_SECONDS = 0.05

Outcome = Literal["held", "broken", "not run"]


class ProofFailed(Exception):
    """A precondition of an attack isn't fulfilled."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one attempt."""

    got: str
    held: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table."""

    id: str
    """Stable, such as `link/cookie-api`."""
    section: str
    attack: str
    expected: str
    got: str
    milliseconds: float | None
    """From the response to the logout to the attempt that decided."""
    outcome: Outcome


class Table:
    """The rows so far.

    Args:
        show: Called with each row as it comes.
    """

    def __init__(self, show: Callable[[Row], None]) -> None:
        self.rows: list[Row] = []
        self._show = show

    @property
    def held(self) -> bool:
        """Whether no row is broken."""
        return all(row.outcome != "broken" for row in self.rows)

    def add(self, row: Row) -> None:
        """Add and show a row."""
        self.rows.append(row)
        self._show(row)


class Section:
    """The rows of one scenario.

    `ended_at` (monotonic) is when the response to the logout came; the rows count from it.
    """

    def __init__(self, table: Table, id: str, title: str) -> None:
        self.id = id
        self.title = title
        self.ended_at = time.monotonic()
        self._table = table

    def ended_now(self) -> None:
        """The response to the logout came just now."""
        self.ended_at = time.monotonic()

    def later(self, when: str) -> Section:
        """Return the same scenario at a later point, counting from the same instant."""
        section = Section(self._table, f"{self.id}-later", f"{self.title}: {when}")
        section.ended_at = self.ended_at
        return section

    def attack(
        self,
        id: str,
        attack: str,
        expected: str,
        attempt: Callable[[], Finding],
        *,
        within_seconds: float = 0,
    ) -> None:
        """Try, and add a row with the result.

        Args:
            id: The row's name within its section.
            attack: Describes what is tried.
            expected: Describes the expected result.
            attempt: Tries once.
            within_seconds: The limit after `ended_at`; 0: the first attempt has to hold.
        """
        finding = _tried(attempt)
        while not finding.held and time.monotonic() - self.ended_at < within_seconds:
            time.sleep(POLL_SECONDS)
            finding = _tried(attempt)
        took = (time.monotonic() - self.ended_at) * 1000
        self._add(id, attack, expected, finding.got, took, "held" if finding.held else "broken")

    def failed(self, error: Exception) -> None:
        """The scenario couldn't run, which proves nothing and so counts as broken."""
        text = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        self._add("prepare", "run the scenario", "works", text, None, "broken")

    def not_run(self, why: str) -> None:
        """The scenario can't be tried here."""
        self._add("all", "everything in this section", "see docs/logout.md", why, None, "not run")

    def _add(
        self,
        id: str,
        attack: str,
        expected: str,
        got: str,
        milliseconds: float | None,
        outcome: Outcome,
    ) -> None:
        row = Row(
            id=f"{self.id}/{id}",
            section=self.title,
            attack=attack,
            expected=expected,
            got=got,
            milliseconds=milliseconds,
            outcome=outcome,
        )
        self._table.add(row)


def _tried(attempt: Callable[[], Finding]) -> Finding:
    try:
        return attempt()
    except (requests.RequestException, ChildFailed, ProofFailed) as error:
        # No response is not a refusal.
        return Finding(f"no response ({type(error).__name__})", held=False)

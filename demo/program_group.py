"""What is started at the entry of a `with` block, part by part, and gone after it?"""

from __future__ import annotations

from contextlib import ExitStack
from types import TracebackType
from typing import Self


class ProgramGroup:
    """Several programs, folders and connections that live and die together.

    If one can't be started, those before it are stopped at once.
    """

    def __init__(self) -> None:
        self._stack = ExitStack()
        """Takes every part that is started; the last is stopped first."""

    def __enter__(self) -> Self:
        with self._stack:
            self._start_all()
            self._stack = self._stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def _start_all(self) -> None:
        """Start the parts, and leave each to the stack."""
        raise NotImplementedError

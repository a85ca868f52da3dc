"""How do several programs start at the entry of a `with` block and stop at its end?"""

from __future__ import annotations

from contextlib import ExitStack
from types import TracebackType
from typing import Self


class ProgramGroup:
    """Several programs, folders and connections that start and stop together.

    If one can't be started, those before it are stopped.
    """

    def __init__(self) -> None:
        self._stack = ExitStack()
        """Every part that was started; the last one is stopped first."""

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
        """Start the parts and enter each into the stack."""
        raise NotImplementedError

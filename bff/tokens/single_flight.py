"""How does one thread of a process work for all that want the same thing at the same moment?"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from bff.core.errors import ProviderUnavailable

T = TypeVar("T")


class _Flight(Generic[T]):
    def __init__(self) -> None:
        self.landed = threading.Event()
        self.result: T | None = None
        self.error: BaseException | None = None


class SingleFlight(Generic[T]):
    """Single flight by name: the first caller works, the others take its result.

    Args:
        wait_seconds: How long a caller waits for another one's work.
    """

    def __init__(self, wait_seconds: float) -> None:
        self._wait_seconds = wait_seconds
        self._under_way: dict[str, _Flight[T]] = {}
        self._lock = threading.Lock()

    def share(self, name: str, work: Callable[[], T]) -> T:
        """Do *work*, or wait for the caller that does it already; its error is raised here too.

        Raises:
            ProviderUnavailable: The other caller took longer than `wait_seconds`.
        """
        while True:
            flight, mine = self._board(name)
            if mine:
                result = self._fly(name, flight, work)
                assert result is not None  # noqa: S101 - Says the type of *work*.
                return result
            if not flight.landed.wait(self._wait_seconds):
                raise ProviderUnavailable("another request did not finish refreshing in time")
            if flight.error is not None:
                raise flight.error
            if flight.result is not None:
                return flight.result
            # That caller did not wait for its turn (`try_alone`); this one does.

    def try_alone(self, name: str, work: Callable[[], T | None]) -> T | None:
        """Do *work* unless somebody does it already; None then, without waiting."""
        flight, mine = self._board(name)
        return self._fly(name, flight, work) if mine else None

    def _board(self, name: str) -> tuple[_Flight[T], bool]:
        with self._lock:
            flight = self._under_way.get(name)
            if flight is not None:
                return flight, False
            flight = self._under_way[name] = _Flight()
            return flight, True

    def _fly(self, name: str, flight: _Flight[T], work: Callable[[], T | None]) -> T | None:
        try:
            flight.result = work()
            return flight.result
        except BaseException as error:
            flight.error = error
            raise
        finally:
            with self._lock:
                del self._under_way[name]
            flight.landed.set()

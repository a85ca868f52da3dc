"""Who is told of our requests, of what they wait for, and of a few facts beside?

Nobody, unless metrics or traces are on: then `observers` has theirs. Off, an operation costs one
look at an empty list (40 ns), and the parts that work here know nothing of either.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from time import perf_counter
from types import MappingProxyType, TracebackType
from typing import Any, Literal, Protocol

import msgspec

log = logging.getLogger(__name__)

Kind = Literal["request", "redis", "provider", "upstream", "refresh_wait"]
Fact = Literal["error_response"]
Begin = Callable[["Operation"], Callable[[], object]]
Count = Callable[[float], object]

FAILED = "failed"
_NOTHING = nullcontext()
_NO_HEADERS: Mapping[str, str] = MappingProxyType({})


class Observer(Protocol):
    """Is told in the thread where it happens. What it raises is logged, and harms nobody."""

    @property
    def begin(self) -> Begin | None:
        """Called when an operation begins; returns what is called at its end, in the same thread.

        None for one that is told at the end only, which is cheaper.
        """

    def ended(self, operation: Operation) -> object:
        """An operation has ended; before what `begin` has returned."""

    def note(self, fact: Fact, value: str) -> object:
        """Something is so; *value* is one of a few words."""


observers: list[Observer] = []
"""All of this process; append yours before the application is made. It stays the same list."""

session_lookups: dict[Literal["cached", "read"], list[Count]] = {"cached": [], "read": []}
"""Called with 1 for each session that a request finds in the session cache, or reads from Redis.

At each request, so not by an observer, whose calls cost more.
"""


class Operation(msgspec.Struct):
    """One operation, which lasts as long as the `with` block.

    A struct, since one is made at each request, without a call of Python's.

    Attributes:
        kind: What it is.
        name: Of what: the prefix of a route or the name of an endpoint, the command of Redis, the
            path at the provider, `process` or `lock`. There are few, whatever is requested.
        method: The method of an HTTP request, as it came: a caller may send any.
        environ: Of a request to us.
        headers: More of them for a request to the provider or an upstream; an observer adds some.
        origin: Scheme, host and port of these, once it is known; None for anything else.
        script: The hash of the script that Redis runs, or empty.
        status: The status of an HTTP response; 0 without one.
        error: The class of the exception that ended it, or empty.
        seconds: How long it took, once it has ended.
    """

    kind: Kind
    name: str
    method: str = ""
    environ: dict[str, Any] | None = None
    headers: Mapping[str, str] = _NO_HEADERS
    origin: tuple[str, str, int] | None = None
    script: str = ""
    status: int = 0
    error: str = ""
    seconds: float = 0.0
    ends: list[Callable[[], object]] | None = None

    @property
    def outcome(self) -> str:
        """The class of the status, such as `2xx`; without one `ok` or `failed`."""
        if self.status:
            return f"{self.status // 100}xx"
        return FAILED if self.error else "ok"

    def __enter__(self) -> Operation:
        for observer in observers:
            if (begin := observer.begin) is None:
                continue
            try:
                end = begin(self)
            except Exception:
                log.exception("%r failed at a beginning", observer)
            else:
                self.ends = [*(self.ends or ()), end]
        self.seconds = -perf_counter()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.seconds += perf_counter()
        if kind is not None:
            self.error = kind.__name__
        for observer in observers:
            try:
                observer.ended(self)
            except Exception:
                log.exception("%r failed at an end", observer)
        if self.ends is not None:
            self._end()

    def _end(self) -> None:
        # Removed first: an end refers to its operation, which would keep both alive.
        ends, self.ends = self.ends or [], None
        while ends:
            end = ends.pop()
            try:
                end()
            except Exception:
                log.exception("%r failed", end)


def begun(kind: Kind, name: str) -> AbstractContextManager[object]:
    """An operation; nothing if nobody observes."""
    return Operation(kind, name) if observers else _NOTHING


def note(fact: Fact, value: str) -> None:
    """Tell all observers of a fact; ask first whether there are any."""
    for observer in observers:
        try:
            observer.note(fact, value)
        except Exception:
            log.exception("%r failed at a fact", observer)

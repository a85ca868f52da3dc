"""Who is told of our requests, of what they wait for, and of a few facts beside?

Nobody, unless metrics or traces are on: then `observers` has theirs. Off, an operation costs one
look at an empty list (40 ns), and the parts that work here know nothing of either.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

log = logging.getLogger(__name__)

Kind = Literal["request", "redis", "provider", "upstream", "refresh_wait"]
Fact = Literal["session_lookup", "error_response"]

FAILED = "failed"
_NOTHING = nullcontext()


class Observer(Protocol):
    """Is told in the thread where it happens. What it raises is logged, and harms nobody."""

    def begin(self, operation: Operation) -> Callable[[], object]:
        """An operation begins; returns what is called at its end, in the same thread."""

    def note(self, fact: Fact, value: str) -> object:
        """Something is so; *value* is one of a few words."""


observers: list[Observer] = []
"""All of this process; append yours before the application is made. It stays the same list."""


class Operation:
    """One operation, which lasts as long as the `with` block.

    Args:
        kind: What it is.
        name: Of what: the prefix of a route or the name of an endpoint, the command of Redis, the
            path at the provider, `process` or `lock`. There are few, whatever is requested.
        method: The method of an HTTP request, as it came: a caller may send any.
        environ: Of a request to us.

    Attributes:
        headers: More of them for a request to the provider or an upstream; an observer adds some.
        origin: Scheme, host and port of these, once it is known; None for anything else.
        script: The hash of the script that Redis runs, or empty.
        status: The status of an HTTP response; 0 without one.
        error: The class of the exception that ended it, or empty.
    """

    # Of the class until they change: an operation is begun at each request, and most change few.
    headers: Mapping[str, str] = MappingProxyType({})
    origin: tuple[str, str, int] | None = None
    script = ""
    status = 0
    error = ""

    def __init__(
        self, kind: Kind, name: str, method: str = "", environ: WSGIEnvironment | None = None
    ) -> None:
        self.kind = kind
        self.name = name
        self.method = method
        self.environ = environ
        self._ends: list[Callable[[], object]] = []

    @property
    def outcome(self) -> str:
        """The class of the status, such as `2xx`; without one `ok` or `failed`."""
        if self.status:
            return f"{self.status // 100}xx"
        return FAILED if self.error else "ok"

    def __enter__(self) -> Operation:
        for observer in observers:
            try:
                self._ends.append(observer.begin(self))
            except Exception:
                log.exception("%r failed at a beginning", observer)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is not None:
            self.error = kind.__name__
        ends = self._ends
        while ends:  # Emptied: an end refers to its operation, which would keep both alive.
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

"""Which line of the log does each response get (`BFF_RESPONSE_LOG`)?

It is written when the body has ended, so that the line of a stream says how long it was. It names
the route, not the address: paths and queries have names, codes and keys of resources in them.
Health checks that succeed get no line: they come every few seconds, and would hide the rest.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from types import TracebackType
from typing import TYPE_CHECKING, Any

from flask import has_request_context, request

from bff.core.log_lines import FIELDS

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

log = logging.getLogger("bff.responses")

RULE = "bff.rule"
"""In the environment of a request that bypasses the router: its rule."""
HEALTH_ROUTES = ("/healthz", "/readyz")
METHOD_MAX_CHARACTERS = 20
ID_MAX_CHARACTERS = 64
_LINE = "bff.response_line"
_NOT_LOGGED = nullcontext()
_MESSAGE = "%(method)s %(route)s %(status)d in %(milliseconds)s ms, %(bytes)d bytes"


def upstream_wait(environ: WSGIEnvironment) -> AbstractContextManager[object]:
    """Measures how long a request waits for its upstream, if its response is logged."""
    waiting: AbstractContextManager[object] = environ.get(_LINE, _NOT_LOGGED)
    return waiting


def note_broken_off(environ: WSGIEnvironment) -> None:
    """The response is broken off, though its body ends as if it were complete."""
    line: _Line | None = environ.get(_LINE)
    if line is not None:
        line.broken_off = True


def logged(
    application: WSGIApplication, environ: WSGIEnvironment, start_response: StartResponse
) -> Iterable[bytes]:
    """Serve one request (PEP 3333), and log its response."""
    line = environ[_LINE] = _Line(environ["REQUEST_METHOD"])

    def begin(status: str, headers: list[tuple[str, str]], *error: Any) -> Any:
        line.begin(environ, status, headers)
        return start_response(status, headers, *error)

    try:
        body = application(environ, begin)
    except BaseException:
        line.end(complete=False)
        raise
    if isinstance(body, list):  # Granian sends a list at once, and anything else by the piece.
        line.bytes = sum(map(len, body))
        line.end(complete=True)
        return body
    return _Body(body, line)


class _Line:
    """What is known of one response; as a context, it measures the wait for the upstream."""

    __slots__ = (
        "_began_at", "_ended", "_sent_at", "broken_off", "bytes", "method", "request_id", "route",
        "status", "upstream_seconds",
    )  # fmt: skip

    def __init__(self, method: str) -> None:
        self._began_at = time.perf_counter()
        self._ended = False
        self.method = method[:METHOD_MAX_CHARACTERS]
        self.route: str | None = None
        # An exception before the response begins: the server answers with 500.
        self.status = 500
        self.bytes = 0
        self.broken_off = False
        self.request_id: str | None = None
        self.upstream_seconds: float | None = None

    def __enter__(self) -> None:
        self._sent_at = time.perf_counter()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.upstream_seconds = time.perf_counter() - self._sent_at

    def begin(self, environ: WSGIEnvironment, status: str, headers: list[tuple[str, str]]) -> None:
        """The response begins."""
        self.status = int(status[:3])
        rule = environ.get(RULE)
        if rule is None and has_request_context():
            rule = request.url_rule
        if rule is not None:
            self.route = rule.rule
        for name, value in reversed(headers):
            if name.lower() == "x-request-id":
                self.request_id = value[:ID_MAX_CHARACTERS]
                break

    def end(self, *, complete: bool) -> None:
        """The response has ended; only the first call counts.

        Args:
            complete: Whether all of it went to the server.
        """
        if self._ended or (self.route in HEALTH_ROUTES and self.status < 400):
            return
        self._ended = True
        complete = complete and not self.broken_off
        found = {
            "method": self.method,
            "route": self.route,
            "status": self.status,
            "milliseconds": _milliseconds(time.perf_counter() - self._began_at),
            "upstream_milliseconds": _milliseconds(self.upstream_seconds),
            "bytes": self.bytes,
            "complete": complete,
            "request_id": self.request_id,
        }
        if log.isEnabledFor(logging.INFO):
            # As `log.info`, which would look for the caller's line of code, at a third of the cost.
            record = logging.LogRecord(log.name, logging.INFO, "", 0, _MESSAGE, (found,), None)
            record.__dict__[FIELDS] = found
            log.handle(record)


class _Body:
    """A body that comes by the piece."""

    __slots__ = ("_body", "_line", "_pieces")

    def __init__(self, body: Iterable[bytes], line: _Line) -> None:
        self._body = body
        self._pieces = iter(body)
        self._line = line

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            piece = next(self._pieces)
        except StopIteration:
            self._line.end(complete=True)
            raise
        except BaseException:
            self._line.end(complete=False)
            raise
        self._line.bytes += len(piece)
        return piece

    def close(self) -> None:
        """The server is done with it, perhaps before its end."""
        self._line.end(complete=False)
        close = getattr(self._body, "close", None)
        if close is not None:
            close()


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 1)

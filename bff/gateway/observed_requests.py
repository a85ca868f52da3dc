"""When does a request to us begin and end, for those who observe, and on which route was it?"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from werkzeug.routing import Rule

from bff.core.operations import Operation
from bff.gateway.route_table import PROXY_ENDPOINT

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

NO_ROUTE = "none"
"""The name of what reaches no endpoint."""
_OPERATION = "bff.operation"

in_progress: deque[None] = deque()
"""As many as observed requests of this process have no response yet."""


class ObservedRequests:
    """A WSGI layer, the outermost: each request is an operation, until its response begins.

    Args:
        application: The next layer.
    """

    def __init__(self, application: WSGIApplication) -> None:
        self._next = application

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request (PEP 3333)."""
        if _OPERATION in environ:  # Metrics have put another such layer around this one.
            return self._next(environ, start_response)
        operation = Operation("request", NO_ROUTE, environ["REQUEST_METHOD"], environ)

        def begin(status: str, headers: list[tuple[str, str]], error: Any = None) -> Any:
            operation.status = _number(status)
            return start_response(status, headers, error)

        environ[_OPERATION] = operation
        in_progress.append(None)
        try:
            with operation:
                return self._next(environ, begin)
        finally:
            in_progress.pop()
            del environ[_OPERATION]  # They refer to each other.


def name_request(environ: WSGIEnvironment, rule: Rule | None) -> None:
    """Name the operation of a request, now that its *rule* is known; if it is observed."""
    operation: Operation | None = environ.get(_OPERATION)
    if operation is None or rule is None:
        return
    if rule.endpoint == PROXY_ENDPOINT:
        operation.name = _route_of(rule.rule)
    else:
        operation.name = rule.endpoint


@lru_cache
def _number(status: str) -> int:
    """That of a status line, of which there are few; an upstream's are rebuilt from its number."""
    return int(status[:3])


@cache
def _route_of(rule: str) -> str:
    """The prefix of a route, of which there are few."""
    return rule.removesuffix("<path:_>").rstrip("/")

"""What may a span say? OpenTelemetry's names, and values that name no person and hold no secret.

No span has a path, a query, an address of a client or a header of a caller: a path at an API may
name a person, and a query may hold a code. What is here is known before anybody asks: routes,
endpoints, the provider's addresses, Redis's commands.

Source: OpenTelemetry semantic conventions 1.41, "HTTP spans" and "Redis".
"""

from __future__ import annotations

from bff.config.route import Origin
from bff.core.operations import Operation

Values = dict[str, str | int]

METHODS = frozenset(
    {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE", "QUERY"}
)
OTHER_METHOD = "_OTHER"
SERVER_ERROR, CLIENT_ERROR = 500, 400


def of_origin(origin: Origin | None) -> Values:
    """Who is called."""
    return {"server.address": origin[1], "server.port": origin[2]} if origin else {}


def of_http(operation: Operation) -> Values:
    """An HTTP request and its response, if there was one."""
    known = operation.method in METHODS
    values: Values = {"http.request.method": operation.method if known else OTHER_METHOD}
    if operation.status:
        values["http.response.status_code"] = operation.status
    return values


def of_redis(operation: Operation, script: str) -> Values:
    """A round trip to Redis; *script* is the name of the one that it runs, if any."""
    values: Values = {"db.system.name": "redis", "db.operation.name": operation.name.upper()}
    return values | {"db.stored_procedure.name": script} if script else values


def error_of(operation: Operation, error_from: int = CLIENT_ERROR) -> str:
    """The class of what went wrong, or the status; empty if all is well.

    Args:
        operation: It has ended.
        error_from: The lowest status that is an error; a server counts its own only.
    """
    if operation.error:
        return operation.error
    return str(operation.status) if operation.status >= error_from else ""


def http_name(method: str, target: str) -> str:
    """The name of the span of a request, such as `GET /api`; *target* may be unknown."""
    return f"{method if method in METHODS else 'HTTP'} {target}".rstrip()

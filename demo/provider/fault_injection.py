"""How is a fault injected into a response? Broken connections need Werkzeug's server."""

import contextlib
import json
import select
import socket
from collections.abc import Callable
from functools import wraps

from flask import Response, make_response, request
from flask.typing import ResponseReturnValue

from demo.provider.faults import Fault
from demo.provider.state import ProviderState

View = Callable[[], ResponseReturnValue]
POLL_SECONDS = 0.05


def counted(state: ProviderState, endpoint: str) -> Callable[[View], View]:
    """Wrap a view: count its requests, and inject the faults of the endpoint."""

    def decorate(view: View) -> View:
        @wraps(view)
        def call() -> ResponseReturnValue:
            state.counts.add(endpoint)
            fault = state.faults.take(endpoint, request.form)
            if fault is None:
                return view()
            state.counts.add(f"{endpoint}.fault.{fault.do}")
            response = make_response(view()) if fault.act and fault.do != "delay" else None
            if fault.do == "hang" and not _wait_for_release(fault):
                state.counts.add(f"{endpoint}.client_left")
                return _close_connection()
            return _carry_out(fault, response, view)

        return call

    return decorate


def _carry_out(fault: Fault, response: Response | None, view: View) -> ResponseReturnValue:
    match fault.do:
        case "delay":
            fault.released.wait(fault.seconds)
            return view()
        case "hang":
            return response or view()
        case "drip" if response is not None:
            return _drip(response, fault)
        case "drop_before" | "drop_after":
            return _close_connection()
        case "garbage":
            return _json_response(fault, 200, '{"access_token": "ey<!doctype html><p>Oh')
    return _json_response(fault, fault.status, _default_body(fault.status))


def _json_response(fault: Fault, status: int, default_body: object) -> Response:
    body = default_body if fault.body is None else fault.body
    text = body if isinstance(body, str) else json.dumps(body)
    response = Response(text, status=status, content_type="application/json")
    response.headers.update(fault.headers)
    return response


def _default_body(status: int) -> dict[str, str]:
    if status == 429:
        return {"error": "too_many_requests", "error_description": "Global limit has been reached"}
    return {"error": "server_error", "error_description": "A fault was injected."}


def _connection() -> socket.socket:
    connection = request.environ.get("werkzeug.socket")
    if not isinstance(connection, socket.socket):
        raise RuntimeError("this fault needs Werkzeug's server")
    return connection


def _wait_for_release(fault: Fault) -> bool:
    """False if the client disconnected before."""
    connection = _connection()
    while not fault.released.wait(POLL_SECONDS):
        readable, _, _ = select.select([connection], [], [], 0)
        if readable and not connection.recv(1, socket.MSG_PEEK):
            return False
    return True


def _close_connection() -> Response:
    connection = _connection()
    # The client may have closed it already.
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    # Werkzeug finds the connection closed when it writes this response, and gives up.
    return Response(status=204)


def _drip(response: Response, fault: Fault) -> Response:
    connection = _connection()
    response.headers["Connection"] = "close"
    head = f"HTTP/1.1 {response.status}\r\n{response.headers}".encode("latin-1")
    # The client may disconnect before the end.
    with contextlib.suppress(OSError):
        for byte in head + response.get_data():
            connection.sendall(bytes([byte]))
            fault.released.wait(fault.seconds)
    return _close_connection()

"""How is an order to fail carried out on a call? Needs Werkzeug's server for the broken ones."""

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
LOOK_AT_CLIENT_SECONDS = 0.05


def counted(state: ProviderState, endpoint: str) -> Callable[[View], View]:
    """Wrap a view: its calls are counted, and obey the orders given for the endpoint."""

    def decorate(view: View) -> View:
        @wraps(view)
        def call() -> ResponseReturnValue:
            state.counts.add(endpoint)
            fault = state.faults.take(endpoint, request.form)
            if fault is None:
                return view()
            state.counts.add(f"{endpoint}.fault.{fault.do}")
            response = make_response(view()) if fault.act and fault.do != "delay" else None
            if fault.do == "hang" and not _held_until_released(fault):
                state.counts.add(f"{endpoint}.client_left")
                return _hang_up()
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
            return _hang_up()
        case "garbage":
            return _stated(fault, 200, '{"access_token": "ey<!doctype html><p>Oh')
    return _stated(fault, fault.status, _usual_body(fault.status))


def _stated(fault: Fault, status: int, usual_body: object) -> Response:
    body = usual_body if fault.body is None else fault.body
    text = body if isinstance(body, str) else json.dumps(body)
    response = Response(text, status=status, content_type="application/json")
    response.headers.update(fault.headers)
    return response


def _usual_body(status: int) -> dict[str, str]:
    if status == 429:
        return {"error": "too_many_requests", "error_description": "Global limit has been reached"}
    return {"error": "server_error", "error_description": "The demo provider was told to fail."}


def _connection() -> socket.socket:
    connection = request.environ.get("werkzeug.socket")
    if not isinstance(connection, socket.socket):
        raise RuntimeError("this order needs Werkzeug's server")
    return connection


def _held_until_released(fault: Fault) -> bool:
    """False if the client left before."""
    connection = _connection()
    while not fault.released.wait(LOOK_AT_CLIENT_SECONDS):
        readable, _, _ = select.select([connection], [], [], 0)
        if readable and not connection.recv(1, socket.MSG_PEEK):
            return False
    return True


def _hang_up() -> Response:
    connection = _connection()
    # The client may have been faster.
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    # Werkzeug finds the connection closed when it writes this, and lets it go.
    return Response(status=204)


def _drip(response: Response, fault: Fault) -> Response:
    connection = _connection()
    response.headers["Connection"] = "close"
    head = f"HTTP/1.1 {response.status}\r\n{response.headers}".encode("latin-1")
    # The client may have had enough before the end.
    with contextlib.suppress(OSError):
        for byte in head + response.get_data():
            connection.sendall(bytes([byte]))
            fault.released.wait(fault.seconds)
    return _hang_up()

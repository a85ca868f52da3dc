"""How is the provider served? Werkzeug's threaded server, keep-alive, with no request log."""

import socket
import threading
from dataclasses import replace
from types import TracebackType
from typing import Any

from flask import Flask
from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler
from werkzeug.wrappers import Response

from demo.provider.app import create_provider
from demo.provider.backchannel import BackChannel
from demo.provider.settings import ProviderSettings
from demo.provider.state import ProviderState

SHUTDOWN_POLL_SECONDS = 0.05
NO_CONTENT = 204


class QuietHandler(WSGIRequestHandler):
    """HTTP/1.1 with keep-alive, as real providers have it."""

    protocol_version = "HTTP/1.1"
    # Headers and body go out in two writes; Nagle's algorithm would delay the second.
    disable_nagle_algorithm = True

    def run_wsgi(self) -> None:
        """Respond to one request and keep the connection open; Werkzeug would close it.

        The application has read the body, so the next bytes are the next request.
        """
        response = Response.from_app(self.server.app, self.make_environ(), buffered=True)
        body = response.get_data()
        self.send_response(response.status_code, response.status.partition(" ")[2])
        for name, value in response.headers:
            self.send_header(name, value)
        if "Content-Length" not in response.headers and response.status_code != NO_CONTENT:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log(self, type: str, message: str, *args: Any) -> None:
        """Log nothing: a query string may hold a code."""


class TrackingServer(ThreadedWSGIServer):
    """Tracks its connections, so that a stop also closes idle ones."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._open: set[Any] = set()
        self._open_lock = threading.Lock()
        super().__init__(*args, **kwargs)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._open_lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._open_lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def close_all_connections(self) -> None:
        with self._open_lock:
            for connection in self._open:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue  # The client has closed it already.


class RunningProvider:
    """A provider, served by threads of this process until `stop`."""

    def __init__(self, settings: ProviderSettings) -> None:
        listener = _listen(settings)
        self.settings = replace(settings, port=listener.getsockname()[1])
        self.app: Flask = create_provider(self.settings)
        self._server = _server(self.settings, self.app, listener)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(SHUTDOWN_POLL_SECONDS,), daemon=True
        )
        self._thread.start()

    @property
    def issuer(self) -> str:
        return self.settings.issuer

    @property
    def port(self) -> int:
        return self.settings.port

    @property
    def control_key(self) -> str:
        return self.settings.control_key

    @property
    def state(self) -> ProviderState:
        state: ProviderState = self.app.extensions["demo_provider"]
        return state

    def stop(self) -> None:
        """Stop listening, let hanging requests continue, and close every connection."""
        backchannel: BackChannel = self.app.extensions["demo_provider_backchannel"]
        backchannel.close()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self.state.faults.clear()
        self._server.close_all_connections()

    def __enter__(self) -> "RunningProvider":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()


def start_provider(settings: ProviderSettings) -> RunningProvider:
    """Serve a provider; with port 0 on any free port, which is then part of the issuer.

    Raises:
        OSError: The port is in use.
    """
    return RunningProvider(settings)


def _listen(settings: ProviderSettings) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError as error:
        listener.close()
        place = f"{settings.host}:{settings.port}"
        raise OSError(f"can't listen on {place}: {error.strerror}") from error
    listener.listen(128)
    return listener


def _server(settings: ProviderSettings, app: Flask, listener: socket.socket) -> TrackingServer:
    # Werkzeug duplicates the descriptor.
    with listener:
        return TrackingServer(settings.host, settings.port, app, QuietHandler, fd=listener.fileno())

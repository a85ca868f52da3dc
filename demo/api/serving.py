"""How does the demo API serve HTTP? One thread per connection, HTTP/1.1, keep-alive, no log.

Werkzeug's server closes every connection, and other servers hide the raw request target or the
socket. An API behind a proxy has to show how the proxy treats connections: they stay open, bodies
stream both ways, and a disconnect from a silent stream is noticed at once.
"""

import io
import selectors
import socket
import sys
import time
from collections.abc import Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any, BinaryIO, cast
from urllib.parse import unquote_to_bytes
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from werkzeug.exceptions import HTTPException
from werkzeug.serving import DechunkedInput
from werkzeug.wsgi import LimitedStream

IDLE_CONNECTION_SECONDS = 75
DRAIN_LIMIT_BYTES = 1024 * 1024


class APIServer(ThreadingHTTPServer):
    """Serves one WSGI application on one address; with port 0 the system chooses one."""

    daemon_threads = True
    # Tests open two hundred connections at once, and the default backlog is five.
    request_queue_size = 1024

    def __init__(self, address: tuple[str, int], app: WSGIApplication) -> None:
        """Listen on *address*; serving starts with `serve_forever`."""
        self.app = app
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        """Bind without the reverse DNS lookup of `http.server`."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore disconnects of clients; report other errors."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


class ClientGone:
    """Tells a stream whether its client has disconnected."""

    def __init__(self, connection: socket.socket) -> None:
        """Watch *connection*, without reading from it."""
        self._connection = connection

    def __call__(self, timeout_seconds: float) -> bool:
        """Wait up to *timeout_seconds* for the client to disconnect; True as soon as it has."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._connection, selectors.EVENT_READ)
            if not selector.select(timeout_seconds):
                return False
        try:
            if self._connection.recv(1, socket.MSG_PEEK) == b"":
                return True
        except OSError:
            return True
        # The client has sent its next request already, so a disconnect can't be seen any more.
        time.sleep(timeout_seconds)
        return False


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = IDLE_CONNECTION_SECONDS
    disable_nagle_algorithm = True

    def handle_one_request(self) -> None:
        """Read one request, run the application, and write its response."""
        try:
            self.raw_requestline = self.rfile.readline(65537)
        except (TimeoutError, ConnectionError):
            self.raw_requestline = b""
        if len(self.raw_requestline) > 65536:
            self.requestline = self.request_version = self.command = ""
            self.send_error(414)
        elif not self.raw_requestline:
            self.close_connection = True
        elif self.parse_request():
            self._respond()

    def _respond(self) -> None:
        body = self._request_body()
        if body is None:
            self.send_error(400, "Bad framing")
            return
        _Exchange(self).run(cast(APIServer, self.server).app, self._environ(body))
        self._drain(body)

    def _request_body(self) -> io.IOBase | None:
        """Return the body as a stream that ends with it; None if the framing is invalid."""
        lengths = self.headers.get_all("Content-Length", [])
        codings = self.headers.get_all("Transfer-Encoding", [])
        if codings:
            # RFC 9112, section 6.1: both headers at once may be an attempt of request smuggling.
            chunked = [coding.lower().strip() for coding in codings] == ["chunked"]
            rfile = cast(BinaryIO, self.rfile)
            dechunked = io.BufferedReader(cast(io.RawIOBase, DechunkedInput(rfile)))
            return dechunked if chunked and not lengths else None
        if len(lengths) > 1 or any(not (n.isascii() and n.isdigit()) for n in lengths):
            return None
        return LimitedStream(cast(BinaryIO, self.rfile), int(lengths[0]) if lengths else 0)

    def _environ(self, body: io.IOBase) -> WSGIEnvironment:
        """Build the WSGI environment (PEP 3333), with the raw request target."""
        path, _, query = self.path.partition("?")
        environ: WSGIEnvironment = {
            "REQUEST_METHOD": self.command,
            "SCRIPT_NAME": "",
            "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
            "QUERY_STRING": query,
            "RAW_URI": self.path,
            "SERVER_NAME": cast(APIServer, self.server).server_name,
            "SERVER_PORT": str(cast(APIServer, self.server).server_port),
            "SERVER_PROTOCOL": self.request_version,
            "REMOTE_ADDR": self.client_address[0],
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": body,
            "wsgi.input_terminated": True,
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
            "demo.header_names": [name for name, _ in self.headers.items()],
            "demo.client_gone": ClientGone(self.connection),
        }
        for name, value in self.headers.items():
            key = name.upper().replace("-", "_")
            if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
                key = f"HTTP_{key}"
            environ[key] = f"{environ[key]},{value}" if key in environ else value
        return environ

    def _drain(self, body: io.IOBase) -> None:
        """Read the rest of the body, since the next request begins after it."""
        left_bytes = DRAIN_LIMIT_BYTES
        try:
            while left_bytes > 0 and (chunk := body.read(65536)):
                left_bytes -= len(chunk)
        except (OSError, HTTPException):
            left_bytes = 0
        if left_bytes <= 0:
            self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: a request line can contain secrets."""


class _Exchange:
    """Sends one response: the headers, then the body as the application yields it."""

    def __init__(self, handler: _Handler) -> None:
        self._handler = handler
        self._head: tuple[str, list[tuple[str, str]]] | None = None
        self._chunked = False
        self._sent = False

    def run(self, app: WSGIApplication, environ: WSGIEnvironment) -> None:
        """Call *app* and send what it returns; a disconnect ends it early."""
        chunks = app(environ, cast(StartResponse, self._start_response))
        try:
            self._send_all(chunks)
        except (ConnectionError, TimeoutError):
            self._handler.close_connection = True
        finally:
            if hasattr(chunks, "close"):
                chunks.close()

    def _start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: Any = None
    ) -> Any:
        self._head = (status, headers)
        return self._send

    def _send_all(self, chunks: Iterable[bytes]) -> None:
        for chunk in chunks:
            self._send(chunk)
        if not self._sent:
            self._send(b"")
        if self._chunked:
            self._handler.wfile.write(b"0\r\n\r\n")

    def _send(self, chunk: bytes) -> None:
        # Headers and first chunk go out in one write; an empty first chunk sends the headers alone.
        head = b"" if self._sent else self._render_head()
        self._sent = True
        if self._handler.command == "HEAD":
            chunk = b""
        if chunk and self._chunked:
            chunk = b"%x\r\n%b\r\n" % (len(chunk), chunk)
        if head or chunk:
            self._handler.wfile.write(head + chunk)

    def _render_head(self) -> bytes:
        if self._head is None:
            raise RuntimeError("The application didn't call start_response.")
        status, headers = self._head
        names = {name.lower() for name, _ in headers}
        lines = [f"HTTP/1.1 {status}", f"Date: {self._handler.date_time_string()}"]
        lines += [f"{name}: {value}" for name, value in headers]
        bodiless = self._handler.command == "HEAD" or status[:3] in ("204", "304")
        if "content-length" not in names and not bodiless:
            self._chunked = self._handler.request_version != "HTTP/1.0"
            self._handler.close_connection |= not self._chunked
            lines += ["Transfer-Encoding: chunked"] * self._chunked
        if self._handler.close_connection:
            lines.append("Connection: close")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

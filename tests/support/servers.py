"""How does a test start a real WSGI server with an app?"""

from __future__ import annotations

import http.client
import os
import sys
from collections.abc import Mapping

from tests.support.processes import Process, free_port

SERVERS = ("granian", "gunicorn")
THREADS = 16
READY_SECONDS = 30.0

_STRIPPED = ("GRANIAN_", "GUNICORN_", "BFF_", "AUTH0_", "OIDC_", "HTTP_", "HTTPS_", "http")


class WebServer(Process):
    """A running server on `port`."""

    port: int

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    def wait_for_answer(self, port: int) -> None:
        """Wait until a request gets any response."""
        self._wait_until(lambda: _answers(port), f"port {port}", READY_SECONDS)


def start_server(
    kind: str,
    app: str,
    *,
    env: Mapping[str, str] | None = None,
    options: tuple[str, ...] = (),
    port: int = 0,
) -> WebServer:
    """Start *app* (`package.module:name`) under a server and wait until it listens.

    Args:
        kind: `granian` or `gunicorn`.
        app: The application.
        env: Added to a cleaned copy of this environment.
        options: Added to the command line.
        port: 0 for a free one.

    Returns:
        The started process; stop it, or use it as a context manager (entering doesn't start again).
    """
    port = port or free_port()
    command = {"granian": _granian, "gunicorn": _gunicorn}[kind](app, port)
    environment = {n: v for n, v in os.environ.items() if not n.startswith(_STRIPPED)}
    environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    server = WebServer(
        [*command, *options], name=f"{kind} {app}", env=environment | dict(env or {})
    )
    server.port = port
    server.start()
    try:
        # gunicorn listens before it can respond, so this waits for a response of any status.
        server.wait_for_answer(port)
    except BaseException:
        server.stop()
        raise
    return server


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5.0)
    try:
        connection.request("GET", "/ready-yet")
        return connection.getresponse().status > 0
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def start_granian(app: str, port: int = 0, env: Mapping[str, str] | None = None) -> WebServer:
    """Start *app* under Granian; see `start_server`."""
    return start_server("granian", app, env=env, port=port)


def start_gunicorn(app: str, port: int = 0, env: Mapping[str, str] | None = None) -> WebServer:
    """Start *app* under gunicorn's threaded worker; see `start_server`."""
    return start_server("gunicorn", app, env=env, port=port)


def _granian(app: str, port: int) -> list[str]:
    return [
        sys.executable, "-m", "granian", "--interface", "wsgi", "--host", "127.0.0.1",
        "--port", str(port), "--http", "1", "--no-ws", "--blocking-threads", str(THREADS), app,
    ]  # fmt: skip


def _gunicorn(app: str, port: int) -> list[str]:
    return [
        sys.executable, "-m", "gunicorn", "--bind", f"127.0.0.1:{port}", "--worker-class",
        "gthread", "--threads", str(THREADS), "--no-control-socket", app,
    ]  # fmt: skip

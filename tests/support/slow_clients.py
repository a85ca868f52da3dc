"""How does a test get hundreds of clients that don't send on, or don't read?"""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial

import psutil
import requests

from tests.support.browser_client import FETCH, NAVIGATION, BrowserClient
from tests.support.processes import Process

SMALL_BYTES = 4096
"""The receive buffer of a client that doesn't read."""
TIMEOUT_SECONDS = 30
AT_MOST_SECONDS = 2.0
ADMIN_KEY = "an-admin-key-of-32-characters-00"
LOG_STREAM_KEY = "a-log-stream-key-of-32-character"
INTROSPECTION_SECRET = "introspection-secret-of-32-chars"  # noqa: S105
ENVIRONMENT = {
    "BFF_ADMIN_KEY": ADMIN_KEY,
    "BFF_LOG_STREAM_KEY": LOG_STREAM_KEY,
    "BFF_INTROSPECTION_CLIENTS": f"api:{INTROSPECTION_SECRET}",
    "BFF_SSF_ISSUER": "https://transmitter.test",
}
"""Every route that reads a body is on."""
JSON, FORM = "application/json", "application/x-www-form-urlencoded"
OWN_ROUTES = {
    "/auth/logout": FORM,
    "/auth/initiate-login": FORM,
    "/auth/backchannel-logout": FORM,
    "/auth/introspect": FORM,
    "/auth/global-token-revocation": JSON,
    "/admin/sessions/end": JSON,
    "/webhooks/auth0-logs": JSON,
    "/webhooks/ssf": "application/secevent+jwt",
}
"""Those that read a body, and its media type."""


@contextlib.contextmanager
def slow_clients(
    port: int, sent: Sequence[bytes], tls: ssl.SSLContext | None = None
) -> Iterator[list[socket.socket]]:
    """Connections that have each sent one of these requests, and then do nothing."""
    with contextlib.ExitStack() as stack:
        clients = []
        for request in sent:
            client = stack.enter_context(_connection(port, tls))
            with contextlib.suppress(ConnectionError):
                client.sendall(request)
            clients.append(client)
        yield clients


def _connection(port: int, tls: ssl.SSLContext | None) -> socket.socket:
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BYTES)
    sock.settimeout(TIMEOUT_SECONDS)
    sock.connect(("127.0.0.1", port))
    return sock if tls is None else tls.wrap_socket(sock, server_hostname="localhost")


def head(
    browser: BrowserClient | None,
    method: str,
    target: str,
    *fields: str,
    sent_by: Mapping[str, str] = FETCH,
) -> bytes:
    """The head of a request of a page, with the cookies of *browser*."""
    lines = [f"{method} {target} HTTP/1.1", "Host: localhost", "X-CSRF: 1", *fields]
    lines += [f"{name}: {value}" for name, value in sent_by.items()]
    if browser is not None:
        cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in browser.here.cookies)
        lines.append(f"Cookie: {cookies}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def unfinished(target: str) -> bytes:
    """A request whose body doesn't come, to a route of ours that doesn't refuse its headers."""
    fields = [f"Content-Type: {OWN_ROUTES[target]}", "Content-Length: 1000"]
    if target == "/webhooks/auth0-logs":
        fields.append(f"Authorization: {LOG_STREAM_KEY}")
    elif OWN_ROUTES[target] == JSON:
        fields.append(f"Authorization: Bearer {ADMIN_KEY}")
    sent_by = NAVIGATION if target == "/auth/initiate-login" else FETCH
    begun = b"a=b"
    if target == "/auth/introspect":
        # Wrong keys would slow down the next test that tries one.
        begun = f"client_id=api&client_secret={INTROSPECTION_SECRET}&".encode()
    return head(None, "POST", target, *fields, sent_by=sent_by) + begun


def unnoticed(ports: Collection[int]) -> int:
    """How many clients have closed their connection while the server works on its request."""
    waiting = [c for c in psutil.net_connections("tcp") if c.status == psutil.CONN_CLOSE_WAIT]
    return sum(tuple(one.laddr)[1] in ports for one in waiting)


def resident_bytes(server: Process) -> int:
    """The memory of a server and its workers."""
    process = psutil.Process(server.pid)
    return sum(one.memory_info().rss for one in [process, *process.children(recursive=True)])


def slowest_step(browser: BrowserClient, health: Callable[[], requests.Response]) -> float:
    """A health check, and a sign-in, a call and a logout: how many seconds the slowest took."""
    steps: dict[str, Callable[[], requests.Response]] = {
        "health": health,
        "sign-in": browser.log_in,
        "call": partial(browser.api, "/x"),
        "logout": browser.log_out,
    }
    took: dict[str, float] = {}
    for what, ask in steps.items():
        began = time.monotonic()
        response = ask()
        took[what] = time.monotonic() - began
        assert response.ok, (what, response.status_code, response.text)
    print(took)
    return max(took.values())

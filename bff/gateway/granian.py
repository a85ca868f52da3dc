"""How is a connection closed under Granian, which offers no way to do it?

Before a response begins: by a response that is shorter than its Content-Length. It is an error to
Granian (2.8), which then closes the connection, and a thread that waits for the body is freed.

In the middle of a response: when an application raises, Granian ends a chunked response properly,
so half a download would pass for a complete one. Instead the socket is shut down. Granian doesn't
tell which connection belongs to the request, so this works only if it is the client's only one.
"""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

HEAD_SECONDS = 0.1
"""How long the head of a response is given to leave."""


def serves(environ: Mapping[str, Any]) -> bool:
    """Whether the request came through Granian."""
    return environ.get("SERVER_SOFTWARE") == "Granian"


def header_value(value: str) -> str:
    """A header value in the form in which its bytes leave unchanged, if they are UTF-8.

    Granian encodes values as UTF-8, not as Latin-1 (PEP 3333). Bytes that are no UTF-8 leave as the
    UTF-8 of the same Latin-1 letters: no other form would pass.
    """
    try:
        return value.encode("latin-1").decode()
    except UnicodeDecodeError:
        return value


class _TooShort:
    """The body of a response that ends before its last byte."""

    def __init__(self) -> None:
        self._pieces = iter([b"\n"])

    def __next__(self) -> bytes:
        try:
            return next(self._pieces)
        except StopIteration:
            # Else the error would overtake the head of the response.
            time.sleep(HEAD_SECONDS)
            raise

    def close(self) -> None:
        """Granian calls it at the end."""


def connection_closer() -> Callable[[], object] | None:
    """What closes the connection of the request that the calling thread serves.

    It can be called from any thread, has no effect once the response has begun, and touches no
    other connection. The client gets 408, so that a proxy in front doesn't take us for broken.

    Returns:
        None if Granian's own code isn't as expected.
    """
    frame = sys._getframe(1)  # noqa: SLF001 - Granian gives its end of the response to nobody.
    while frame.f_back is not None and frame.f_globals.get("__name__") != "granian.wsgi":
        frame = frame.f_back
    respond = getattr(frame.f_locals.get("proto"), "response_iter", None)
    if respond is None:
        return None
    response = 408, [("content-length", "2"), ("connection", "close")], _TooShort()
    return lambda: threading.Thread(target=respond, args=response, daemon=True).start()


def give_up_unread(seconds: int) -> None:
    """Let the kernel close connections to this process whose peer reads nothing for so long.

    For those that are open, and those that its listening sockets accept from now on (RFC 5482).
    Linux only: elsewhere the kernel has its own limit, or none.
    """
    option = getattr(socket, "TCP_USER_TIMEOUT", None)
    if option is None:
        return
    with contextlib.ExitStack() as stack:
        ours = [sock for sock in _sockets(stack) if _is_tcp(sock)]
        ports = {_port(sock) for sock in ours if _listens(sock)}
        for sock in ours:
            if _port(sock) in ports:
                # It may have been closed just now.
                with contextlib.suppress(OSError):
                    sock.setsockopt(socket.IPPROTO_TCP, option, seconds * 1000)


def break_connection(environ: Mapping[str, Any]) -> bool:
    """Break the client's connection, so that half a response can't pass for a complete one.

    Returns:
        False if the client has several connections to this process, as a proxy in front has: a
        wrong one must not be broken.
    """
    peer, port = environ.get("REMOTE_ADDR", ""), int(environ.get("SERVER_PORT") or 0)
    with contextlib.ExitStack() as stack:
        matching = [sock for sock in _sockets(stack) if _endpoints(sock) == (peer, port)]
        if len(matching) == 1:
            matching[0].shutdown(socket.SHUT_RDWR)
        return len(matching) == 1


def _sockets(stack: contextlib.ExitStack) -> Iterator[socket.socket]:
    """Duplicates of all sockets of this process; *stack* closes them."""
    try:
        names = [int(entry.name) for entry in Path("/dev/fd").iterdir()]
    except OSError:
        return
    for fd in names:
        with contextlib.suppress(OSError):
            # Granian can't close a duplicate in the meantime.
            if stat.S_ISSOCK(os.fstat(fd).st_mode):
                yield stack.enter_context(socket.socket(fileno=os.dup(fd)))


def _endpoints(sock: socket.socket) -> tuple[str, int] | None:
    try:
        return sock.getpeername()[0], sock.getsockname()[1]
    except (OSError, IndexError):
        return None


def _is_tcp(sock: socket.socket) -> bool:
    return sock.family in (socket.AF_INET, socket.AF_INET6) and sock.type == socket.SOCK_STREAM


def _listens(sock: socket.socket) -> bool:
    return bool(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))


def _port(sock: socket.socket) -> int:
    port: int = sock.getsockname()[1]
    return port

"""How is a response broken off under Granian, which offers no way to do it?

When an application raises, Granian (2.8) ends a chunked response properly, so half a download would
pass for a complete one. Instead the socket is shut down. Granian doesn't tell which connection
belongs to the request, so this works only if it is the client's only one.
"""

from __future__ import annotations

import contextlib
import os
import socket
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any


def serves(environ: Mapping[str, Any]) -> bool:
    """Whether the request came through Granian."""
    return environ.get("SERVER_SOFTWARE") == "Granian"


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

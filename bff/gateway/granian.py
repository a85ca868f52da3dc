"""What does Granian keep from an application, and how is it done all the same?

Granian (2.8) ends an answer in chunks properly when the application raises, so that half a download
would pass for all of it. Here the connection is shut down below Granian's feet. Which connection is
ours Granian doesn't say, so it must be the client's only one.
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


def hang_up(environ: Mapping[str, Any]) -> bool:
    """Break the client's connection, so that it can't take half an answer for the whole.

    Returns:
        False if the client has several connections to this process (a proxy in front has), since
        the wrong one must not be cut.
    """
    peer, port = environ.get("REMOTE_ADDR", ""), int(environ.get("SERVER_PORT") or 0)
    with contextlib.ExitStack() as stack:
        found = [sock for sock in _sockets(stack) if _ends(sock) == (peer, port)]
        if len(found) == 1:
            found[0].shutdown(socket.SHUT_RDWR)
        return len(found) == 1


def _sockets(stack: contextlib.ExitStack) -> Iterator[socket.socket]:
    """A duplicate of every socket of this process, closed with *stack*."""
    try:
        names = [int(entry.name) for entry in Path("/dev/fd").iterdir()]
    except OSError:
        return
    for fd in names:
        with contextlib.suppress(OSError):
            # A duplicate can't be closed by Granian while it is looked at.
            if stat.S_ISSOCK(os.fstat(fd).st_mode):
                yield stack.enter_context(socket.socket(fileno=os.dup(fd)))


def _ends(sock: socket.socket) -> tuple[str, int] | None:
    try:
        return sock.getpeername()[0], sock.getsockname()[1]
    except (OSError, IndexError):
        return None

"""What does Granian keep from an application, and how is it done all the same?

Granian (2.8) gives a body in chunks that broke off the same end as a whole one, so that half a file
would be stored as the file. The kernel knows better: whoever broke off has closed the connection.
In the other direction it ends an answer in chunks properly when the application raises, so that
half a download would pass for all of it; there the connection is shut down below Granian's feet.
Which connection is ours Granian doesn't say: reading, all of that client's count; hanging up, it
must be the only one.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import socket
import stat
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from bff.errors import RequestRefused

_TABLES = {4: Path("/proc/self/net/tcp"), 6: Path("/proc/self/net/tcp6")}
_ESTABLISHED = "01"
_IPV4_MAPPED = "0000000000000000FFFF0000"


def serves(environ: Mapping[str, Any]) -> bool:
    """Whether the request came through Granian."""
    return environ.get("SERVER_SOFTWARE") == "Granian"


class WatchedStream:
    """A body in chunks that is refused at its end if its client may have broken it off.

    Args:
        environ: Of the request; its `wsgi.input` is read.

    Raises:
        RequestRefused: There is no way to tell on this system.
    """

    def __init__(self, environ: Mapping[str, Any]) -> None:
        self._stream: BinaryIO = environ["wsgi.input"]
        self._peer: str = environ.get("REMOTE_ADDR", "")
        self._port = int(environ.get("SERVER_PORT") or 0)
        self._before = _connections(self._peer, self._port)
        if not self._before:
            raise RequestRefused("this server can't tell whether a body in chunks is whole")

    def read(self, size_bytes: int) -> bytes:
        """The next piece; short or empty at the end.

        Raises:
            RequestRefused: A connection that the client had at the beginning is gone by the end.
        """
        data = self._stream.read(size_bytes)
        if len(data) < size_bytes and not self._before <= _connections(self._peer, self._port):
            raise RequestRefused("the client closed a connection; its body may not be whole")
        return data


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


def _connections(peer: str, port: int) -> set[str]:
    """The peer's ports on open connections to *port*; empty if that can't be told."""
    try:
        address = ipaddress.ip_address(peer)
    except ValueError:
        return set()
    names = {_hex(address)}
    if address.version == 4:
        names.add(_IPV4_MAPPED + _hex(address))
    found = set()
    for table in _TABLES.values():
        found |= _matches(table, names, f":{port:04X}")
    return found


def _matches(table: Path, names: set[str], local_end: str) -> set[str]:
    try:
        lines = table.read_text("ascii").splitlines()[1:]
    except OSError:
        return set()
    found = set()
    for line in lines:
        _, local, remote, state, _ = line.split(maxsplit=4)
        name, _, remote_port = remote.partition(":")
        if state == _ESTABLISHED and name in names and local.endswith(local_end):
            found.add(remote_port)
    return found


def _hex(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    """As the kernel prints it: 32-bit words in the machine's order."""
    packed = address.packed
    words = (packed[i : i + 4] for i in range(0, len(packed), 4))
    return "".join(f"{int.from_bytes(word, sys.byteorder):08X}" for word in words)

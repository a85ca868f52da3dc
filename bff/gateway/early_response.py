"""What must happen before the next piece of a request's body is sent to an upstream?

An upstream may respond early and close (413, 403). libcurl would go on sending, fail, and lose the
response that waits in the socket: so it reads first. What comes between that and a send that fails
is read here. But once libcurl has the whole response, it reads no more, though the upstream may
have closed. Source: RFC 9112, 9.5.
"""

from __future__ import annotations

import fcntl
import os
import re
import select
import sys
import termios

import pycurl

READ_FIRST = int(pycurl.READFUNC_PAUSE)
STOP = int(pycurl.READFUNC_ABORT)
SEND = 0

_CAME = ~select.POLLOUT
"""Data, the end, or that libcurl has closed the descriptor and uses another one."""
_CLOSED = select.POLLHUP | select.POLLERR
_UPLOAD_ENDED = (pycurl.E_ABORTED_BY_CALLBACK, pycurl.E_SEND_ERROR)
_LEFT_MAX_BYTES = 256 * 1024
_LENGTH = re.compile(rb"\r\nContent-Length:[ \t]*([0-9]{1,18})[ \t]*(?:\r\n|$)", re.IGNORECASE)


class EarlyResponse:
    """What an upstream says while one request's body is sent."""

    __slots__ = ("_complete", "_kept", "_kept_of", "_left")

    def __init__(self) -> None:
        self._complete = False
        self._kept = self._kept_of = -1
        self._left: tuple[int, ...] | None = None
        """How far the response had come, and what was unread, when libcurl was told to read."""

    def next_step(self, poll: select.poll, fd: int, *received: int) -> int:
        """`READ_FIRST`, `STOP` since the upstream has closed, or `SEND`.

        Args:
            poll: Watches the upstream's connection.
            fd: Its descriptor; negative while it isn't known.
            received: How far the response has come.
        """
        if fd < 0:
            return READ_FIRST
        events = [event for _, event in poll.poll(0) if event & _CAME]
        left, self._left = self._left, None
        if not events:
            return SEND
        now = (*received, _unread_bytes(fd))
        if now != left:
            self._left = now
            return READ_FIRST
        # libcurl leaves it: it has the whole response.
        self._complete = True
        return STOP if events[0] & _CLOSED else SEND

    def is_whole(self, code: int) -> bool:
        """Whether there is a whole response, though libcurl's error *code* ended the exchange."""
        return self._complete and code in _UPLOAD_ENDED

    def keep(self, fd: int) -> None:
        """Keep the connection *fd* open when libcurl closes it, until `let_go`."""
        if fd != self._kept_of:
            self.let_go()
            self._kept, self._kept_of = os.dup(fd), fd

    def let_go(self) -> None:
        """Close what was kept."""
        if self._kept >= 0:
            os.close(self._kept)
            self._kept = self._kept_of = -1

    # A response that nobody reads or closes is left to the garbage collector.
    __del__ = let_go

    def read_left(self, header_lines: list[bytes], chunks: list[bytes]) -> bool:
        """Read the response that libcurl has left in the connection, if it isn't encrypted.

        Args:
            header_lines: Gets its lines, as from libcurl; if there are some, nothing was left.
            chunks: Gets its body.

        Returns:
            Whether it is whole.
        """
        lines: list[bytes] = []
        rest, head = b"" if header_lines else self._left_bytes(), b""
        while not lines or head[9:10] == b"1":
            head, end, rest = rest.partition(b"\r\n\r\n")
            if not end or not head.startswith(b"HTTP/1.") or b"\r\ntransfer-enc" in head.lower():
                return False
            lines += [*(line + b"\r\n" for line in head.split(b"\r\n")), b"\r\n"]
        found = _LENGTH.search(head)
        length = int(found[1]) if found else len(rest)
        header_lines += lines
        chunks += [rest[:length]] if rest else []
        return found is not None and len(rest) >= length

    def _left_bytes(self) -> bytes:
        left = b""
        try:
            while self._kept >= 0 and len(left) < _LEFT_MAX_BYTES:
                piece = os.read(self._kept, _LEFT_MAX_BYTES)
                if not piece:
                    break
                left += piece
        except OSError:
            pass
        return left


def _unread_bytes(fd: int) -> int:
    answer = bytearray(4)
    try:
        fcntl.ioctl(fd, termios.FIONREAD, answer)
    except OSError:
        return -1
    return int.from_bytes(answer, sys.byteorder)

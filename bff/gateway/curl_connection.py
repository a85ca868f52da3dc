"""How is one request sent to an upstream with libcurl, and its response read piece by piece?

The calling thread drives everything. Nothing is read from the upstream until the caller asks for
more: that is the backpressure. libcurl appends to plain lists, and runs no Python code for them.
"""

from __future__ import annotations

import contextlib
import select
import time
from collections.abc import Sequence
from typing import Any

import pycurl

from bff.config.route import Origin
from bff.gateway.early_response import READ_FIRST, SEND, STOP, EarlyResponse
from bff.gateway.request_body import RequestBody

BUFFER_BYTES = 128 * 1024
CONNECT_POLL_SECONDS = 0.05
KEEPALIVE_SECONDS = 30
SEND_ONCE = 1
SEND_TWICE = 2

_NOTHING_OPENED = frozenset(
    {pycurl.E_COULDNT_CONNECT, pycurl.E_COULDNT_RESOLVE_HOST, pycurl.E_OPERATION_TIMEDOUT,
     pycurl.E_SSL_CONNECT_ERROR, pycurl.E_PEER_FAILED_VERIFICATION}
)  # fmt: skip


class CurlConnection:
    """One libcurl handle and its connection; for one request at a time.

    Args:
        origin: The address that it connects to: scheme, host and port.
        connect_timeout_seconds: For opening the connection.
        ca_file: PEM certificates of the CAs trusted for an https upstream.
    """

    __slots__ = (
        "_body", "_early", "_easy", "_fd", "_mode", "_multi", "_paused", "_poll", "_send_limit",
        "_unsent", "body_error", "chunks", "failure", "finished", "header_lines",
        "keep_alive_seconds", "progress_at", "sends", "used_at",
    )  # fmt: skip

    def __init__(self, origin: Origin, connect_timeout_seconds: float, ca_file: str) -> None:
        self._multi: Any = pycurl.CurlMulti()
        # One request at a time needs no more than one connection.
        self._multi.setopt(pycurl.M_MAXCONNECTS, 1)
        self._easy: Any = pycurl.Curl()
        self._poll = select.poll()
        self._fd = -1
        self._mode: tuple[str, bool] | None = None
        self._body: RequestBody | None = None
        self._early = EarlyResponse()
        self._paused = False
        self._unsent = b""
        self._send_limit = SEND_ONCE
        self.header_lines: list[bytes] = []
        """The header lines of the response, status line first, as they came."""
        self.chunks: list[bytes] = []
        """The part of the response's body that came since this was last emptied."""
        self.sends = 0
        """How often the request was sent."""
        self.finished = False
        self.failure: tuple[int, str] | None = None
        """libcurl's error code and message, if the exchange failed."""
        self.body_error: Exception | None = None
        """Why the client's body couldn't be read."""
        self.progress_at = 0.0
        self.used_at = 0.0
        self.keep_alive_seconds: float | None = None
        """How long the upstream keeps the connection when it is idle, as far as it says so."""
        scheme, host, port = origin
        url = f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}/"
        self._set_up(url, connect_timeout_seconds, ca_file)

    def _set_up(self, url: str, connect_timeout_seconds: float, ca_file: str) -> None:
        easy = self._easy
        for option, value in {
            pycurl.URL: url,
            pycurl.PATH_AS_IS: 1,
            pycurl.PROTOCOLS: pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS,
            pycurl.HTTP_VERSION: pycurl.CURL_HTTP_VERSION_1_1,
            pycurl.FOLLOWLOCATION: 0,
            # Else libcurl would use http_proxy and its like from the process's environment.
            pycurl.PROXY: "",
            pycurl.NOPROXY: "*",
            pycurl.NETRC: pycurl.NETRC_IGNORED,
            pycurl.NOSIGNAL: 1,
            pycurl.TCP_NODELAY: 1,
            pycurl.TCP_KEEPALIVE: 1,
            pycurl.TCP_KEEPIDLE: KEEPALIVE_SECONDS,
            pycurl.TCP_KEEPINTVL: KEEPALIVE_SECONDS,
            pycurl.SSL_VERIFYPEER: 1,
            pycurl.SSL_VERIFYHOST: 2,
            pycurl.CAINFO: ca_file,
            pycurl.CONNECTTIMEOUT_MS: int(connect_timeout_seconds * 1000),
            pycurl.BUFFERSIZE: BUFFER_BYTES,
            pycurl.UPLOAD_BUFFERSIZE: BUFFER_BYTES,
            pycurl.HEADERFUNCTION: self.header_lines.append,
            pycurl.WRITEFUNCTION: self.chunks.append,
            pycurl.READFUNCTION: self._read_body,
            pycurl.PREREQFUNCTION: self._before_sending,
        }.items():
            easy.setopt(option, value)
        # Else pycurl sends its own; the client's User-Agent passes as a header.
        easy.setopt(pycurl.USERAGENT, "")

    # ------------------------------------------------------------ one request
    def start(
        self,
        method: str,
        target: str,
        header_lines: Sequence[str | bytes],
        body: RequestBody | None,
        send_limit: int,
    ) -> None:
        """Begin a request; `step()` then drives it.

        Args:
            method: Any token but TRACE and CONNECT.
            target: Path and query, sent byte for byte.
            header_lines: In libcurl's form; `name;` is an empty header, `name:` suppresses one.
            body: Read at the pace of the upstream.
            send_limit: How often the request may be sent.
        """
        # What else the last request left was cleared when it was stopped.
        self.sends = 0
        self.finished = False
        self.failure = None
        self._send_limit = send_limit
        self._body = body
        easy = self._easy
        if self._mode != (method, body is not None):
            self._set_mode(method, with_body=body is not None)
        if body is not None:
            length = body.length_bytes
            self._early = EarlyResponse()
            easy.setopt(pycurl.INFILESIZE_LARGE, -1 if length is None else length)
            # Else libcurl sends `Expect: 100-continue` before a large body, and waits a second.
            header_lines = [*header_lines, "expect:"]
        easy.setopt(pycurl.REQUEST_TARGET, target)
        easy.setopt(pycurl.HTTPHEADER, header_lines)
        self.progress_at = time.monotonic()
        self._multi.add_handle(easy)
        self._perform()

    def _set_mode(self, method: str, *, with_body: bool) -> None:
        easy = self._easy
        easy.setopt(pycurl.HTTPGET, 1)
        easy.unsetopt(pycurl.CUSTOMREQUEST)
        if with_body:
            easy.setopt(pycurl.UPLOAD, 1)
        elif method == "HEAD":
            easy.setopt(pycurl.NOBODY, 1)
        if method != "HEAD" and (with_body or method != "GET"):
            easy.setopt(pycurl.CUSTOMREQUEST, method)
        self._mode = (method, with_body)

    def step(self, seconds: float) -> None:
        """Wait until there is something to do, at most *seconds*, and do it."""
        self._wait(seconds)
        self._perform()

    def _perform(self) -> None:
        _, active = self._multi.perform()
        if not active:
            self._collect()

    def _collect(self) -> None:
        _, _, failed = self._multi.info_read()
        self.finished = True
        if failed:
            _, code, message = failed[0]
            early = self._early
            if not (early.is_whole(code) or early.read_left(self.header_lines, self.chunks)):
                self.failure = (code, message)

    def _wait(self, seconds: float) -> None:
        due_ms = self._multi.timeout()
        if due_ms == 0:
            return
        milliseconds = int(seconds * 1000) if due_ms < 0 else min(int(seconds * 1000), due_ms)
        fd = self._easy.getinfo(pycurl.ACTIVESOCKET) if self.sends else -1
        if fd < 0:
            self._wait_for_connection(milliseconds / 1000)
            return
        if fd != self._fd:
            self._watch(fd)
        if self._body is not None:
            self._early.keep(fd)
        if self._paused:
            self._paused = False
            # It reads what has come before it sends more.
            self._easy.pause(pycurl.PAUSE_CONT)
            return
        if self._body is not None:
            self._poll.modify(fd, select.POLLIN | select.POLLOUT if self.sending else select.POLLIN)
        self._poll.poll(milliseconds)

    def _watch(self, fd: int) -> None:
        if self._fd >= 0:
            with contextlib.suppress(KeyError):
                self._poll.unregister(self._fd)
        self._poll.register(fd, select.POLLIN)
        self._fd = fd

    def _wait_for_connection(self, seconds: float) -> None:
        # pycurl's select() sees only descriptors below 1024, so the wait must be short.
        seconds = min(seconds, CONNECT_POLL_SECONDS)
        if self._multi.select(seconds) <= 0 and not any(map(len, self._multi.fdset())):
            time.sleep(min(seconds, 0.002))

    # ------------------------------------------------------------ called by libcurl
    def _before_sending(self, *_: object) -> int:
        """Whether the request may be sent on the connection that libcurl has picked.

        libcurl repeats a request by itself if a reused connection closes without a response. By
        then the upstream may have acted on it (RFC 9110, 9.2.2).
        """
        if self.sends >= self._send_limit:
            return int(pycurl.PREREQFUNC_ABORT)
        self.sends += 1
        return int(pycurl.PREREQFUNC_OK)

    def _read_body(self, size_bytes: int) -> bytes | int:
        """The next piece of the client's body, once what has come from the upstream is read."""
        body = self._body
        if body is None:
            return b""
        if (step := self._before_piece()) != SEND:
            return step
        data, self._unsent = self._unsent, b""
        if not data:
            try:
                data = body.read(size_bytes)
            except Exception as error:  # noqa: BLE001 - pycurl would only print it.
                self.body_error = error
                return STOP
            self.progress_at = time.monotonic()
            if (step := self._before_piece()) != SEND:  # The read may have waited for the client.
                self._unsent = data
                return step
        return data

    def _before_piece(self) -> int:
        step = self._early.next_step(self._poll, self._fd, len(self.header_lines), len(self.chunks))
        self._paused = step == READ_FIRST
        return step

    @property
    def sending(self) -> bool:
        """Whether a part of the client's body hasn't been read yet."""
        return self._body is not None and not self._body.finished

    # ------------------------------------------------------------ between requests
    @property
    def stale(self) -> bool:
        """Whether the idle connection was closed, or received data without a request.

        libcurl doesn't check a connection that was used a moment ago, and a write that is sent on a
        closed one can't be repeated. A descriptor that libcurl has closed counts as stale, too.
        """
        return self._fd >= 0 and bool(self._poll.poll(0))

    @property
    def never_sent(self) -> bool:
        """Whether the exchange failed before anything was sent."""
        return self.failure is not None and not self.sends and self.failure[0] in _NOTHING_OPENED

    def stop(self) -> bool:
        """End the exchange; if it is incomplete, its connection is closed.

        Nothing of it is kept, or an idle connection would hold a token, a cookie and a part of a
        body; an error has the frames in which it was raised. False after a broken-off upload, whose
        large buffers aren't worth keeping.
        """
        fd = self._easy.getinfo(pycurl.ACTIVESOCKET)
        with contextlib.suppress(pycurl.error):
            self._multi.remove_handle(self._easy)
        if fd != self._fd and fd >= 0:
            self._watch(fd)
        upload_broken_off = self.sending
        self._body = self.body_error = None
        self._early.let_go()
        self._paused, self._unsent = False, b""
        self.header_lines.clear()
        self.chunks.clear()
        self._easy.unsetopt(pycurl.HTTPHEADER)
        self._easy.setopt(pycurl.REQUEST_TARGET, "/")
        self.used_at = time.monotonic()
        return not upload_broken_off

    def close(self) -> None:
        """Close the connection for good."""
        self._easy.close()
        self._multi.close()

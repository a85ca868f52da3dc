"""How is one request put to an upstream and its answer read, piece by piece, with libcurl?

The calling thread drives everything; nothing is read from the upstream while nobody asks for
more, which is the backpressure. libcurl collects into plain lists, so that no Python code runs
for a field or a piece of the body.
"""

from __future__ import annotations

import contextlib
import select
import time
from collections.abc import Sequence
from typing import Any

import pycurl

from bff.config.route import Origin
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
    """One libcurl handle with the connection it keeps; carries one request at a time.

    Args:
        origin: The address it belongs to for good: scheme, host and port.
        connect_timeout_seconds: For opening the connection.
        ca_file: PEM certificates of the CAs that may vouch for an https upstream.
    """

    __slots__ = (
        "_body", "_easy", "_fd", "_mode", "_multi", "_poll", "_send_limit", "chunks", "failure",
        "finished", "lines", "problem", "progress_at", "sends", "used_at",
    )  # fmt: skip

    def __init__(self, origin: Origin, connect_timeout_seconds: float, ca_file: str) -> None:
        self._multi: Any = pycurl.CurlMulti()
        # One connection is all that one request at a time can use.
        self._multi.setopt(pycurl.M_MAXCONNECTS, 1)
        self._easy: Any = pycurl.Curl()
        self._poll = select.poll()
        self._fd = -1
        self._mode: tuple[str, bool] | None = None
        self._body: RequestBody | None = None
        self._send_limit = SEND_ONCE
        self.lines: list[bytes] = []
        """The answer's field lines, status line first, as they came."""
        self.chunks: list[bytes] = []
        """What has come of the answer's body since it was last emptied."""
        self.sends = 0
        """How often the request was put on a connection."""
        self.finished = False
        self.failure: tuple[int, str] | None = None
        """libcurl's code and words if the exchange broke."""
        self.problem: Exception | None = None
        """Why the client's body could not be read on."""
        self.progress_at = 0.0
        self.used_at = 0.0
        self._set_up(origin, connect_timeout_seconds, ca_file)

    def _set_up(self, origin: Origin, connect_timeout_seconds: float, ca_file: str) -> None:
        easy = self._easy
        scheme, host, port = origin
        host = f"[{host}]" if ":" in host else host
        for option, value in {
            pycurl.URL: f"{scheme}://{host}:{port}/",
            pycurl.PATH_AS_IS: 1,
            pycurl.PROTOCOLS: pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS,
            pycurl.HTTP_VERSION: pycurl.CURL_HTTP_VERSION_1_1,
            pycurl.FOLLOWLOCATION: 0,
            # An empty proxy overrules http_proxy and its like of the process.
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
            pycurl.HEADERFUNCTION: self.lines.append,
            pycurl.WRITEFUNCTION: self.chunks.append,
            pycurl.READFUNCTION: self._read_body,
            pycurl.PREREQFUNCTION: self._before_sending,
        }.items():
            easy.setopt(option, value)
        # Else pycurl names itself; the client's own name goes on.
        easy.setopt(pycurl.USERAGENT, "")

    # ------------------------------------------------------------ one request
    def start(
        self,
        method: str,
        target: str,
        fields: Sequence[str | bytes],
        body: RequestBody | None,
        send_limit: int,
    ) -> None:
        """Begin a request; `step()` then drives it.

        Args:
            method: Any token but TRACE and CONNECT.
            target: Path and query, sent byte for byte.
            fields: Lines as libcurl takes them; `name;` is an empty field, `name:` none at all.
            body: Read as the upstream takes it in.
            send_limit: How often the request may be put on a connection.
        """
        self.lines.clear()
        self.chunks.clear()
        self.sends = 0
        self.finished = False
        self.failure = self.problem = None
        self._send_limit = send_limit
        self._body = body
        easy = self._easy
        if self._mode != (method, body is not None):
            self._set_mode(method, with_body=body is not None)
        if body is not None:
            length = body.length_bytes
            easy.setopt(pycurl.INFILESIZE_LARGE, -1 if length is None else length)
            # Else libcurl asks before it sends a large body, and waits a second for the answer.
            fields = [*fields, "expect:"]
        easy.setopt(pycurl.REQUEST_TARGET, target)
        easy.setopt(pycurl.HTTPHEADER, fields)
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
            _, code, words = failed[0]
            self.failure = (code, words)

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
            sending = not self._body.finished
            self._poll.modify(fd, select.POLLIN | select.POLLOUT if sending else select.POLLIN)
        self._poll.poll(milliseconds)

    def _watch(self, fd: int) -> None:
        if self._fd >= 0:
            with contextlib.suppress(KeyError):
                self._poll.unregister(self._fd)
        self._poll.register(fd, select.POLLIN)
        self._fd = fd

    def _wait_for_connection(self, seconds: float) -> None:
        # pycurl's select() sees descriptors below 1024 only, so it must not be waited on for long.
        seconds = min(seconds, CONNECT_POLL_SECONDS)
        if self._multi.select(seconds) <= 0 and not any(map(len, self._multi.fdset())):
            time.sleep(min(seconds, 0.002))

    # ------------------------------------------------------------ called by libcurl
    def _before_sending(self, *_: object) -> int:
        """Say whether the request may go out on the connection that was just picked.

        libcurl sends a request again by itself if a reused connection closes without an answer.
        By then an upstream may have acted on it (RFC 9110, 9.2.2).
        """
        if self.sends >= self._send_limit:
            return int(pycurl.PREREQFUNC_ABORT)
        self.sends += 1
        return int(pycurl.PREREQFUNC_OK)

    def _read_body(self, size_bytes: int) -> bytes | int:
        body = self._body
        if body is None:
            return b""
        try:
            data = body.read(size_bytes)
        except Exception as problem:  # noqa: BLE001 - It would only be printed by pycurl.
            self.problem = problem
            return int(pycurl.READFUNC_ABORT)
        self.progress_at = time.monotonic()
        return data

    # ------------------------------------------------------------ before and afterwards
    @property
    def stale(self) -> bool:
        """Whether the kept connection was closed, or said something unasked, while it was idle.

        libcurl doesn't look at a connection that was used a moment ago, and a write that is put on
        a dead one can't be repeated. A descriptor that libcurl has closed counts as stale too.
        """
        return self._fd >= 0 and bool(self._poll.poll(0))

    @property
    def never_sent(self) -> bool:
        """Whether the exchange failed before anything was put on a connection."""
        return self.failure is not None and not self.sends and self.failure[0] in _NOTHING_OPENED

    def stop(self) -> None:
        """End the exchange; an unfinished one closes its connection."""
        fd = self._easy.getinfo(pycurl.ACTIVESOCKET)
        with contextlib.suppress(pycurl.error):
            self._multi.remove_handle(self._easy)
        if fd != self._fd and fd >= 0:
            self._watch(fd)
        self._body = None
        self.used_at = time.monotonic()

    def close(self) -> None:
        """Close the connection for good."""
        self._easy.close()
        self._multi.close()

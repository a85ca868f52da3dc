"""How does a test hold thousands of streams, or speak WebSocket, through nginx? With asyncio."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import resource
import ssl
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

from tests.deploy.api import read_frame
from tests.support.browser_client import BrowserClient
from tests.support.storm import run

T = TypeVar("T")

TIMEOUT_SECONDS = 30.0
AT_ONCE = 50
"""So many connections are being opened at a time; a listener's queue is finite."""
TEXT_FRAME = 1
FILES_PER_STREAM = 4
"""A stream has two ends here, the client's and the API's; the rest is air."""


@dataclass
class Stream:
    """An open answer, or what was answered instead."""

    status: int
    head: str
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def next_event(self) -> str:
        """The data of the next event; empty at the end of the stream, however it ended."""
        async with asyncio.timeout(TIMEOUT_SECONDS):
            # The last chunk has no length; no event looks so.
            while (line := await self._line()) not in (b"", b"0\r\n"):
                if line.startswith(b"data: "):
                    return line[6:].decode().strip()
        return ""

    async def _line(self) -> bytes:
        try:
            return await self.reader.readline()
        except ConnectionError:
            return b""

    async def echo(self, text: str) -> str:
        """Send a text over the WebSocket; what came back, or nothing if it is closed."""
        mask, payload = os.urandom(4), text.encode()
        masked = bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))
        self.writer.write(bytes([0x80 | TEXT_FRAME, 0x80 | len(payload)]) + mask + masked)
        async with asyncio.timeout(TIMEOUT_SECONDS):
            try:
                frame = await read_frame(self.reader)
            except ConnectionError:
                return ""
        return frame[1].decode() if frame else ""

    async def body(self) -> str:
        """The rest of an answer that is none of a stream."""
        async with asyncio.timeout(TIMEOUT_SECONDS):
            return (await self.reader.read()).decode()

    async def close(self) -> None:
        """Hang up without more ado."""
        self.writer.transport.abort()
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()


_open: list[Stream] = []
"""Of the `talk` that is going on."""


def talk(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run *coroutine* in a loop of its own, and hang up whatever it leaves open."""

    async def and_hang_up() -> T:
        try:
            return await coroutine
        finally:
            left = _open.copy()
            _open.clear()
            await asyncio.gather(*(stream.close() for stream in left))

    return run(and_hang_up())


async def opened(port: int, tls: ssl.SSLContext | None, path: str, fields: list[str]) -> Stream:
    """Ask for *path*, and read the head of the answer."""
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", port, ssl=tls, server_hostname="localhost" if tls else None
    )
    lines = [f"GET {path} HTTP/1.1", f"Host: localhost:{port}", *fields, "", ""]
    writer.write("\r\n".join(lines).encode())
    async with asyncio.timeout(TIMEOUT_SECONDS):
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    stream = Stream(int(head.split(" ", 2)[1]), head, reader, writer)
    _open.append(stream)
    return stream


async def many(
    count: int, port: int, tls: ssl.SSLContext | None, path: str, fields: list[list[str]]
) -> list[Stream]:
    """Open *count* streams, with the fields of one browser after the other."""
    room_for_files(count * FILES_PER_STREAM)
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(number: int) -> Stream:
        async with gate:
            return await opened(port, tls, path, fields[number % len(fields)])

    return list(await asyncio.gather(*map(one, range(count))))


def room_for_files(count: int) -> None:
    """Let this process have so many files open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        limit = count if hard == resource.RLIM_INFINITY else min(count, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))


def handshake(origin: str | None) -> list[str]:
    """The fields of a WebSocket handshake of a page of *origin*."""
    key = base64.b64encode(os.urandom(16)).decode()
    fields = ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"]
    fields.append(f"Sec-WebSocket-Key: {key}")
    return fields if origin is None else [*fields, f"Origin: {origin}"]


def cookie(browser: BrowserClient) -> list[str]:
    """The field that shows the session."""
    return [f"Cookie: __Host-Http-session={browser.cookie}"]


def page(browser: BrowserClient) -> list[str]:
    """The fields of a page's own request."""
    return [*cookie(browser), "Sec-Fetch-Site: same-origin"]

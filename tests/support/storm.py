"""How does a test send hundreds of requests at the same moment, and read every response?

With raw sockets in one thread, so that the client doesn't serialise them: all connections are
opened first, then all requests are sent at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

TIMEOUT_SECONDS = 60.0

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Response:
    """One response, with the instants (event loop's clock) of its request and its end."""

    status: int
    headers: dict[str, str]
    body: bytes
    sent_at: float
    received_at: float
    port: int


@dataclass(frozen=True, slots=True)
class Shot:
    """One request to one port of this machine."""

    port: int
    path: str
    cookie: str
    method: str = "GET"
    headers: dict[str, str] = field(default_factory=dict)

    def encoded(self) -> bytes:
        """The bytes of the request, with `Connection: close`."""
        fields = {
            "Host": f"localhost:{self.port}",
            "Cookie": f"session={self.cookie}",
            "Sec-Fetch-Site": "same-origin",
            "Connection": "close",
        } | self.headers
        lines = [f"{self.method} {self.path} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in fields.items()]
        return ("\r\n".join(lines) + "\r\n\r\n").encode()


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """`asyncio.run` in a new thread: Playwright has an event loop in the main one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, coroutine).result()


def fire(shots: Sequence[Shot]) -> list[Response]:
    """Send all *shots* at once and wait for all responses, in the order of the shots."""
    return run(fire_async(shots))


async def fire_async(shots: Sequence[Shot]) -> list[Response]:
    """`fire`, for a test with its own event loop."""
    connections = await asyncio.gather(
        *(asyncio.open_connection("127.0.0.1", shot.port) for shot in shots)
    )
    pairs = zip(connections, shots, strict=True)
    return list(await asyncio.gather(*(_ask(*c, shot) for c, shot in pairs)))


async def shoot(shot: Shot) -> Response:
    """Open a connection and send one request."""
    return (await fire_async([shot]))[0]


async def _ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, shot: Shot) -> Response:
    clock = asyncio.get_running_loop().time
    sent_at = clock()
    writer.write(shot.encoded())
    try:
        raw = await asyncio.wait_for(reader.read(-1), TIMEOUT_SECONDS)
    finally:
        writer.close()
    head, _, body = raw.partition(b"\r\n\r\n")
    status_line, *lines = head.decode("latin-1").split("\r\n")
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    status = int(status_line.split(" ")[1]) if status_line else 0
    return Response(status, headers, body, sent_at, clock(), shot.port)

"""An API behind nginx: it echoes WebSockets, streams events, counts uploads, and tells all it saw.

One event loop in a thread of its own, so that thousands of streams cost little.
"""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import hashlib
import json
import threading
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, TypeVar

WAIT_SECONDS = 30.0
PIECE_BYTES = 262_144
WEBSOCKET_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
CLOSE_FRAME = 8
OK = b"HTTP/1.1 200 OK\r\n"

T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class Seen:
    """One request as it came; of repeated fields the last."""

    method: str
    target: str
    fields: dict[str, str]


class EchoingAPI:
    """Listens on a free port while its `with` block lasts."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.answers: dict[str, bytes] = {}
        """Whole answers for some paths; what is not among them gets what it asks for."""
        self._streams: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> EchoingAPI:
        self._thread.start()
        self.port: int = self._do(self._start())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Close everything; a second time does nothing."""
        if self._loop.is_closed():
            return
        self._do(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(WAIT_SECONDS)
        self._loop.close()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def open_streams(self) -> int:
        """How many event streams and WebSockets are open."""
        return len(self._streams)

    def send_event(self, text: str) -> int:
        """Send an event to every open stream; returns to how many."""

        async def send() -> int:
            for writer in self._streams:
                writer.write(f"data: {text}\n\n".encode())
            return len(self._streams)

        return self._do(send())

    def _do(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(WAIT_SECONDS)

    async def _start(self) -> int:
        self._server = await asyncio.start_server(self._connection, "127.0.0.1", 0, backlog=4096)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def _stop(self) -> None:
        self._server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    # ------------------------------------------------------------ one connection
    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._request(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._streams.discard(writer)
            writer.close()

    async def _request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; false if the connection is used up."""
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, target, _ = lines[0].split(" ")
        pairs = (line.partition(":") for line in lines[1:] if line)
        seen = Seen(method, target, {name.lower(): value.strip() for name, _, value in pairs})
        self.seen.append(seen)
        path = target.partition("?")[0]
        if "sec-websocket-key" in seen.fields and "upgrade" in seen.fields:
            await self._echo(seen, reader, writer)
            return False
        if path.startswith(("/stream", "/events")) and method != "POST":
            await self._stream(reader, writer)
            return False
        digest, length = await _body(reader, seen)
        if path == "/hang-up":
            return False
        answer = self.answers.get(path)
        if answer is None:
            told: dict[str, Any] = dataclasses.asdict(seen)
            told |= {"length": length, "sha256": digest}
            answer = whole(json.dumps(told).encode(), "Content-Type: application/json")
        writer.write(answer)
        await writer.drain()
        return True

    async def _stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(
            OK + b"Content-Type: text/event-stream\r\nConnection: close\r\n\r\n: hello\n\n"
        )
        self._streams.add(writer)
        await reader.read()

    async def _echo(
        self, seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        key = seen.fields["sec-websocket-key"] + WEBSOCKET_GUID
        accept = base64.b64encode(hashlib.sha1(key.encode(), usedforsecurity=False).digest())
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
        )
        self._streams.add(writer)
        while frame := await read_frame(reader):
            writer.write(bytes([0x80 | frame[0], len(frame[1])]) + frame[1])
            if frame[0] == CLOSE_FRAME:
                return


def whole(body: bytes, *fields: str, status: str = "200 OK") -> bytes:
    """An answer of that body, with these field lines."""
    head = "\r\n".join([f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *fields])
    return head.encode() + b"\r\n\r\n" + body


async def read_frame(reader: asyncio.StreamReader) -> tuple[int, bytes] | None:
    """Opcode and payload of a WebSocket frame of fewer than 126 bytes; None at the end."""
    head = await reader.read(2)
    if len(head) < 2:
        return None
    length = head[1] & 0x7F
    mask = await reader.readexactly(4) if head[1] & 0x80 else bytes(4)
    payload = await reader.readexactly(length)
    return head[0] & 0x0F, bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))


async def _body(reader: asyncio.StreamReader, seen: Seen) -> tuple[str, int]:
    """Hash and length of a request's body."""
    digest, length = hashlib.sha256(), 0
    if seen.fields.get("transfer-encoding") == "chunked":
        while size := int((await reader.readuntil(b"\r\n")).strip(), 16):
            digest.update(await reader.readexactly(size))
            await reader.readexactly(2)
            length += size
        await reader.readuntil(b"\r\n")
        return digest.hexdigest(), length
    left = int(seen.fields.get("content-length", 0))
    while left:
        piece = await reader.read(min(left, PIECE_BYTES))
        if not piece:
            raise asyncio.IncompleteReadError(b"", left)
        digest.update(piece)
        length, left = length + len(piece), left - len(piece)
    return digest.hexdigest(), length

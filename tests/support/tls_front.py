"""What ends TLS between the browser and a server in a test, and records every byte?

    with Front(target_port, certificate.server_context()) as front:
        page.goto(f"https://localhost:{front.port}/")
        front.exchanges()

Bytes go through unchanged, as through a TCP load balancer.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from types import TracebackType

from tests.support.wire_record import Exchange, Transcript, exchanges_of

CHUNK_BYTES = 65_536
JOIN_SECONDS = 10.0
CLOSE_SECONDS = 1.0


class Front:
    """Listens on a free port of 127.0.0.1 and forwards to *target_port*.

    Args:
        target_port: The port of the server, which may start later.
        tls: The context that ends TLS; None forwards plain connections.
        also: The ports of further replicas; each connection goes to the next one.
    """

    def __init__(
        self, target_port: int, tls: ssl.SSLContext | None = None, *, also: Sequence[int] = ()
    ) -> None:
        self._target_ports = itertools.cycle([target_port, *also])
        self._tls = tls
        self._transcripts: list[Transcript] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._listener.getsockname()[1]
        self._writers: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Front:
        self._thread.start()
        assert self._started.wait(JOIN_SECONDS), "the front doesn't start"
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(JOIN_SECONDS)
        self._loop.close()

    def exchanges(self, since: float = 0.0) -> list[Exchange]:
        """Every request that began after *since* (`time.monotonic`), even if incomplete."""
        found = [one for script in list(self._transcripts) for one in exchanges_of(script)]
        found.sort(key=lambda exchange: exchange.began_at)
        return [exchange for exchange in found if exchange.began_at > since]

    def received(self) -> list[bytes]:
        """The bytes that browsers received, for each connection."""
        return [bytes(transcript.responses) for transcript in self._transcripts]

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._connection, sock=self._listener, ssl=self._tls)
        self._started.set()
        await self._stop.wait()
        server.close()
        while others := asyncio.all_tasks() - {asyncio.current_task()}:
            # Their threads end with the connections, and each closes its own sockets.
            for writer in self._writers:
                writer.transport.abort()
            await asyncio.wait(others, timeout=CLOSE_SECONDS)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        transcript = Transcript(time.monotonic)
        self._transcripts.append(transcript)
        try:
            there = await asyncio.open_connection("127.0.0.1", next(self._target_ports))
        except OSError:
            await _closed(writer)
            return
        ends = {writer, there[1]}
        self._writers |= ends
        onward = asyncio.create_task(_pump(reader, there[1], transcript.add_request))
        back = asyncio.create_task(_pump(there[0], writer, transcript.add_answer))
        # When one side closes, so does the other; browsers don't half-close.
        await asyncio.wait({onward, back}, return_when=asyncio.FIRST_COMPLETED)
        onward.cancel()
        back.cancel()
        await asyncio.gather(onward, back, *map(_closed, ends), return_exceptions=True)
        self._writers -= ends


async def _closed(writer: asyncio.StreamWriter) -> None:
    writer.close()
    try:
        async with asyncio.timeout(CLOSE_SECONDS):
            with contextlib.suppress(OSError):
                await writer.wait_closed()
    except TimeoutError:
        # The peer doesn't respond to the end of TLS.
        writer.transport.abort()


async def _pump(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, note: Callable[[bytes], None]
) -> None:
    while data := await reader.read(CHUNK_BYTES):
        note(data)
        writer.write(data)
        await writer.drain()

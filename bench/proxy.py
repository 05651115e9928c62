"""A TCP proxy between a role and its object store, which harms connections on purpose.

It understands as much of HTTP as it takes to leave headers alone: a byte that is flipped lies in a body.
"""

import asyncio
import itertools
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

HOST = "127.0.0.1"
SMALLEST_BODY = 16
"""Bytes of a body that is worth flipping one of."""
END_OF_HEAD = b"\r\n\r\n"
_HEADS = (b"HTTP/1.", b"GET ", b"PUT ", b"HEAD ", b"POST ", b"DELETE ")


@dataclass(frozen=True)
class Harm:
    """What is done to the bytes that pass. Counts are of connections or of bodies; zero: never.

    Args:
        latency: seconds by which every piece is held back.
        cut_every: each so manieth answer is broken off in its middle.
        corrupt_every: one byte of each so manieth body, of an answer or of a request, is flipped.
        half_open_every: each so manieth connection is accepted and never hears an answer.
    """

    latency: float = 0.0
    cut_every: int = 0
    corrupt_every: int = 0
    half_open_every: int = 0


class Proxy:
    """Passes bytes between clients and a store, and does its `harm` meanwhile. `done` counts what it did."""

    def __init__(self, upstream: str, harm: Harm) -> None:
        self.harm = harm
        self.done: Counter[str] = Counter()
        self._upstream = urlsplit(upstream)
        self._connections = itertools.count(1)
        self._answers = itertools.count(1)
        self._bodies = itertools.count(1)
        self.port = 0

    @property
    def endpoint(self) -> str:
        """What takes the place of the store's address."""
        return f"http://{HOST}:{self.port}"

    async def serve(self, ready: threading.Event, stop: asyncio.Event) -> None:
        """Listen until `stop`; `ready` is set once `port` is known."""
        server = await asyncio.start_server(self._connected, HOST, 0)
        self.port = server.sockets[0].getsockname()[1]
        ready.set()
        async with server:
            await stop.wait()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = next(self._connections)
        with suppress(OSError, asyncio.CancelledError):
            if _due(number, self.harm.half_open_every):
                self.done["half-open"] += 1
                await reader.read(-1)
                return
            upstream = await asyncio.open_connection(self._upstream.hostname, self._upstream.port)
            pumps = [
                asyncio.create_task(self._pump(reader, upstream[1], answers=False)),
                asyncio.create_task(self._pump(upstream[0], writer, answers=True)),
            ]
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            for pump in pumps:
                pump.cancel()
            upstream[1].close()
        with suppress(OSError):
            writer.transport.abort()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answers: bool
    ) -> None:
        while piece := await reader.read(65_536):
            if self.harm.latency:
                self.done["latency"] += 1
                await asyncio.sleep(self.harm.latency)
            if answers and piece.startswith(_HEADS) and _due(next(self._answers), self.harm.cut_every):
                self.done["cut"] += 1
                writer.write(piece[: len(piece) // 2])
                await writer.drain()
                return
            writer.write(self._perhaps_corrupt(piece))
            await writer.drain()

    def _perhaps_corrupt(self, piece: bytes) -> bytes:
        """Flip the middle byte of what of this piece is body."""
        head, found, _ = piece.partition(END_OF_HEAD)
        start = len(head) + len(found) if piece.startswith(_HEADS) else 0
        long_enough = len(piece) - start >= SMALLEST_BODY
        if not (
            long_enough and self.harm.corrupt_every and _due(next(self._bodies), self.harm.corrupt_every)
        ):
            return piece
        self.done["corrupt"] += 1
        middle = start + (len(piece) - start) // 2
        return piece[:middle] + bytes([piece[middle] ^ 0x01]) + piece[middle + 1 :]


@contextmanager
def harming(upstream: str, harm: Harm) -> Iterator[Proxy]:
    """A proxy in front of `upstream` while the block runs."""
    proxy, ready = Proxy(upstream, harm), threading.Event()
    loop, stop = asyncio.new_event_loop(), asyncio.Event()
    thread = threading.Thread(target=lambda: loop.run_until_complete(proxy.serve(ready, stop)), daemon=True)
    thread.start()
    ready.wait()
    try:
        yield proxy
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(timeout=5)


def _due(number: int, every: int) -> bool:
    return bool(every) and number % every == 0

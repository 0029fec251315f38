"""WebSocket clients that listen to a server of a process of its own: how many frames, and when."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager


@contextmanager
def serving(command: list[str]) -> Iterator[str]:
    """Run a server; give its URL, which it prints first."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().split()[-1]
    finally:
        process.terminate()
        process.wait()


def shaken(url: str) -> socket.socket:
    """A raw socket after its WebSocket handshake; what came with the answer is not read."""
    host, _, port = url.removeprefix("ws://").rpartition(":")
    raw = socket.create_connection((host, int(port)), timeout=60)
    raw.sendall(
        f"GET / HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):
        answer += raw.recv(1)
    return raw


def read(command: list[str], total: int, frames: int) -> float:
    """A client that only counts bytes: frames per second from the first byte to the last."""
    with serving(command) as url, closing(shaken(url)) as raw:
        buffer = bytearray(1 << 18)
        size = raw.recv_into(buffer)
        begin = time.perf_counter()
        while size < total:
            got = raw.recv_into(buffer)
            if not got:
                raise RuntimeError(f"only {size:,} of {total:,} bytes came")
            size += got
        return round(frames / (time.perf_counter() - begin), 1)


def receive(command: list[str], frames: int) -> float:
    """A `websockets` client that receives every frame."""

    async def run(url: str) -> float:
        from websockets.asyncio.client import connect

        async with connect(url, compression=None, max_queue=1024) as ws:
            await ws.recv(decode=False)
            begin = time.perf_counter()
            for _ in range(frames - 1):
                await ws.recv(decode=False)
            return round(frames / (time.perf_counter() - begin), 1)

    with serving(command) as url:
        return asyncio.run(run(url))


def arrivals(command: list[str], head: int = 4) -> list[int]:
    """When each frame came (ns), to a raw reader, until the close frame."""
    found: list[int] = []
    with serving(command) as url, closing(shaken(url)) as raw:
        data = b""
        while True:
            got = raw.recv(1 << 16)
            now = time.monotonic_ns()
            data += got
            while len(data) >= head:
                length, start = data[1] & 0x7F, 2
                if length == 126:
                    length, start = int.from_bytes(data[2:4], "big"), 4
                if len(data) < start + length:
                    break
                if data[0] & 0x0F == 8:
                    return found
                if data[0] & 0x0F in {1, 2}:
                    found.append(now)
                data = data[start + length :]
            if not got or (len(data) >= 2 and data[0] & 0x0F == 8):
                return found

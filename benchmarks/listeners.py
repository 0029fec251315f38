"""WebSocket clients of a server in a separate process: number and times of its frames."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager


@contextmanager
def serving(command: list[str]) -> Iterator[str]:
    """Run a server; yield its URL, which it prints first."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().split()[-1]
    finally:
        process.terminate()
        process.wait()


def connected(url: str) -> socket.socket:
    """Return a raw socket after its WebSocket handshake, with no byte of a frame read."""
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
    """Count the bytes that a server sends; return frames per second from first to last byte."""
    with serving(command) as url, closing(connected(url)) as raw:
        buffer = bytearray(1 << 18)
        size = raw.recv_into(buffer)
        begin = time.perf_counter()
        while size < total:
            got = raw.recv_into(buffer)
            if not got:
                raise RuntimeError(f"only {size:,} of {total:,} bytes arrived")
            size += got
        return round(frames / (time.perf_counter() - begin), 1)


def receive(command: list[str], frames: int) -> float:
    """Receive every frame with a `websockets` client; return frames per second."""

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
    """Return the times of arrival of frames at a raw reader, in ns, until the close frame."""
    times: list[int] = []
    with serving(command) as url, closing(connected(url)) as raw:
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
                    return times
                if data[0] & 0x0F in {1, 2}:
                    times.append(now)
                data = data[start + length :]
            if not got or (len(data) >= 2 and data[0] & 0x0F == 8):
                return times

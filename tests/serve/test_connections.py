"""Idle, slow and unread connections: they end, and the server answers meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import select
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from recorder.serve import connections
from recorder.serve.server import Bind, listen

from .serving import serving

pytestmark = pytest.mark.process

GET = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Read the whole body; answer as much as the path says."""
    if scope["type"] != "http":
        return
    while (await receive()).get("more_body"):
        pass
    size = int(scope["path"][1:]) if scope["path"][1:].isdigit() else 2
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for _ in range(0, size, 1 << 16):
        await send({"type": "http.response.body", "body": b"x" * (1 << 16), "more_body": True})
    await send({"type": "http.response.body", "body": b""})


@asynccontextmanager
async def answering(monkeypatch: pytest.MonkeyPatch, most: int = 8) -> AsyncIterator[int]:
    """A server with short limits; yield its port."""
    for name in ("REQUEST_SECONDS", "ANSWER_SECONDS", "IDLE_SECONDS"):
        monkeypatch.setattr(connections, name, 0.4)
    listener = listen(Bind("127.0.0.1", 0))
    config = uvicorn.Config(
        app, http=connections.protocol(most), lifespan="off", log_config=None,
        timeout_keep_alive=20, timeout_graceful_shutdown=1,
    )  # fmt: skip
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve([listener]))
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        await serving


async def ended(reader: asyncio.StreamReader, within: float = 60.0) -> float:
    """Return after how many seconds a connection was closed by the server."""
    start = time.monotonic()
    try:
        while await asyncio.wait_for(reader.read(1 << 16), within):
            pass
    except ConnectionError:
        pass
    return time.monotonic() - start


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET / HTTP/1.1\r\nHost: loc",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nabc",
        GET,  # and then nothing
        GET + b"GET / HT",
    ],
)
def test_a_connection_without_a_whole_request_is_closed(
    monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    async def run() -> float:
        async with answering(monkeypatch) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(sent)
            took = await ended(reader)
            writer.close()
            return took

    assert asyncio.run(run()) > 0.2  # and it ended


def test_a_head_byte_by_byte_is_closed_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> float:
        async with answering(monkeypatch) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(GET)
            await reader.readuntil(b"\r\n")
            closing = asyncio.create_task(ended(reader))
            for byte in b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * 1000:
                if closing.done():
                    break
                writer.write(bytes([byte]))
                await asyncio.sleep(0.02)
            writer.close()
            return await closing

    assert asyncio.run(run()) > 0.2  # and it ended


def test_an_answer_that_nobody_reads_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> int:
        got = 0
        async with answering(monkeypatch) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
            writer.write(b"GET /100000000 HTTP/1.1\r\nHost: localhost\r\n\r\n")
            await asyncio.sleep(1.0)
            with contextlib.suppress(ConnectionError):
                while part := await asyncio.wait_for(reader.read(1 << 16), 60):
                    got += len(part)
            writer.close()
        return got

    assert asyncio.run(run()) < 100_000_000  # the rest was never sent


def test_beyond_the_most_the_one_that_waited_longest_makes_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def run() -> tuple[float, bytes]:
        async with answering(monkeypatch, most=4) as port:
            monkeypatch.setattr(connections, "REQUEST_SECONDS", 60.0)
            idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(12)]
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(GET)
            answer = await reader.readuntil(b"\r\n")
            took = await ended(idle[0][0])
            for _, one in idle:
                one.close()
            writer.close()
            return took, answer

    took, answer = asyncio.run(run())
    assert took < 30.0 and answer.startswith(b"HTTP/1.1 200")


def test_six_hundred_idle_and_slow_connections_leave_the_server_answering(sample: Path) -> None:
    with serving(sample) as served:
        held: list[socket.socket] = []
        for number in range(600):
            one = socket.create_connection(("127.0.0.1", served.port), timeout=10)
            if number % 2:
                one.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-")
            held.append(one)
            if number % 50 == 0:
                assert served.ask("/healthz").status == 200
        for _ in range(5):
            assert served.ask("/healthz").status == 200
            assert served.ask("/api/meta").status == 200
        closed, _, _ = select.select(held[:300], [], [], 0)
        assert len(closed) >= 300
        for one in held:
            with closing(one):
                pass

"""A WebSocket server whose every byte the test decides, on a free port of loopback."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable

from websockets.utils import accept_key

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
OPCODES = {"text": TEXT, "binary": BINARY}

Message = tuple[str, bytes]


def encode(opcode: int, payload: bytes, *, fin: bool = True, compressed: bool = False) -> bytes:
    """One frame as a server sends it, unmasked."""
    first = opcode | (0x80 if fin else 0) | (0x40 if compressed else 0)
    if len(payload) < 126:
        return struct.pack("!BB", first, len(payload)) + payload
    if len(payload) < 1 << 16:
        return struct.pack("!BBH", first, 126, len(payload)) + payload
    return struct.pack("!BBQ", first, 127, len(payload)) + payload


class Peer:
    """One connection, seen from the server. A script drives it; it answers closes by itself."""

    def __init__(
        self, number: int, head: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.number = number  # from 0, per server
        self.head = head  # the client's handshake
        self.at = asyncio.get_running_loop().time()
        self.sent: list[Message] = []  # complete messages, as they must be recorded
        self.heard: list[bytes] = []  # messages of the client
        self.closed: tuple[int, str] | None = None  # the client's close frame
        self.in_a_frame = asyncio.Lock()  # held by a script that writes a frame in pieces
        self._ponged = asyncio.Event()
        self.gone = asyncio.Event()  # the client ended the connection
        self.answers_close = True
        self._reader, self._writer = reader, writer

    async def write(self, *data: bytes) -> None:
        """Send bytes as they are, in one go."""
        self._writer.write(b"".join(data))
        await self._writer.drain()

    async def accept(self, *following: bytes, extension: str = "") -> None:
        """Upgrade; `following` travels with the response, in the same segment."""
        key = next(
            line.split(": ", 1)[1]
            for line in self.head.split("\r\n")
            if line.lower().startswith("sec-websocket-key: ")
        )
        lines = [
            "HTTP/1.1 101 Switching Protocols",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Accept: {accept_key(key)}",
        ]
        if extension:
            lines.append(f"Sec-WebSocket-Extensions: {extension}")
        await self.write("\r\n".join([*lines, "", ""]).encode(), *following)

    async def refuse(self, status: int, body: bytes = b"", **headers: str) -> None:
        """Answer the handshake with an HTTP status."""
        lines = [f"HTTP/1.1 {status} No", f"Content-Length: {len(body)}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        await self.write("\r\n".join([*lines, "", ""]).encode(), body)

    async def send(self, *messages: Message) -> None:
        """Send whole messages, one frame each, all in one go."""
        self.sent += messages
        await self.write(*(encode(OPCODES[kind], payload) for kind, payload in messages))

    async def pong(self) -> None:
        """Wait until the client answers the ping that was sent: it has read what came before."""
        await asyncio.wait_for(self._ponged.wait(), 30)
        self._ponged.clear()

    async def kept(self) -> None:
        """Wait until the client has written what it was sent: it answers one read later."""
        for payload in (b"1", b"2"):
            await self.write(encode(PING, payload))
            await self.pong()

    async def close(self, code: int, reason: str = "") -> None:
        """Begin the closing handshake."""
        await self.write(encode(CLOSE, struct.pack("!H", code) + reason.encode()))

    def reset(self) -> None:
        """End the connection with a TCP reset."""
        sock = self._writer.get_extra_info("socket")
        if sock.fileno() >= 0:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    async def listen(self) -> None:
        """Take what the client says until it is gone."""
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while self.closed is None:
                opcode, payload = await self._frame()
                if opcode == PING:
                    async with self.in_a_frame:
                        await self.write(encode(PONG, payload))
                elif opcode == PONG:
                    self._ponged.set()
                elif opcode in {TEXT, BINARY}:
                    self.heard.append(payload)
                elif opcode == CLOSE:
                    self.closed = (int.from_bytes(payload[:2]), payload[2:].decode())
            if self.answers_close:
                await self.write(encode(CLOSE, payload))
                self._writer.close()
            await self._reader.read()
        self.gone.set()

    async def _frame(self) -> tuple[int, bytes]:
        first, second = await self._reader.readexactly(2)
        size = second & 0x7F
        if size >= 126:
            size = int.from_bytes(await self._reader.readexactly(2 if size == 126 else 8))
        mask = await self._reader.readexactly(4)
        masked = await self._reader.readexactly(size)
        return first & 0x0F, bytes(byte ^ mask[i % 4] for i, byte in enumerate(masked))


Script = Callable[[Peer], Awaitable[None]]


class Server:
    """Runs `script` for each connection; `done` is set when it ended for the last one expected."""

    def __init__(self, script: Script, connections: int = 1) -> None:
        self.peers: list[Peer] = []
        self.done = asyncio.Event()
        self.failures: list[Exception] = []
        self.port = 0
        self._script, self._connections = script, connections

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/"

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
        except (ConnectionError, asyncio.IncompleteReadError):
            writer.close()
            return
        peer = Peer(len(self.peers), head, reader, writer)
        self.peers.append(peer)
        listening = asyncio.create_task(peer.listen())
        try:
            await self._script(peer)
        except ConnectionError:
            pass  # the client was killed
        except Exception as error:
            self.failures.append(error)
        if peer.number + 1 == self._connections:
            self.done.set()
        await listening
        writer.close()


@contextlib.asynccontextmanager
async def serving(script: Script, connections: int = 1) -> AsyncIterator[Server]:
    """Serve a script; a failure in it fails the test."""
    server = Server(script, connections)
    listener = await asyncio.start_server(server.handle, "127.0.0.1", 0)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
        for peer in server.peers:
            peer.reset()
        for peer in server.peers:
            await peer.gone.wait()
    for failure in server.failures:
        raise failure

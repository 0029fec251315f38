"""A SOCKS5 proxy on a free port (RFC 1928), with a password if one is wanted (RFC 1929)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

_ADDRESS = {1: 4, 4: 16}  # bytes of an IPv4 and an IPv6 address
_REFUSED = b"\x05\x05\x00\x01" + bytes(6)


class Socks:
    """What went through the proxy: `asked` has the hosts as they were named; `refused` counts."""

    def __init__(self, login: tuple[str, str] | None = None) -> None:
        self.asked: list[tuple[str, int]] = []
        self.refused = 0
        self.port = 0
        self._login = login

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Serve while the block runs. Every name is the loopback's."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        async with server:
            yield

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            if await self._greet(reader, writer):
                await self._connect(reader, writer)
        writer.close()

    async def _greet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        _, count = await reader.readexactly(2)
        methods = await reader.readexactly(count)
        method = 0 if self._login is None else 2
        if method not in methods:
            self.refused += 1
            writer.write(b"\x05\xff")
            return False
        writer.write(bytes((5, method)))
        if self._login is None:
            return True
        await reader.readexactly(1)
        given = ((await _text(reader)).decode(), (await _text(reader)).decode())
        writer.write(b"\x01\x00" if given == self._login else b"\x01\x01")
        self.refused += given != self._login
        return given == self._login

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        _, command, _, kind = await reader.readexactly(4)
        named = await _text(reader) if kind == 3 else await reader.readexactly(_ADDRESS[kind])
        port = int.from_bytes(await reader.readexactly(2))
        assert command == 1
        self.asked.append((named.decode() if kind == 3 else ".".join(map(str, named)), port))
        try:
            there, back = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            writer.write(_REFUSED)
            return
        writer.write(b"\x05\x00\x00\x01" + bytes(6))
        await asyncio.gather(_pass(reader, back), _pass(there, writer))


async def _text(reader: asyncio.StreamReader) -> bytes:
    return await reader.readexactly((await reader.readexactly(1))[0])


async def _pass(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await source.read(1 << 16):
            target.write(data)
            await target.drain()
    target.close()

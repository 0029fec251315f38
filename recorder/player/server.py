"""The replay's sockets: access checks, routing to feeds, and the control channel."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import http
import ipaddress
import json
import logging
import ssl
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from recorder.errors import BusyError, RecorderError
from recorder.player.client import Client
from recorder.player.control import command
from recorder.player.recorded import Recorded
from recorder.player.stage import Stage
from recorder.service import Service

CONTROL = "/control"

#: More clients would exceed the process's limits.
_MOST_CLIENTS = 500
_LOCAL = {"localhost", "127.0.0.1", "::1"}


@dataclass(frozen=True, slots=True)
class Address:
    """One listening socket, and the feeds behind it: one at any path, several at `/FEED`."""

    host: str
    port: int
    feeds: tuple[str, ...]


def is_loopback(host: str) -> bool:
    """Return True for addresses that no other machine can reach."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@dataclass(slots=True)
class Gatekeeper:
    """Accepts clients at one address."""

    address: Address
    stage: Stage
    key: str | None

    def feed_at(self, path: str) -> str | None:
        """Return the feed of a path; None if there is none."""
        feeds = self.address.feeds
        if len(feeds) == 1:
            return feeds[0]
        first = path.strip("/").partition("/")[0]
        return first if first in feeds else None

    def admit(self, connection: ServerConnection, request: Request) -> Response | None:
        """Return the response that refuses a handshake, as the service would; None accepts it."""
        parts = urlsplit(request.path)
        origin = request.headers.get("Origin")
        if origin not in {None, "null"} and urlsplit(origin or "").hostname not in _LOCAL:
            return _refused(connection, 403, "a page of another origin may not connect")
        shown = _shown(request)
        if parts.path == CONTROL:
            return None if self._right(shown) else _refused(connection, 403, "wrong key")
        feed = self.feed_at(parts.path)
        if feed is None:
            known = ", ".join(f"/{name}" for name in self.address.feeds)
            return _refused(connection, 404, f"no such feed here; there are: {known}")
        if len(self.stage.clients) >= _MOST_CLIENTS:
            return _refused(connection, 503, "too many clients")
        return self._without_key(connection, request, self.stage.play.services[feed], shown)

    def _without_key(
        self, connection: ServerConnection, request: Request, service: Service, shown: str | None
    ) -> Response | None:
        if service.key_header is not None and not request.headers.get(service.key_header):
            return _refused(connection, 401, "missing_api_key")
        if service.key_first:  # it comes in a message
            return None
        if service.key_header is not None:
            shown = request.headers.get(service.key_header)
        return None if self._right(shown) else _refused(connection, 403, "invalid_api_key")

    def _right(self, shown: str | None) -> bool:
        return self.key is None or hmac.compare_digest((shown or "").encode(), self.key.encode())

    async def handle(self, connection: ServerConnection) -> None:
        """Serve one connection until it ends."""
        request = connection.request
        assert request is not None
        parts = urlsplit(request.path)
        if parts.path == CONTROL:
            await self._control(connection)
            return
        feed = self.feed_at(parts.path)
        assert feed is not None
        service = self.stage.play.services[feed]
        path = parts.path if len(self.address.feeds) == 1 else parts.path.removeprefix(f"/{feed}")
        asked = service.asked(dict(parse_qsl(parts.query)), path)
        client = Client(
            *(connection, feed, service, self.key),
            record=self.stage.recorded.get(feed, Recorded()),
            report=self.stage.say,
            form=service.form(path),
            shown=not service.key_first,
        )
        client.wanted = set(asked) or None
        client.check(asked)
        client.changed = asyncio.get_running_loop().time()
        client.say(service.greet(asked, self.stage.clock.wall_ns()))
        self.stage.clients.add(client)
        tasks = [
            asyncio.create_task(client.unasked(self.stage.changed)),
            asyncio.create_task(client.beat(self.stage.clock.wall_ns)),
        ]
        self.stage.say("client connected", feed=feed, asked=", ".join(asked) or None)
        try:
            await client.converse(self.stage.changed)
        finally:
            self.stage.clients.discard(client)
            for task in tasks:
                task.cancel()
            self.stage.say("client gone", feed=feed, frames=client.frames)
            self.stage.changed()

    async def _control(self, connection: ServerConnection) -> None:
        try:
            async for message in connection:
                await connection.send(command(self.stage, message))
        except ConnectionClosed:
            return


def _shown(request: Request) -> str | None:
    """Return the key of a handshake: the header X-API-Key, or `?key=`."""
    query = dict(parse_qsl(urlsplit(request.path).query))
    return request.headers.get("X-API-Key") or query.get("key")


def _refused(connection: ServerConnection, status: int, why: str) -> Response:
    response = connection.respond(http.HTTPStatus(status), json.dumps({"error": why}) + "\n")
    del response.headers["Content-Type"]
    response.headers["Content-Type"] = "application/json"
    return response


@contextlib.asynccontextmanager
async def listening(
    stage: Stage,
    addresses: Sequence[Address],
    key: str | None = None,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[list[Address]]:
    """Listen at all addresses; yield them with the actual ports instead of port 0.

    Raises:
        BusyError: a port is in use.
        RecorderError: an address cannot be listened on.
    """
    quiet = logging.getLogger("recorder.player")
    quiet.setLevel(logging.CRITICAL)  # malformed client data is not worth logging
    async with contextlib.AsyncExitStack() as stack:
        found = []
        for address in addresses:
            server = await _serve(Gatekeeper(address, stage, key), quiet, tls)
            await stack.enter_async_context(server)
            port = int(next(iter(server.sockets)).getsockname()[1])
            found.append(Address(address.host, port, address.feeds))
        yield found


async def _serve(gate: Gatekeeper, logger: logging.Logger, tls: ssl.SSLContext | None) -> Server:
    address = gate.address
    try:
        return await serve(
            gate.handle,
            address.host,
            address.port,
            ssl=tls,
            process_request=gate.admit,
            compression=None,
            open_timeout=10,
            close_timeout=5,
            ping_interval=15,
            ping_timeout=None,  # some clients never answer pings
            max_size=1 << 20,
            max_queue=64,
            write_limit=1 << 18,
            logger=logger,
        )
    except OSError as error:
        where = f"{address.host}:{address.port}"
        if error.errno is not None and "in use" in str(error):
            raise BusyError("the port is in use", where=where, hint="choose another") from None
        what = f"cannot listen: {error.strerror or error}"
        raise RecorderError(what, where=where, hint="choose another address") from None

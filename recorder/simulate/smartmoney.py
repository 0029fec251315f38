"""A simulated Smart Money service: events by channel in text JSON frames.

The vendor documents the client's messages, the channels and a few fields of each event. The
acknowledgements, errors and extra fields are invented. https://smartmoneyapi.pages.dev
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

import msgspec
from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request, Response

from recorder.simulate.market import MarketEvent, SimulatedMarket
from recorder.simulate.peer import Peer
from recorder.simulate.server import Server, ServiceOptions, refusal

__all__ = ["OPTIONS", "SmartMoneyOptions", "serve"]

_STATUS = "system:status"
_WHALES = re.compile(r"whales:[A-Za-z0-9._-]{1,20}")
_WEIGHTS = {
    "derivatives:liquidations": 6,
    "derivatives:funding": 3,
    "onchain:flows": 2,
    "derivatives:openinterest": 2,
}
"""The relative rates of the busier channels; that of the others is 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SmartMoneyOptions(ServiceOptions):
    """Options of the simulated Smart Money service.

    `rate` is that of all subscribed channels together. `system:status` is sent in addition, every
    `heartbeat_seconds`. All clients of a channel get the same events.
    """

    rate: float = 20.0
    behind: int = 10_000
    extended: bool = True
    """Add fields that the vendor does not document, such as the event's `timestamp` (ms)."""
    shape: Literal["mixed", "flat", "wrapped"] = "mixed"
    """The place of the fields: at top level, under `payload`, or the two in turns."""


OPTIONS = SmartMoneyOptions


class _SmartMoney:
    path = "/ws"
    text = True

    def __init__(self, options: SmartMoneyOptions) -> None:
        self._options = options
        self._rng = random.Random(f"channels {options.seed}")
        self._market = SimulatedMarket(random.Random(f"market {options.seed}"), options.clock)
        self._channels: dict[Peer, set[str]] = {}
        self._subscribed: list[str] = []
        self._weights: list[int] = []
        self._events = 0

    def admit(self, connection: ServerConnection, request: Request) -> Response | None:
        if urlsplit(request.path).path != self.path:
            return refusal(connection, 404, {"error": "not_found", "message": "no such endpoint"})
        return None

    async def converse(self, peer: Peer) -> None:
        try:
            async for message in peer.messages():
                await self._answer(peer, message)
        finally:
            self._channels.pop(peer, None)
            self._update_subscribed()

    def emit(self) -> bool:
        if not self._subscribed:
            return False
        channel = self._rng.choices(self._subscribed, self._weights)[0]
        return self._send(self._market.event(channel))

    def heartbeat(self) -> None:
        self._send(self._market.event(_STATUS))

    def _send(self, event: MarketEvent) -> bool:
        peers = [p for p, chosen in self._channels.items() if p.open and event.channel in chosen]
        if peers:
            payload = self._encode(event)  # counts the event, which decides on its shape
            for peer in peers:
                peer.send_event(payload)
        return bool(peers)

    def _encode(self, event: MarketEvent) -> bytes:
        options = self._options
        self._events += 1
        fields = {**event.fields, **event.extra} if options.extended else event.fields
        wrapped = options.shape == "wrapped" or (options.shape == "mixed" and self._events % 2 == 0)
        if wrapped:
            frame = {"type": event.type, "channel": event.channel, "payload": fields}
            return msgspec.json.encode(frame)
        return msgspec.json.encode({"type": event.type, **fields})

    async def _answer(self, peer: Peer, message: bytes) -> None:
        try:
            command = msgspec.json.decode(message, type=dict[str, object])
        except (msgspec.DecodeError, UnicodeDecodeError):
            peer.send(_error("invalid_message", "messages are JSON objects"))
            return
        match command.get("type"):
            case "auth":
                await self._authenticate(peer, command.get("api_key"))
            case "ping":
                peer.send({"type": "pong"})
            case "subscribe" | "unsubscribe" as verb:
                self._subscribe(peer, verb, command.get("channel"))
            case _:
                peer.send(_error("unknown_type", "type is auth, subscribe, unsubscribe or ping"))

    async def _authenticate(self, peer: Peer, key: object) -> None:
        keys = self._options.keys
        if isinstance(key, str) and key and (keys is None or key in keys):
            self._channels.setdefault(peer, set())
            peer.send({"type": "authenticated"})
        else:
            peer.send(_error("invalid_api_key", "the API key is not valid"))
            await peer.close(4001, "invalid api key")

    def _subscribe(self, peer: Peer, verb: str, channel: object) -> None:
        channels = self._channels.get(peer)
        if channels is None:
            peer.send(_error("not_authenticated", "authenticate first", channel))
        elif not isinstance(channel, str) or not self._exists(channel):
            peer.send(_error("unknown_channel", "there is no such channel", channel))
        elif verb == "subscribe":
            channels.add(channel)
            self._update_subscribed()
            peer.send({"type": "subscribed", "channel": channel})
        else:
            channels.discard(channel)
            self._update_subscribed()
            peer.send({"type": "unsubscribed", "channel": channel})

    def _exists(self, channel: str) -> bool:
        return channel in self._market.channels or _WHALES.fullmatch(channel) is not None

    def _update_subscribed(self) -> None:
        """List the subscribed channels, without the status channel: heartbeats are sent there."""
        chosen = {channel for channels in self._channels.values() for channel in channels}
        self._subscribed = sorted(chosen - {_STATUS})
        self._weights = [_WEIGHTS.get(channel, 1) for channel in self._subscribed]


async def serve(options: SmartMoneyOptions) -> Server:
    """Start the service and return the listening server: `async with await serve(options)`."""
    return await Server(_SmartMoney(options), options).start()


def _error(code: str, message: str, channel: object = None) -> dict[str, object]:
    named = {} if channel is None else {"channel": channel}
    return {"type": "error", "code": code, **named, "message": message}

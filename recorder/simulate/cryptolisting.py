"""A simulated cryptolisting service: listing announcements in binary JSON frames.

It follows the vendor's rules: key header, `?cex=` filter, refused handshakes, heartbeats, limits on
client messages, and close reasons. https://cryptolisting.ws
"""

from __future__ import annotations

import asyncio
import math
import random
import re
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal
from urllib.parse import parse_qs, urlsplit

import msgspec
from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request, Response

from recorder.simulate.admission import Admission, ConnectionLimits, Visitor
from recorder.simulate.listings import PUBLISHERS, Announcement, draw
from recorder.simulate.market import latency_ns
from recorder.simulate.peer import Peer
from recorder.simulate.server import Server, ServiceOptions, refusal

__all__ = ["OPTIONS", "CryptolistingOptions", "serve"]

_KEY = re.compile(r"dsk_[0-9a-f]{64}")
_HANDSHAKE = ("Upgrade", "Sec-WebSocket-Key", "Sec-WebSocket-Version")
_UPGRADE_NOTICE = "Upgrade your plan to see the details of this announcement"


@dataclass(frozen=True, slots=True, kw_only=True)
class CryptolistingOptions(ServiceOptions):
    """Options of the simulated cryptolisting service."""

    rate: float = 0.5
    schema: Literal["new", "old"] = "new"
    """The old schema has `publishTimestampUs` and no `abnormalDetectionLatency`."""
    tier: str = "premium"
    """The 'free' tier hides tickers and replaces titles, except for not_listing."""
    allowed_cex: frozenset[str] | None = None
    """The publishers that the keys may see; None for all."""
    expired_keys: frozenset[str] = frozenset()
    """Keys whose connections are closed at once with 1000 key_expired."""
    limits: ConnectionLimits | None = field(default_factory=ConnectionLimits)
    """The limits on connections, including the 5 s cooldown; None for no limits."""
    messages_per_minute: int = 3
    message_bytes: int = 1024
    test_seconds: float = 60.0
    """The least time between two test announcements for a key."""


OPTIONS = CryptolistingOptions


@dataclass(eq=False, slots=True)
class _Subscriber:
    """One connection: its key and address, its publishers, and the times of its messages."""

    visitor: Visitor
    publishers: frozenset[str]
    message_times: deque[float] = field(default_factory=deque)


class _Cryptolisting:
    path = ""
    text = False

    def __init__(self, options: CryptolistingOptions) -> None:
        self._options = options
        self._rng = random.Random(f"listings {options.seed}")
        self._delays = random.Random(f"delays {options.seed}")
        self._admission = Admission(options.limits) if options.limits is not None else None
        self._clients: dict[Peer, _Subscriber] = {}
        self._tests: dict[str, float] = {}

    def admit(self, connection: ServerConnection, request: Request) -> Response | None:
        headers, options = request.headers, self._options
        if any(not headers.get(name) for name in _HANDSHAKE):
            return refusal(connection, 426, {"error": "malformed_handshake"})
        keys = headers.get_all("X-API-Key")
        if not keys:
            return refusal(connection, 401, {"error": "missing_api_key"})
        known = options.keys is None or keys[0] in options.keys | options.expired_keys
        if not _KEY.fullmatch(keys[0]) or not known:
            return refusal(connection, 403, {"error": "invalid_api_key"})
        if self._admission is None:
            return None
        present = [client.visitor for client in self._clients.values()]
        body = self._admission.refuse(_visitor(connection, request), present, _now())
        return None if body is None else refusal(connection, 429, body)

    async def converse(self, peer: Peer) -> None:
        request = peer.connection.request
        assert request is not None
        client = _Subscriber(_visitor(peer.connection, request), self._publishers(request.path))
        if client.visitor.key in self._options.expired_keys:
            await peer.close(1000, "key_expired")
            return
        peer.send(self._welcome())
        self._clients[peer] = client
        try:
            async for message in peer.messages():
                self._answer(peer, client, message)
        finally:
            del self._clients[peer]

    def emit(self) -> bool:
        if not self._clients:
            return False
        announcement = draw(self._rng, _utc(self._options.clock()).date())
        clients = self._clients.items()
        peers = [p for p, c in clients if p.open and announcement.publisher in c.publishers]
        if peers:
            payload = msgspec.json.encode(self._message("announcement", announcement))
            for peer in peers:
                peer.send_event(payload)
        return bool(peers)

    def heartbeat(self) -> None:
        now_ns = self._options.clock()
        time_utc = f"{_utc(now_ns):%Y-%m-%dT%H:%M:%S}.{now_ns // 1000 % 1_000_000:06}Z"
        for peer in tuple(self._clients):
            peer.send({"type": "heartbeat", "timestampNs": now_ns, "timeUtc": time_utc})

    def _publishers(self, path: str) -> frozenset[str]:
        """Return the publishers that both the key and the `?cex=` of this path allow."""
        names = ",".join(parse_qs(urlsplit(path).query).get("cex", [])).lower().split(",")
        wanted = frozenset(name.strip() for name in names if name.strip()) or frozenset(PUBLISHERS)
        allowed = self._options.allowed_cex
        return wanted if allowed is None else wanted & allowed

    def _welcome(self) -> dict[str, object]:
        options, limits = self._options, self._options.limits or ConnectionLimits()
        capacity: dict[str, object] = {"maxConnections": limits.per_key_and_address}
        if options.schema == "new":
            capacity = {
                "maxDistinctIps": limits.addresses_per_key,
                "maxConnectionsPerIp": limits.per_key_and_address,
                "absoluteMaxConnections": limits.per_key,
            }
        allowed = "*" if options.allowed_cex is None else ",".join(sorted(options.allowed_cex))
        welcome: dict[str, object] = {"type": "welcome", "tier": options.tier, **capacity}
        return {**welcome, "allowedCex": allowed, "expiresInSecs": 30 * 86_400}

    def _message(self, type_: str, announcement: Announcement) -> dict[str, object]:
        """Build the message of an announcement: detected and published earlier, dispatched now."""
        late = self._delays.random() < 0.02
        detection_us = latency_ns(self._delays, 4000 if late else 80, 0.6) // 1000
        dispatch_us = self._options.clock() // 1000
        detected_us = dispatch_us - latency_ns(self._delays, 2, 0.5) // 1000
        hidden = self._options.tier == "free" and announcement.listing_type != "not_listing"
        old = self._options.schema == "old"
        return {
            "type": type_,
            "title": _UPGRADE_NOTICE if hidden else announcement.title,
            "ticker": "" if hidden else announcement.ticker,
            "publisher": announcement.publisher,
            "listingType": announcement.listing_type,
            **({"publishTimestampUs": detected_us - detection_us} if old else {}),
            "detectedTimestampUs": detected_us,
            "dispatchTimestampUs": dispatch_us,
            **({} if old else {"abnormalDetectionLatency": late}),
        }

    def _answer(self, peer: Peer, client: _Subscriber, message: bytes) -> None:
        """Apply the rules for client messages; only a test gets an answer."""
        if len(message) > self._options.message_bytes:
            peer.close_soon(1009, "frame_too_large")
        elif self._too_many(client):
            peer.close_soon(1008, "rate_limit_exceeded")
        elif _is_test(message):
            peer.send(self._test(client.visitor.key))

    def _too_many(self, client: _Subscriber) -> bool:
        now = _now()
        client.message_times.append(now)
        while client.message_times[0] <= now - 60:
            client.message_times.popleft()
        return len(client.message_times) > self._options.messages_per_minute

    def _test(self, key: str) -> dict[str, object]:
        wait = self._tests.get(key, -math.inf) + self._options.test_seconds - _now()
        if wait > 0:
            return {"type": "error", "code": "test_rate_limited", "retryAfterSecs": math.ceil(wait)}
        self._tests[key] = _now()
        title = "Test Exchange Will List DUMMYTOKEN (DUMMYTOKEN)"
        announcement = Announcement("binance", "spot_listing", "DUMMYTOKEN", title)
        return self._message("test_announcement", announcement)


async def serve(options: CryptolistingOptions) -> Server:
    """Start the service and return the listening server: `async with await serve(options)`."""
    return await Server(_Cryptolisting(options), options).start()


def _visitor(connection: ServerConnection, request: Request) -> Visitor:
    return Visitor(request.headers.get_all("X-API-Key")[0], str(connection.remote_address[0]))


def _is_test(message: bytes) -> bool:
    try:
        return bool(msgspec.json.decode(message, type=dict[str, object]).get("type") == "test")
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False


def _utc(time_ns: int) -> datetime:
    return datetime.fromtimestamp(time_ns // 1_000_000_000, UTC)


def _now() -> float:
    return asyncio.get_running_loop().time()

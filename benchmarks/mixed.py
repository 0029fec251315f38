"""Records of mixed frames: liquidations, funding, whales, listings and control, in equal parts."""

import json
import random
from collections.abc import Iterator, Sequence

import pyarrow as pa

from recorder.clock import ulid
from recorder.record import seal
from recorder.record.layout import Layout, stem
from recorder.schema.raw import RAW

_T0_MS = 1_790_000_000_000
_PER_FILE = 250_000
_PER_PART = 65_536  # the row group of sealing
_SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT", "DOGEUSDT")
_VENUES = ("binance", "bybit", "okx")

Decoded = tuple[str, int, int, dict[str, object]]


def record(layout: Layout, frames: int, per_file: int = _PER_FILE) -> None:
    """Seal `frames` frames: a fifth announcements and heartbeats, the others market events."""
    listings = frames // 5
    announced, others = announcements(listings), market(frames - listings)
    _seal(layout, "cryptolisting", "binary", announced, listings, per_file)
    _seal(layout, "smartmoney", "text", others, frames - listings, per_file)


def _seal(  # noqa: PLR0913, PLR0917 - a feed's name, kind, frames, and how they are cut
    layout: Layout,
    feed: str,
    kind: str,
    payloads: Iterator[bytes],
    frames: int,
    per_file: int,
) -> None:
    connection = ulid(_T0_MS * 10**6, feed.encode()[:10].ljust(10))
    run = ulid(_T0_MS * 10**6, feed.encode()[::-1][:10].ljust(10))
    fields = {"line": "A", "group": "all", "url": "wss://example.org/"}
    for number, first in enumerate(range(0, frames, per_file), 1):
        count = min(per_file, frames - first)
        recv = [(_T0_MS + first + i) * 10**6 + 40_000_000 for i in range(count)]
        kinds, bodies = [kind] * count, [next(payloads) for _ in range(count)]
        if first == 0:
            kinds[0], bodies[0] = "open", json.dumps(fields).encode()
        columns = [recv, recv, range(first, first + count), [connection] * count, kinds, bodies]
        path = layout.parquet(feed, stem(recv[0], run, number))
        seal.write(path, _parts(columns, count), {"recorder.kind": feed})


def _parts(columns: list[Sequence[object]], count: int) -> Iterator[pa.Table]:
    for first in range(0, count, _PER_PART):
        part = slice(first, first + _PER_PART)
        arrays = [pa.array(column[part], f.type) for column, f in zip(columns, RAW, strict=True)]
        yield pa.table(arrays, RAW)


def announcements(count: int) -> Iterator[bytes]:
    """Yield announcements, and every tenth frame a heartbeat."""
    dice = random.Random(1)
    for i in range(count):
        us = (_T0_MS + i) * 1000
        if i % 10 == 9:
            yield json.dumps({"type": "heartbeat", "timestampNs": us * 1000}).encode()
            continue
        fields = {
            "type": "announcement",
            "title": f"Will List TOKEN{i % 977} (T{i % 977})",
            "ticker": f"T{i % 977}",
            "publisher": dice.choice(_VENUES),
            "listingType": "spot_listing",
            "detectedTimestampUs": us,
            "dispatchTimestampUs": us + 1000,
            "abnormalDetectionLatency": False,
        }
        yield json.dumps(fields, separators=(",", ":")).encode()


def market(count: int) -> Iterator[bytes]:
    """Yield liquidations, funding, whales and control frames in turn."""
    dice = random.Random(2)
    for i in range(count):
        symbol, venue = dice.choice(_SYMBOLS), dice.choice(_VENUES)
        price = round(dice.random() * 1e5, 2)
        fields: dict[str, object]
        match i % 4:
            case 0:
                fields = {
                    "type": "liquidation",
                    "symbol": symbol,
                    "exchange": venue,
                    "side": dice.choice(("long", "short")),
                    "price": price,
                    "quantity": round(dice.random(), 4),
                    "size_usd": round(price, 1),
                }
            case 1:
                fields = {
                    "type": "funding_rate",
                    "symbol": symbol,
                    "exchange": venue,
                    "rate": round(dice.random() * 1e-3, 8),
                }
            case 2:
                fields = {
                    "type": "whale_update",
                    "wallet": f"0x{dice.getrandbits(160):040x}",
                    "asset": symbol[:3],
                    "action": "open",
                    "side": "long",
                    "price": price,
                    "size_usd": round(dice.random() * 1e6, 2),
                }
            case _:
                fields = {"type": "pong"}
        if i % 4 != 3:
            fields["timestamp"] = _T0_MS + i
        yield json.dumps(fields, separators=(",", ":")).encode()  # fmt: skip


_TABLES = {
    "liquidation": "liquidations",
    "funding_rate": "funding",
    "whale_update": "whales",
    "announcement": "listings",
}


def plain_rows(frames: list[Decoded]) -> dict[str, list[dict[str, object]]]:
    """Return the rows of a plain loop: each event's fields, and its latency."""
    rows: dict[str, list[dict[str, object]]] = {}
    for connection, seq, recv_ns, fields in frames:
        name = _TABLES.get(str(fields.pop("type", None)))
        if name is None:
            continue
        place = {"connection": connection, "seq": seq, "recv_ns": recv_ns}
        rows.setdefault(name, []).append({**place, **fields})
        sent = fields.get("timestamp")
        event_ns = sent * 10**6 if isinstance(sent, int) else None
        if event_ns is None and isinstance(fields.get("detectedTimestampUs"), int):
            event_ns = int(str(fields["detectedTimestampUs"])) * 1000
        if event_ns is not None:
            latency = {**place, "event_ns": event_ns, "total_ns": recv_ns - event_ns}
            rows.setdefault("latency", []).append(latency)
    return rows

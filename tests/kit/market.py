"""A small record of one exchange with every kind of data, and of announcements."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from recorder.clock import NS
from recorder.frame import Frame

from .frames import MS, T0, marker
from .records import Published

LISTED = 20  # the second after T0 at which NEWC is announced


def record(root: Path) -> Published:
    """Two minutes of a market with a cascade, and a listing; every trade is a whale's."""
    made = Published(root)
    made.seal("binance", list(market("01" + "A" * 24)))
    made.seal("cryptolisting", list(news("01" + "B" * 24)))
    made.ingest(whale_usd=0.01)
    return made


def market(connection: str) -> Iterator[Frame]:
    """120 s: a trade of two symbols and a mark price each second, liquidations from the 60th."""
    yield marker(0, "open", T0 - NS, connection, line="A", group="market", url="ws://x")
    seq = 1
    for second in range(120):
        at = T0 + second * NS
        sent = at // MS - 3
        price = 100 + second % 7 + second / 10
        listed = 1 if second < LISTED + 2 else 1.5
        for symbol, value in (("BTCUSDT", price), ("NEWCUSDT", listed)):
            told = {
                "e": "aggTrade", "E": sent, "T": sent - 2, "a": second, "s": symbol,
                "p": f"{value:.2f}", "q": "0.125", "m": second % 2 == 0,
            }  # fmt: skip
            yield frame(at + seq, seq, connection, told)
            seq += 1
        mark = {
            "e": "markPriceUpdate", "E": sent, "s": "BTCUSDT", "p": f"{price + 0.5:.2f}",
            "i": f"{price + 0.25:.2f}", "r": "0.00010000", "T": 1_790_006_400_000,
        }  # fmt: skip
        yield frame(at + seq, seq, connection, mark)
        seq += 1
        if 60 <= second < 72:
            forced = {
                "s": "BTCUSDT", "S": "SELL", "o": "LIMIT", "f": "IOC", "q": "0.5",
                "p": f"{price:.2f}", "ap": f"{price:.2f}", "X": "FILLED", "l": "0.5", "z": "0.5",
                "T": sent,
            }  # fmt: skip
            yield frame(at + seq, seq, connection, {"e": "forceOrder", "E": sent, "o": forced})
            seq += 1
    at = T0 + 120 * NS
    yield marker(seq, "closed", at, connection, line="A", group="market", code=1006, reason="gone")
    # Thirty seconds later another one opens: a gap.
    again = connection[:-1] + "Z"
    yield marker(0, "open", at + 30 * NS, again, line="A", group="market", url="ws://x")
    told = {"e": "aggTrade", "E": at // MS, "T": at // MS, "a": 500, "s": "BTCUSDT", "p": "99.5",
            "q": "2", "m": True}  # fmt: skip
    yield frame(at + 31 * NS, 1, again, told)


def news(connection: str) -> Iterator[Frame]:
    """One listing."""
    yield marker(0, "open", T0 - NS, connection, line="A", group="news", url="ws://x")
    at = T0 + LISTED * NS
    told = {
        "type": "announcement", "title": "Exchange Will List NEWC", "ticker": "NEWC",
        "publisher": "binance", "listingType": "spot_listing",
        "detectedTimestampUs": at // 1000 - 900, "dispatchTimestampUs": at // 1000 - 500,
    }  # fmt: skip
    yield frame(at, 1, connection, told)
    yield marker(2, "stats", T0 + 150 * NS, connection, heard_ns=T0 + 150 * NS)


def frame(at: int, seq: int, connection: str, told: dict[str, object]) -> Frame:
    return Frame(at, at - T0, seq, connection, "text", json.dumps(told).encode())

"""Two programs' readings of real frames of the six venues: tardis-node's mappers and cryptofeed.

Every side, price, size, rate, time and id that both read is equal, or it is listed in `DIFFERENT`
and in `docs/semantics.md` with who is right and why. What one of them does not read is in `UNREAD`.
"""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kit.frames import frames_of
from kit.recordings import shapes
from kit.rows import Bench

HERE = Path(__file__).parent / "consumers"
PLACE = Path(os.environ.get("RECORDER_TEST_EXPORTS") or "none").resolve()
PYTHON, NODE = PLACE / "cryptofeed/bin/python", PLACE / "node/node_modules"

pytestmark = pytest.mark.process

#: Facts that differ, by program and venue; (venue, kind, fact) -> why ours is right.
DIFFERENT: dict[str, dict[tuple[str, str, str], str]] = {
    "tardis": {
        ("binance", "liquidation", "price"): "the average of the fills was paid, not the limit",
        ("binance", "trade", "id"): "they read streams of single trades alone, which have t, not a",
        ("deribit", "funding", "rate"): "funding_8h; theirs is the moment's current_funding",
        ("bitmex", "trade", "size"): "coins; theirs are contracts",
    },
    "cryptofeed": {
        ("binance", "liquidation", "price"): "the average of the fills was paid, not the limit",
        ("binance", "liquidation", "time"): "the fill's T; theirs is when it was sent",
        ("okx", "funding", "time"): "ts; theirs is the time of the funding",
        ("deribit", "funding", "rate"): "funding_8h; theirs is the moment's current_funding",
        ("bitmex", "trade", "size"): "coins; theirs are contracts",
        ("bitmex", "funding", "next"): "no such field: they add the interval",
    },
}

#: Kinds of events that we read in a frame and they do not.
UNREAD = {
    "tardis": {
        ("binance", "liquidation"): "the stream !forceOrder@arr",
        ("bybit", "trade"): "API v2",
        ("okx", "liquidation"): "markets other than the one that is asked for",
        ("bitmex", "trade"): "partials",
        ("bitmex", "funding"): "the table funding",
        ("hyperliquid", "trade"): "the first frame, which is the past",
    },
    "cryptofeed": {
        ("binance", "trade"): "streams of single trades",
        ("bybit", "trade"): "API v2",
        ("bybit", "liquidation"): "allLiquidation",
        ("bybit", "funding"): "needs a subscription of its own",
        ("okx", "liquidation"): "asked for by REST",
    },
}

#: Facts that are compared: our expression, their field.
FACTS = {
    "trade": ("price", "size", "side", "time", "id"),
    "liquidation": ("price", "size", "side", "time"),
    "funding": ("rate", "next", "time"),
}
OURS = {
    "trade": "SELECT seq, price, quantity, side, event_ns // 1000000, trade_id, notional_usd, "
    "quantity_unit FROM prices WHERE quantity IS NOT NULL",
    "liquidation": "SELECT seq, price, quantity, CASE position_side WHEN 'long' THEN 'sell' "
    "WHEN 'short' THEN 'buy' END, event_ns // 1000000, NULL, notional_usd, quantity_unit "
    "FROM liquidations",
    "funding": "SELECT seq, rate, next_funding_ns // 1000000, event_ns // 1000000, NULL, NULL, "
    "NULL FROM funding WHERE rate IS NOT NULL",
}

Event = tuple[str, dict[str, Any]]


def coin_margined(frame: Any) -> bool:
    return re.search(r'USD_(PERP|\d{6})"', json.dumps(frame)) is not None


def tardis_name(venue: str, frame: Any) -> str:
    text = json.dumps(frame)
    if venue == "binance":
        return "binance-delivery" if coin_margined(frame) else "binance-futures"
    if venue == "okx":
        dated = re.search(r'-\d{6}"|FUTURES', text)
        return "okex-swap" if "SWAP" in text else "okex-futures" if dated else "okex"
    return venue


def tardis(venue: str, frames: list[Any], file: Path) -> list[list[Event]]:
    """Return tardis-node's events of each frame."""
    file.write_text(json.dumps([[tardis_name(venue, one), as_trade(one)] for one in frames]))
    command = ["node", str(HERE / "tardis_maps.cjs"), str(NODE), str(file)]
    return [[event(row, milliseconds=1) for row in rows] for rows in printed(command)]


def as_trade(frame: Any) -> Any:
    """Return a frame of aggregated trades as one of single trades, the only ones Tardis reads."""
    renamed = frame.get("stream", "").replace("@aggTrade", "@trade")
    return {**frame, "stream": renamed} if "stream" in frame else frame


def cryptofeed(venue: str, frames: list[Any], file: Path) -> list[list[Event]]:
    """Return cryptofeed's events of each frame."""
    names = {"bybit": "Bybit", "okx": "OKX", "deribit": "Deribit", "bitmex": "Bitmex"}
    given = [
        [names.get(venue) or ("BinanceDelivery" if coin_margined(one) else "BinanceFutures"),
         "wss://x/linear", one]
        for one in frames
    ]  # fmt: skip
    file.write_text(json.dumps(given))
    command = [str(PYTHON), str(HERE / "cryptofeed_maps.py"), str(file)]
    return [[event(row, milliseconds=1000) for row in rows] for rows in printed(command)]


def printed(command: list[str]) -> list[list[dict[str, Any]]]:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    found: list[list[dict[str, Any]]] = json.loads(done.stdout.splitlines()[-1])
    return found


def event(row: dict[str, Any], milliseconds: int) -> Event:
    """Return the kind of a program's row, and its facts."""
    kinds = {"trades": "trade", "liquidations": "liquidation", "derivative_ticker": "funding"}
    due = row.get("fundingTimestamp") or row.get("next_funding_time")
    at = row.get("timestamp")
    facts = {
        "price": row.get("price"),
        "size": row.get("amount", row.get("quantity")) or row.get("quantity"),
        "side": row.get("side"),
        "id": row.get("id"),
        "rate": row.get("rate", row.get("fundingRate")),
        "next": None if due is None else round(due * milliseconds),
        # A ticker of Tardis has the newest time of all its frames, or the receipt's.
        "time": None
        if at is None or row["type"] == "derivative_ticker"
        else round(at * milliseconds),
    }
    return kinds.get(row["type"], row["type"]), facts


def same(fact: str, ours: Any, theirs: Any, dollars: Any) -> bool:
    """Return True if two values are equal: a size in our coins or in our dollars."""
    if fact == "size":
        return any(v is not None and math.isclose(v, theirs, rel_tol=1e-9) for v in (ours, dollars))
    return bool(ours == theirs)


def wrapped(frame: Any) -> Any:
    """Return a bare frame as the combined streams have it, the only form that they read."""
    if "e" not in frame:
        return frame
    symbol = frame.get("s") or frame.get("o", {}).get("s", "")
    name = frame["e"].replace("markPriceUpdate", "markPrice")
    return {"stream": f"{symbol.lower()}@{name}", "data": frame}


PROGRAMS: dict[str, tuple[Path, Callable[[str, list[Any], Path], list[list[Event]]]]] = {
    "tardis": (NODE / "tardis-dev", tardis),
    "cryptofeed": (PYTHON, cryptofeed),
}


@pytest.mark.parametrize("program", PROGRAMS)
def test_real_frames_are_read_as_others_read_them(
    bench: Bench, tmp_path: Path, program: str
) -> None:
    place, read = PROGRAMS[program]
    if not place.exists():
        pytest.skip("make test-exports has the environments")
    differ, unread, equal = set(), set(), 0
    venues = ["binance", "bybit", "okx", "deribit", "bitmex", "hyperliquid"]
    for venue in venues if program == "tardis" else venues[:-1]:
        frames = [wrapped(one) for one in shapes(venue) if isinstance(one, dict)]
        bench.take(venue, frames_of([json.dumps(one) for one in frames]), whale_usd=1e9)
        theirs = read(venue, frames, tmp_path / f"{program}-{venue}.json")
        for kind, sql in OURS.items():
            mine: dict[int, list[tuple[Any, ...]]] = {}
            for seq, *row in bench.sql(f"{sql} ORDER BY seq, item"):
                mine.setdefault(seq, []).append(tuple(row))
            for seq, rows in mine.items():
                found = [facts for name, facts in theirs[seq] if name == kind]
                if len(found) != len(rows):
                    unread.add((venue, kind))
                    continue
                for row, facts in zip(rows, found, strict=True):
                    for place_, fact in enumerate(FACTS[kind]):
                        if facts[fact] is None:  # they do not say it
                            continue
                        if same(fact, row[place_], facts[fact], row[5]):
                            equal += 1
                        else:
                            differ.add((venue, kind, fact))
                            print(f"{venue} {kind} {fact}: {row[place_]!r}, theirs {facts[fact]!r}")
    print(f"{program}: {equal} values equal")
    assert differ == DIFFERENT[program].keys()
    assert unread == UNREAD[program].keys()
    assert equal > 80

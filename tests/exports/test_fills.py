"""A backtest and hftbacktest fill the same market orders over the same trades and latencies.

`make test-exports` makes hftbacktest's environment; without it this test is skipped.
"""

from __future__ import annotations

import json
import os
import subprocess
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from kit import made

from recorder import backtest
from recorder.backtest import Costs, Latency, Market, Order

PLACE = os.environ.get("RECORDER_TEST_EXPORTS")
MS = 1_000_000
T0 = 1_793_404_800_000 * MS
TICK, WAY_MS = 0.5, 50

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(PLACE is None, reason="make test-exports has the environments"),
]


@pytest.mark.parametrize("seed", range(2))
def test_market_orders_fill_where_hftbacktest_fills_them(tmp_path: Path, seed: int) -> None:
    dice, at, trades = Random(seed), 0, []
    for seq in range(400):
        at += dice.choice((1, 7, 40, 300, 2000))
        late = dice.choice((1, 5, 60, 250, 900))
        trades.append({
            "recv_ns": T0 + (at + late) * MS, "event_ns": T0 + at * MS, "exchange": "binance",
            "symbol": "BTCUSDT", "kind": "last", "price": 100 + TICK * dice.randrange(40),
            "backfill": False, "seq": seq,
        })  # fmt: skip
    sides = {seq: dice.choice(("buy", "sell")) for seq in dice.sample(range(1, 380), 60)}
    fills = ours(tmp_path, trades, sides)
    theirs = hftbacktest(tmp_path, trades, sides)
    assert len(fills) == len(theirs) == 60
    for fill, (price, arrived_ns) in zip(fills, theirs, strict=True):
        # There the book fills at the arrival; here the first trade from then on does.
        assert fill["happened_ns"] >= arrived_ns == fill["arrived_ns"]
        # A trade at the very moment of the arrival fills here; there it comes before the order.
        first = min(n for n, t in enumerate(trades) if t["event_ns"] >= arrived_ns)
        tie = trades[first]["event_ns"] == arrived_ns
        assert fill["quoted"] == trades[first]["price"]
        # Who sells gets a tick less there: a book has two sides, a trade one price.
        theirs_quoted = price + (TICK if fill["side"] == "sell" else 0)
        assert theirs_quoted == trades[first + tie]["price"]


def ours(root: Path, trades: list[dict[str, Any]], sides: dict[int, Any]) -> list[dict[str, Any]]:
    """Return the fills of a strategy that trades when it receives the trades of `sides`."""
    with made.database(root / "recorder.duckdb") as connection:
        made.fill(connection, {"prices": trades, "ledger": made.ledger({"prices": trades})})

    def trade(event: Any, as_of: Any) -> list[Order]:
        side = sides.get(event.seq)
        return [] if side is None else [Order(side, symbol="BTCUSDT", quantity=1)]

    market = Market(Latency(timedelta(), timedelta(milliseconds=WAY_MS)), Costs(0, 0))
    result = backtest.run(trade, data_dir=root, tables=["prices"], market=market)
    found: list[dict[str, Any]] = result.fills.to_pylist()
    return sorted(found, key=lambda fill: fill["arrived_ns"])


def hftbacktest(
    root: Path, trades: list[dict[str, Any]], sides: dict[int, Any]
) -> list[tuple[float, int]]:
    """Return price and arrival of each order, as hftbacktest has them."""
    received = sorted((t for t in trades if t["seq"] in sides), key=lambda t: t["recv_ns"])
    told = {
        "tick": TICK,
        "way_ns": WAY_MS * MS,
        "trades": [(t["event_ns"], t["recv_ns"], t["price"]) for t in trades],
        "orders": [(t["recv_ns"], sides[t["seq"]]) for t in received],
    }
    (root / "told.json").write_text(json.dumps(told))
    python = Path(str(PLACE)).resolve() / "hftbacktest" / "bin/python"
    script = Path(__file__).parent / "consumers" / "hftbacktest_fills.py"
    done = subprocess.run(
        [str(python), str(script), str(root / "told.json")],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return [(price, arrived) for price, arrived in json.loads(done.stdout)]

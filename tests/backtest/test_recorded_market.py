"""The worked examples on a market that was really recorded: five minutes of trades of ETHUSDT.

The events that they act on are in the services' documented form, put into those minutes.
"""

from __future__ import annotations

import gzip
import json
from datetime import timedelta
from pathlib import Path

import pytest
from kit.frames import MS, frames_of, marker
from kit.recordings import shared
from kit.records import Published

from recorder import backtest
from recorder.backtest import Costs, Latency, Market
from recorder.clock import NS, ulid
from recorder.frame import Frame

LATENCY = Latency(reaction=timedelta(milliseconds=2), order=timedelta(milliseconds=30))
MARKET = Market(LATENCY, Costs(fee_bps=5, slippage_bps=0))
ARRIVES = 32 * MS
HELD = 60 * NS


@pytest.fixture(scope="module")
def trades() -> list[tuple[int, str]]:
    """Trades of the market as they were received: time and frame."""
    path = shared("binance_usdm/hftbacktest_ethusdt_20240808.gz")
    with gzip.open(path, "rt") as stream:
        lines = [line for line in stream if '"e":"trade"' in line and '"X":"MARKET"' in line]
    return [(int(at), frame) for at, _, frame in (line.strip().partition(" ") for line in lines)]


@pytest.fixture(scope="module")
def recorded(trades: list[tuple[int, str]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The trades, a cascade of liquidations in them, and an announcement."""
    record = Published(tmp_path_factory.mktemp("recorded"))
    begin = trades[0][0]
    times, payloads = zip(*trades, strict=True)
    opened = marker(0, "open", begin - NS, line="A", group="trades", url="ws://x")
    record.seal("binance", [opened, *frames_of(payloads, first_seq=1, recv_ns=times)])
    forced = ulid(begin, bytes([7] * 10))
    cascade = [marker(0, "open", begin - NS, forced, line="A", group="forced", url="ws://x")]
    cascade += frames_of(
        [liquidation(at // MS) for at in liquidated(begin)],
        first_seq=1, recv_ns=liquidated(begin), connection=forced,
    )  # fmt: skip
    record.seal("binance", cascade)
    record.seal("cryptolisting", news(begin))
    record.ingest()
    return record.layout.root


def liquidated(begin: int) -> list[int]:
    """When longs were liquidated: twelve within a second, two minutes after the beginning."""
    return [begin + 120 * NS + n * 80 * MS for n in range(12)]


def liquidation(ms: int) -> str:
    """A forced order that is not filled yet: nobody traded at its limit."""
    order = {"s": "ETHUSDT", "S": "SELL", "o": "LIMIT", "f": "IOC", "q": "1.5", "p": "2600",
             "ap": "0", "X": "NEW", "l": "0", "z": "0", "T": ms}  # fmt: skip
    return json.dumps({"e": "forceOrder", "E": ms, "o": order})


def news(begin: int) -> list[Frame]:
    told = {"type": "announcement", "title": "Exchange Will List Ether (ETH)", "ticker": "ETH",
            "publisher": "binance", "listingType": "spot_listing",
            "detectedTimestampUs": (begin + 90 * NS) // 1000}  # fmt: skip
    wire = ulid(begin, bytes([8] * 10))
    opened = marker(0, "open", begin - NS, wire, line="A", group="news", url="ws://x")
    sent = frames_of([json.dumps(told)], first_seq=1, recv_ns=begin + 90 * NS, connection=wire)
    return [opened, *sent]


def first_trade(trades: list[tuple[int, str]], at: int) -> tuple[int, float]:
    """The first trade that happened at or after a time, read from the frames themselves."""
    told = ((when, json.loads(frame)["data"]) for when, frame in trades)
    received, trade = next((when, trade) for when, trade in told if trade["T"] * MS >= at)
    return received, float(trade["p"])


def outcome(result: backtest.Result) -> list[tuple[str, int, float, str]]:
    return [
        (fill["side"], fill["recv_ns"], fill["price"], fill["price_kind"])
        for fill in result.fills.to_pylist()
    ]


def test_a_listing_is_bought_and_sold_at_trades_that_were_recorded(
    recorded: Path, trades: list[tuple[int, str]]
) -> None:
    strategy = backtest.BuyListings(usd=1000, hold=timedelta(seconds=60))
    result = backtest.run(strategy, data_dir=recorded, market=MARKET)
    begin = trades[0][0] + 90 * NS + ARRIVES
    bought, sold = first_trade(trades, begin), first_trade(trades, begin + HELD)
    assert outcome(result) == [("buy", *bought, "last"), ("sell", *sold, "last")]
    quantity = 1000 / bought[1]
    fees = quantity * (bought[1] + sold[1]) * 5e-4
    assert result.profit_usd == pytest.approx(quantity * (sold[1] - bought[1]) - fees)


def test_a_cascade_is_faded_at_trades_that_were_recorded(
    recorded: Path, trades: list[tuple[int, str]]
) -> None:
    strategy = backtest.fade_cascades(count=10, hold=timedelta(seconds=60))
    result = backtest.run(strategy, data_dir=recorded, market=MARKET)
    tenth = liquidated(trades[0][0])[9] + ARRIVES
    bought, sold = first_trade(trades, tenth), first_trade(trades, tenth + HELD)
    assert outcome(result) == [("buy", *bought, "last"), ("sell", *sold, "last")]
    assert result.profit_usd != 0


def test_every_trade_has_its_size_and_side(recorded: Path, trades: list[tuple[int, str]]) -> None:
    record = Published(recorded)
    told = [json.loads(frame)["data"] for _, frame in trades]
    found = record.sql(
        "SELECT price, quantity, quantity_unit, side, trade_id FROM prices ORDER BY seq"
    )
    assert len(found) > 10_000
    assert found == [
        (float(t["p"]), float(t["q"]), "base", "sell" if t["m"] else "buy", str(t["t"]))
        for t in told
    ]
    [(value,)] = record.sql("SELECT sum(notional_usd) FROM prices")
    assert value == pytest.approx(sum(float(t["p"]) * float(t["q"]) for t in told))

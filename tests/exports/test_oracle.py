"""Another program's reading of the same frames: ccxt, with markets given by hand.

Every side, price, size, rate, interval and time is equal, or it is listed here and in
`docs/semantics.md` with who is right and why. The test is skipped where ccxt is not installed
(`make test-exports` installs it in an environment of its own).
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from kit.frames import CONNECTION, MS, T0, frames_of, marker
from kit.rows import Bench

CONSUMER = Path(__file__).parent / "consumers/ccxt_reads.py"
PLACE = os.environ.get("RECORDER_TEST_EXPORTS")
PYTHON = Path(str(PLACE)).resolve() / "ccxt/bin/python"

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(
        PLACE is None or not PYTHON.exists(), reason="make test-exports has the environments"
    ),
]

AT = T0 // MS
SWAP = {"type": "swap", "base": "BTC", "quote": "USDT", "settle": "USDT", "linear": True,
        "inverse": False, "contractSize": 1.0, "symbol": "BTC/USDT:USDT"}  # fmt: skip
INVERSE = {**SWAP, "quote": "USD", "settle": "BTC", "linear": False, "inverse": True,
           "symbol": "BTC/USD:BTC"}  # fmt: skip
SPOT = {"type": "spot", "base": "BTC", "quote": "USDT", "symbol": "BTC/USDT"}

BINANCE_TRADE = {"e": "aggTrade", "E": AT, "a": 7, "s": "BTCUSDT", "p": "60000.1", "q": "0.5",
                 "T": AT - 5, "m": True}  # fmt: skip
BINANCE_ORDER = {"s": "BTCUSDT", "S": "SELL", "o": "LIMIT", "f": "IOC", "q": "0.190",
                 "p": "82338.30", "ap": "82651.90", "X": "FILLED", "l": "0.155", "z": "0.190",
                 "T": AT - 9}  # fmt: skip
BYBIT_TRADE = {
    "T": AT,
    "s": "BTCUSDT",
    "S": "Sell",
    "v": "1.5",
    "p": "60000.1",
    "i": "e1",
    "BT": False,
}
BYBIT_ORDER = {"T": AT, "s": "BTCUSDT", "S": "Buy", "v": "0.006", "p": "82396.90"}
OKX_TRADE = {"instId": "BTC-USDT", "tradeId": "9", "px": "60000.1", "sz": "2", "side": "buy",
             "ts": str(AT)}  # fmt: skip
OKX_RATE = {"instId": "BTC-USDT-SWAP", "instType": "SWAP", "fundingRate": "0.0001",
            "prevFundingTime": str(AT - 25_200_000), "fundingTime": str(AT + 3_600_000),
            "nextFundingTime": str(AT + 32_400_000), "nextFundingRate": "",
            "ts": str(AT)}  # fmt: skip
DERIBIT_TRADE = {"trade_id": "5", "timestamp": AT, "price": 60000.5, "direction": "sell",
                 "instrument_name": "BTC_USDC-PERPETUAL", "amount": 2.5,
                 "trade_seq": 1}  # fmt: skip
HYPERLIQUID_TRADE = {"coin": "BTC", "side": "B", "px": "60000.1", "sz": "0.3", "time": AT,
                     "hash": "0x1", "tid": 11, "users": ["0xa", "0xb"]}  # fmt: skip


COIN_M_TRADE = {**BINANCE_TRADE, "s": "BTCUSD_PERP", "q": "4"}


def rpc(trade: Any) -> Any:
    channel = "trades.BTC_USDC-PERPETUAL.100ms"
    return {"method": "subscription", "params": {"channel": channel, "data": [trade]}}


#: feed, ccxt's exchange, kind, market, the event as ccxt is given it, the frame that holds it
CASES: list[tuple[str, str, str, dict[str, Any], Any, Any]] = [
    ("binance", "binanceusdm", "trade", {**SWAP, "id": "BTCUSDT"}, BINANCE_TRADE, BINANCE_TRADE),
    ("binance", "binanceusdm", "liquidation", {**SWAP, "id": "BTCUSDT"}, BINANCE_ORDER,
     {"e": "forceOrder", "E": AT, "o": BINANCE_ORDER}),
    ("binance", "binancecoinm", "trade", {**INVERSE, "id": "BTCUSD_PERP", "contractSize": 100.0},
     COIN_M_TRADE, COIN_M_TRADE),
    ("bybit", "bybit", "trade", {**SWAP, "id": "BTCUSDT"}, BYBIT_TRADE,
     {"topic": "publicTrade.BTCUSDT", "type": "snapshot", "ts": AT, "data": [BYBIT_TRADE]}),
    ("bybit", "bybit", "liquidation", {**SWAP, "id": "BTCUSDT"}, BYBIT_ORDER,
     {"topic": "allLiquidation.BTCUSDT", "type": "snapshot", "ts": AT, "data": [BYBIT_ORDER]}),
    ("okx", "okx", "trade", {**SPOT, "id": "BTC-USDT"}, OKX_TRADE,
     {"arg": {"channel": "trades", "instId": "BTC-USDT"}, "data": [OKX_TRADE]}),
    ("okx", "okx", "funding", {**SWAP, "id": "BTC-USDT-SWAP"}, OKX_RATE,
     {"arg": {"channel": "funding-rate", "instId": "BTC-USDT-SWAP"}, "data": [OKX_RATE]}),
    ("deribit", "deribit", "trade", {**SWAP, "id": "BTC_USDC-PERPETUAL", "quote": "USDC"},
     DERIBIT_TRADE, rpc(DERIBIT_TRADE)),
    ("hyperliquid", "hyperliquid", "trade", {**SWAP, "id": "BTC", "baseName": "BTC"},
     HYPERLIQUID_TRADE, {"channel": "trades", "data": [HYPERLIQUID_TRADE]}),
]  # fmt: skip

#: Where they differ, by the number of the case and the value's place: ours, and why it is right.
DIFFERENT = {
    (1, 1): "the size is all fills (z), theirs the last one (l)",
    (4, 2): "a long is closed by a sale; they pass the position's side on",
}

SELECT = {
    "trade": "SELECT price, quantity, side, event_ns // 1000000, trade_id FROM prices",
    "liquidation": "SELECT price, quantity, CASE position_side WHEN 'long' THEN 'sell' ELSE 'buy' "
    "END, event_ns // 1000000 FROM liquidations",
    "funding": "SELECT rate, next_funding_ns // 1000000, interval_hours::INTEGER || 'h' "
    "FROM funding",
}


def test_ccxt_reads_the_same(bench: Bench, tmp_path: Path) -> None:
    file = tmp_path / "frames.json"
    file.write_text(json.dumps([case[1:5] for case in CASES]))
    done = subprocess.run(
        [str(PYTHON), str(CONSUMER), str(file)], capture_output=True, text=True, check=False,
        timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    theirs = json.loads(done.stdout.splitlines()[-1])
    differ = set()
    for number, (feed, _, kind, *_, frame) in enumerate(CASES):
        opened = marker(0, "open", T0 - 10**12, CONNECTION, line="A", group="g")
        bench.take(feed, [opened, *frames_of([json.dumps(frame)], first_seq=1)])
        [ours] = bench.sql(SELECT[kind])
        for place, (a, b) in enumerate(zip(ours, theirs[number], strict=True)):
            if a != (pytest.approx(b) if isinstance(b, float | int) else b):
                differ.add((number, place))
                print(f"{feed} {kind}: {a!r}, ccxt {b!r}")
    assert differ == DIFFERENT.keys()

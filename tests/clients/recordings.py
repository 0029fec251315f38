"""The default recording of each venue: frames in the venues' own form, and their connection.

Each venue's frames hold, for the first symbol of its defaults: trades, a liquidation where it has
any, and mark prices or funding. The numbers are made.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from kit.frames import T0, frames_of, marker
from kit.records import Record

from recorder.clock import NS
from recorder.feeds import feed

AT = T0 // 1_000_000  # ms


def _binance() -> list[Any]:
    mark = {"e": "markPriceUpdate", "E": AT, "i": "82390.5", "P": "82400.0", "r": "0.00010000",
            "T": AT + 3_600_000, "ap": "82391.0", "st": 1}  # fmt: skip
    order = {"s": "BTCUSDT", "S": "SELL", "o": "LIMIT", "f": "IOC", "q": "0.190", "p": "82338.30",
             "ap": "82351.90", "X": "FILLED", "l": "0.190", "z": "0.190", "T": AT, "ps": "BTCUSDT",
             "st": 1}  # fmt: skip
    trade = {"e": "aggTrade", "E": AT, "s": "BTCUSDT", "p": "82395.10", "q": "0.250", "f": 100,
             "l": 101, "T": AT, "st": 1}  # fmt: skip
    return [
        {"stream": "!markPrice@arr", "data": [
            {**mark, "s": "ETHUSDT", "p": "2500.5"}, {**mark, "s": "BTCUSDT", "p": "82391.2"}]},
        {"stream": "btcusdt@aggTrade", "data": {**trade, "a": 1, "m": False}},
        {"stream": "!forceOrder@arr", "data": {"e": "forceOrder", "E": AT + 1000, "o": order}},
        {"stream": "btcusdt@aggTrade", "data": {**trade, "a": 2, "m": True}},
    ]  # fmt: skip


def _bybit() -> list[Any]:
    ticker = {"symbol": "BTCUSDT", "tickDirection": "PlusTick", "lastPrice": "82395.10",
              "markPrice": "82391.20", "indexPrice": "82390.50", "openInterest": "50000",
              "openInterestValue": "4119560000", "fundingRate": "0.0001",
              "nextFundingTime": str(AT + 3_600_000), "fundingIntervalHour": "8",
              "bid1Price": "82395.00", "bid1Size": "1", "ask1Price": "82395.10", "ask1Size": "2",
              "price24hPcnt": "0.01", "highPrice24h": "83000", "lowPrice24h": "81000",
              "prevPrice24h": "81500", "turnover24h": "1", "volume24h": "1",
              "prevPrice1h": "82000"}  # fmt: skip
    trade = {"T": AT, "s": "BTCUSDT", "v": "0.250", "p": "82395.10", "L": "PlusTick", "BT": False}
    return [
        {"topic": "tickers.BTCUSDT", "type": "snapshot", "data": ticker, "cs": 1, "ts": AT},
        {"topic": "publicTrade.BTCUSDT", "type": "snapshot", "ts": AT,
         "data": [{**trade, "i": "t1", "S": "Buy"}]},
        {"topic": "allLiquidation.BTCUSDT", "type": "snapshot", "ts": AT,
         "data": [{"T": AT, "s": "BTCUSDT", "S": "Buy", "v": "0.190", "p": "82338.30"}]},
        {"topic": "publicTrade.BTCUSDT", "type": "snapshot", "ts": AT,
         "data": [{**trade, "i": "t2", "S": "Sell"}]},
    ]  # fmt: skip


def _okx() -> list[Any]:
    swap = "BTC-USDT-SWAP"

    def of(channel: str, **row: Any) -> dict[str, Any]:
        whole = {"instId": swap, "instType": "SWAP", "ts": str(AT), **row}
        return {"arg": {"channel": channel, "instId": swap}, "data": [whole]}

    trade = {"instId": swap, "px": "82395.1", "sz": "25", "ts": str(AT), "count": "1",
             "source": "0", "seqId": 1}  # fmt: skip
    details = [{"bkLoss": "0", "bkPx": "82338.3", "ccy": "", "posSide": "long", "side": "sell",
                "sz": "19", "ts": str(AT)}]  # fmt: skip
    return [
        of("funding-rate", fundingRate="0.0001", fundingTime=str(AT + 3_600_000),
           nextFundingRate="", nextFundingTime=str(AT + 32_400_000), method="current_period"),
        of("mark-price", markPx="82391.2"),
        of("open-interest", oi="5000", oiCcy="50", oiUsd="4119560"),
        {"arg": {"channel": "trades", "instId": swap},
         "data": [{**trade, "tradeId": "1", "side": "buy"}]},
        {"arg": {"channel": "liquidation-orders", "instType": "SWAP"},
         "data": [{"details": details, "instFamily": "BTC-USDT", "instId": swap,
                   "instType": "SWAP", "uly": "BTC-USDT"}]},
        {"arg": {"channel": "trades", "instId": swap},
         "data": [{**trade, "tradeId": "2", "side": "sell"}]},
    ]  # fmt: skip


def _hyperliquid() -> list[Any]:
    trade = {"coin": "BTC", "px": "82395.0", "sz": "0.25", "time": AT, "hash": "0x1",
             "users": ["0xaa", "0xbb"]}  # fmt: skip
    ctx = {"funding": "0.0000125", "openInterest": "36000.5", "prevDayPx": "81000.0",
           "dayNtlVlm": "1.0", "premium": "0.0", "oraclePx": "82390.0", "markPx": "82391.0",
           "midPx": "82391.5", "impactPxs": ["82391.0", "82392.0"],
           "dayBaseVlm": "1.0"}  # fmt: skip
    return [
        {"channel": "activeAssetCtx", "data": {"coin": "BTC", "ctx": ctx}},
        {"channel": "trades", "data": [{**trade, "side": "B", "tid": 1}]},
        {"channel": "trades", "data": [{**trade, "side": "A", "tid": 2}]},
    ]


def _deribit() -> list[Any]:
    name = "BTC-PERPETUAL"

    def of(channel: str, data: Any) -> dict[str, Any]:
        params = {"channel": f"{channel}.{name}.100ms", "data": data}
        return {"jsonrpc": "2.0", "method": "subscription", "params": params}

    trade = {"instrument_name": name, "price": 82395.5, "amount": 2500.0, "timestamp": AT,
             "index_price": 82390.5, "mark_price": 82391.2, "tick_direction": 0,
             "contracts": 250.0}  # fmt: skip
    ticker = {"instrument_name": name, "timestamp": AT, "state": "open", "mark_price": 82391.2,
              "last_price": 82395.5, "index_price": 82390.5, "open_interest": 1000000,
              "funding_8h": 0.0001, "current_funding": 0.0002, "best_bid_price": 82395.0,
              "best_bid_amount": 10.0, "best_ask_price": 82395.5, "best_ask_amount": 10.0,
              "min_price": 1.0, "max_price": 9e5, "settlement_price": 82000.0,
              "estimated_delivery_price": 82390.5, "interest_value": 0.1,
              "stats": {"volume": 1.0, "price_change": 1.0, "low": 1.0, "high": 2.0,
                        "volume_usd": 1.0}}  # fmt: skip
    first = {**trade, "trade_id": "1", "trade_seq": 1, "direction": "buy"}
    second = {**trade, "trade_id": "2", "trade_seq": 2, "direction": "sell", "liquidation": "T"}
    return [of("ticker", ticker), of("trades", [first]), of("trades", [second])]


def _bitmex() -> list[Any]:
    trade = {"timestamp": "2026-09-21T14:13:20.000Z", "symbol": "XBTUSD", "size": 2500,
             "price": 82395.5, "tickDirection": "PlusTick", "grossValue": 3034154,
             "homeNotional": 0.03, "foreignNotional": 2500, "trdType": "Regular"}  # fmt: skip

    def of(table: str, *rows: dict[str, Any]) -> dict[str, Any]:
        return {"table": table, "action": "insert", "data": rows}

    return [
        of("trade", {**trade, "side": "Buy", "trdMatchID": "1"}),
        of("liquidation",
           {"orderID": "a", "symbol": "ETHUSD", "side": "Buy", "price": 2500.5, "leavesQty": 7},
           {"orderID": "b", "symbol": "XBTUSD", "side": "Sell", "price": 82338.5,
            "leavesQty": 1900}),
        of("trade", {**trade, "side": "Sell", "trdMatchID": "2"}),
    ]  # fmt: skip


FRAMES = {
    "binance": _binance,
    "bybit": _bybit,
    "okx": _okx,
    "hyperliquid": _hyperliquid,
    "deribit": _deribit,
    "bitmex": _bitmex,
}


def record(root: Path, kind: str) -> None:
    """Write the default recording of a venue."""
    channels = feed(kind).default_channels
    opened = marker(0, "open", T0 - NS, group="all", line="A", channels=list(channels))
    payloads = [json.dumps(frame, separators=(",", ":")) for frame in FRAMES[kind]()]
    Record(root).seal(kind, [opened, *frames_of(payloads, first_seq=1)])

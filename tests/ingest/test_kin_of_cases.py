"""Inputs of the same kinds as those that once became wrong numbers: other venues, fields, symbols.

`test_cases` holds the first of each kind. All frames of a feed are one record here.
"""

from __future__ import annotations

import json
from typing import Any

from kit.frames import CONNECTION, MS, T0, frames_of, marker
from kit.rows import Bench

NOW = T0 // MS


def took(bench: Bench, feed: str, *payloads: Any, whale_usd: float = 1.0) -> None:
    opened = marker(0, "open", T0 - 10_000 * MS, CONNECTION, line="A", group="g")
    texts = [json.dumps(one) for one in payloads]
    bench.take(feed, [opened, *frames_of(texts, first_seq=1)], whale_usd=whale_usd)


def sized(bench: Bench) -> dict[str, tuple[Any, ...]]:
    rows = bench.rows("prices", "symbol", "quantity", "quantity_unit", "notional_usd")
    return {symbol: (quantity, unit, dollars) for symbol, quantity, unit, dollars in rows}


# -- units: the symbol's form says them, or nothing does


def test_binance_symbols_without_a_list(bench: Bench) -> None:
    expected = {
        "DOGEUSD_PERP": (2.0, "contracts", None),
        "ADAUSD_261225": (2.0, "contracts", None),
        "BTC-261225-60000-C": (2.0, "contracts", None),
        "DOGE-261225-0.5-P": (2.0, "contracts", None),
        "BTCUSDC_261225": (2.0, "base", 20.0),
        "BTCTUSD": (2.0, "base", 20.0),
        "BTCFDUSD": (2.0, "base", 20.0),
        "USDTTRY": (2.0, "base", None),
        "BTCU": (2.0, "base", None),
    }
    trades = [
        {"e": "aggTrade", "E": NOW, "a": 1, "s": symbol, "p": "10", "q": "2", "T": NOW, "m": False}
        for symbol in expected
    ]
    took(bench, "binance", *trades)
    assert sized(bench) == expected


def test_bybit_symbols_without_a_list(bench: Bench) -> None:
    expected = {
        "DOTUSD": (0.2, "base", 2.0),
        "BTCUSDH26": (0.2, "base", 2.0),
        "BTCPERP": (2.0, "base", 20.0),
        "BTC-26JUN26": (2.0, "base", 20.0),
        "BTCUSDT-26JUN26": (2.0, "base", 20.0),
        "XRPRLUSD": (2.0, None, None),
        "BTCPYUSD": (2.0, None, None),
        "BTCEUR": (2.0, None, None),
        "BTC-26JUN26-60000-C": (2.0, None, None),
        "BTC-26JUN26-60000-C-USDT": (2.0, None, None),
    }
    frames = [
        {"topic": f"publicTrade.{symbol}", "type": "snapshot", "ts": NOW, "data": [
            {"T": NOW, "s": symbol, "S": "Buy", "v": "2", "p": "10", "i": "1", "BT": False}]}
        for symbol in expected
    ]  # fmt: skip
    ticker = {"symbol": "XRPRLUSD", "openInterest": "7", "openInterestValue": "8"}
    took(bench, "bybit", *frames, {"topic": "tickers.XRPRLUSD", "type": "snapshot", "ts": NOW,
                                   "data": ticker})  # fmt: skip
    assert sized(bench) == expected
    columns = ("open_interest", "open_interest_unit", "open_interest_usd")
    assert bench.rows("open_interest", *columns) == [(7.0, None, None)]


def test_deribit_symbols_without_a_list(bench: Bench) -> None:
    expected = {
        "ETH-PERPETUAL": (2.5, "base", 25.0),
        "BTC-27DEC30": (2.5, "base", 25.0),
        "SOL-PERPETUAL": (9.0, "contracts", None),
        "BTC_USDC-27DEC30": (25.0, "base", 250.0),
        "SOL_USDC-27DEC30-100d5-C": (25.0, "base", None),
        "BTC_EURR": (25.0, "base", None),
        "PAXG_USDT": (25.0, "base", 250.0),
        "BTC-FS-27DEC30_PERP": (9.0, "contracts", None),
        "BTC_USDC-FS-27DEC30_PERP": (9.0, "contracts", None),
    }
    took(bench, "deribit", *(deribit(symbol) for symbol in expected))
    assert sized(bench) == expected


def deribit(symbol: str, **more: Any) -> dict[str, Any]:
    trade = {"trade_id": "1", "timestamp": NOW, "price": 10.0, "instrument_name": symbol,
             "direction": "buy", "amount": 25.0, "contracts": 9.0, **more}  # fmt: skip
    channel = f"trades.{symbol}.100ms"
    return {"method": "subscription", "params": {"channel": channel, "data": [trade]}}


def test_okx_symbols_without_a_list(bench: Bench) -> None:
    expected = {
        "BTC-USD-SWAP": (2.0, "contracts", None),
        "BTC-USD_UM_XPERP-310404": (2.0, "contracts", None),
        "BTC-USDT-260925": (2.0, "contracts", None),
        "USDT-USD": (2.0, "base", 20.0),
        "OKB-AUD": (2.0, "base", None),
    }
    frames = [
        {"arg": {"channel": "trades", "instId": symbol}, "data": [
            {"instId": symbol, "tradeId": "1", "px": "10", "sz": "2", "side": "buy",
             "ts": str(NOW)}]}
        for symbol in expected
    ]  # fmt: skip
    took(bench, "okx", *frames)
    assert sized(bench) == expected


def test_bitmex_symbols_without_a_list(bench: Bench) -> None:
    both = {"homeNotional": 0.1, "foreignNotional": 6000}
    given: dict[str, tuple[dict[str, Any], tuple[Any, ...]]] = {
        "XBTEUR": (both, (0.1, "base", None)),
        "XBT_USDT": (both, (0.1, "base", 6000.0)),
        "SOLUSDTZ26": (both, (0.1, "base", 6000.0)),
        "ETHZ26": (both, (0.1, "base", None)),
        "ETHUSD": ({}, (7.0, "contracts", None)),
        "XBTUSD": ({"trdType": "Block"}, (7.0, "contracts", None)),
    }
    rows = [
        {"symbol": symbol, "side": "Buy", "price": 60000, "size": 7, "trdMatchID": symbol,
         "timestamp": "2026-09-21T14:13:20.000Z", **more}
        for symbol, (more, _) in given.items()
    ]  # fmt: skip
    took(bench, "bitmex", {"table": "trade", "action": "insert", "data": rows})
    assert sized(bench) == {symbol: right for symbol, (_, right) in given.items()}
    marked = bench.rows("prices", "symbol", "off_book")
    assert [symbol for symbol, off_book in marked if off_book] == ["XBTUSD"]


def test_builders_markets_of_scaled_coins(bench: Bench) -> None:
    coins = {"flx:kPEPE": "PEPE", "hyna:1000PEPE": "PEPE", "kBONK": "BONK", "k": "K",
             "vntl:OPENAI": "OPENAI", "PURR/USDC": "PURR", "@107": None, "#10": None}  # fmt: skip
    trades = [
        {"coin": coin, "side": "A", "px": "2", "sz": "10", "time": NOW, "tid": 1, "hash": "0x1",
         "users": ["0xa", "0xb"]}
        for coin in coins
    ]  # fmt: skip
    took(bench, "hyperliquid", *({"channel": "trades", "data": [one]} for one in trades))
    assert dict(bench.rows("whales", "symbol", "asset")) == coins


# -- off the book


def test_each_mark_of_a_trade_off_the_book_is_enough(bench: Bench) -> None:
    marks: list[dict[str, Any]] = [
        {}, {"block_trade_id": "B-1"}, {"combo_id": "BTC-FS-1"}, {"block_rfq_id": 5},
    ]  # fmt: skip
    took(bench, "deribit", *(deribit("BTC-PERPETUAL", **mark, trade_id=str(at))
                             for at, mark in enumerate(marks)))  # fmt: skip
    assert bench.rows("prices", "off_book") == [(False,), (True,), (True,), (True,)]
    assert bench.rows("whales", "extra") == [
        (None,), ('{"block_trade_id":"B-1"}',), ('{"combo_id":"BTC-FS-1"}',),
        ('{"block_rfq_id":"5"}',),
    ]  # fmt: skip


# -- what a frame says is a row


def test_every_price_that_a_frame_tells_is_a_row(bench: Bench) -> None:
    columns = ("symbol", "kind", "price", "quantity", "event_ns")
    took(
        bench, "binance",
        {"e": "indexPriceUpdate", "E": NOW, "i": "BTCUSD", "p": "60000.1"},
        {"e": "compositeIndex", "E": NOW, "s": "DEFIUSDT", "p": "554.4", "C": "baseAsset"},
        [{"e": "24hrMiniTicker", "E": NOW, "s": "BTCUSDT", "c": "6.5", "o": "1"},
         {"e": "24hrTicker", "E": NOW, "s": "ETHUSDT", "c": "7.5", "p": "1.5"}],
        {"e": "24hrTicker", "E": NOW, "s": "ETHUSDT", "p": "1.5"},
    )  # fmt: skip
    assert bench.rows("prices", *columns) == [
        ("BTCUSD", "index", 60000.1, None, T0),
        ("DEFIUSDT", "index", 554.4, None, T0),
        ("BTCUSDT", "last", 6.5, None, T0),
        ("ETHUSDT", "last", 7.5, None, T0),
    ]
    assert bench.rows("rejects", "reason") == [
        ("24hrTicker without a symbol, or without a number as price",)
    ]
    index = {"timestamp": NOW, "price": 60000.5, "index_name": "btc_usd"}
    took(bench, "deribit", {"method": "subscription", "params": {
        "channel": "deribit_price_index.btc_usd", "data": index}})  # fmt: skip
    assert bench.rows("prices", *columns) == [("btc_usd", "index", 60000.5, None, T0)]
    took(bench, "hyperliquid", {"channel": "allMids", "data": {"mids": {"BTC": "6", "@1": "7"}}})
    assert bench.rows("prices", *columns) == [
        ("BTC", "mid", 6.0, None, None), ("@1", "mid", 7.0, None, None),
    ]  # fmt: skip


def test_a_dated_future_has_no_rate_and_no_interval(bench: Bench) -> None:
    frame = {"e": "markPriceUpdate", "E": NOW, "s": "BTCUSDT_261225", "p": "60000", "i": "60000",
             "r": "", "T": 0}  # fmt: skip
    took(bench, "binance", frame)
    assert bench.rows("funding", "rate", "interval_hours", "next_funding_ns") == [
        (None, None, None)
    ]

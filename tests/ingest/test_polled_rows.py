"""Polled answers make rows by their feed's SQL: Binance's open interest, column by column."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from kit.frames import CONNECTION, MS, T0, frames_of, marker
from kit.records import Record

from recorder.errors import ConfigError
from recorder.feed import Options
from recorder.feeds import feed
from recorder.frame import Frame

USD_M = '{"openInterest":"10659.509","symbol":"BTCUSDT","time":1589437530011}'
COIN_M = (
    '{"symbol":"BTCUSD_PERP","pair":"BTCUSD","openInterest":"15004",'
    '"contractType":"PERPETUAL","time":1591261042378}'
)
LIST = {
    "exchange": "binance",
    "instruments": [
        {"symbol": "BTCUSD_PERP", "contract_size": 100.0, "contract_unit": "usd", "base": "BTC"}
    ],
}


def _recorded() -> list[Frame]:
    opened = marker(0, "open", T0, line="A", group="open interest", every=60)
    bodies = [USD_M, COIN_M, '{"code":-1121,"msg":"Invalid symbol."}', "not JSON"]
    answers = [
        one
        for n, body in enumerate(bodies)
        for one in (
            marker(2 * n + 1, "answer", T0 + n * MS, status=200, asked_ns=T0),
            *frames_of([body], kind="polled", first_seq=2 * n + 2, recv_ns=T0 + n * MS),
        )
    ]
    listed = Frame(T0 - MS, 0, 0, CONNECTION[:-1] + "0", "instruments", json.dumps(LIST).encode())
    return [listed, opened, *answers]


def test_open_interest_is_in_coins_or_contracts_and_what_is_neither_is_rejected(
    tmp_path: Path,
) -> None:
    record = Record(tmp_path)
    record.take("binance", _recorded())
    columns = ("channel", "symbol", "event_ns", "seq", "open_interest", "open_interest_unit",
               "open_interest_usd", "backfill", "extra")  # fmt: skip
    assert record.rows("open_interest", *columns) == [
        ("btcusdt@openInterest", "BTCUSDT", 1_589_437_530_011 * MS, 2, 10659.509, "base", None,
         False, None),
        ("btcusd_perp@openInterest", "BTCUSD_PERP", 1_591_261_042_378 * MS, 4, 15004.0,
         "contracts", 1_500_400.0, False, '{"pair":"BTCUSD","contractType":"PERPETUAL"}'),
    ]  # fmt: skip
    assert record.sql("SELECT seq, reason FROM rejects ORDER BY seq") == [
        (6, "a polled answer without a symbol, or without its open interest"),
        (8, "not JSON"),
    ]
    assert record.sql("SELECT frames, line_group FROM connections") == [(4, "open interest")]


def test_the_channel_is_polled_at_the_place_of_its_symbol_and_nothing_else_is() -> None:
    channels = ("btcusdt@openInterest", "btcusd_perp@openInterest", "btcusdt@aggTrade")
    trades, polled = feed("binance").plan(Options("binance", channels=channels))
    assert (trades.every, trades.channels) == (None, ("btcusdt@aggTrade",))
    assert (polled.every, polled.urls) == (
        60.0,
        (
            "https://fapi.binance.com/fapi/v1/openInterest?symbol=BTCUSDT",
            "https://dapi.binance.com/dapi/v1/openInterest?symbol=BTCUSD_PERP",
        ),
    )


def test_many_symbols_stay_within_the_weight_of_an_address() -> None:
    channels = tuple(f"s{n}usdt@openInterest" for n in range(900))
    (polled,) = feed("binance").plan(Options("binance", channels=channels))
    assert polled.every is not None
    assert len(polled.urls) / polled.every * 60 <= 2400 / 4


def test_the_spot_market_has_none() -> None:
    options = Options(
        "binance", url="wss://stream.binance.com:9443", channels=("btcusdt@openInterest",)
    )
    with pytest.raises(ConfigError, match="not a channel"):
        feed("binance").plan(options)

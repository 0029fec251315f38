"""Inputs that once became wrong numbers, and the rows that are right; each is one of a kind."""

from __future__ import annotations

import json
from typing import Any

import pytest
from kit.frames import CONNECTION, MS, T0, frames_of, marker
from kit.recordings import lines
from kit.rows import Bench

from recorder.frame import Frame

HOUR_MS = 3_600_000
NOW = T0 // MS
LISTED_BTC = {"symbol": "BTCUSD_PERP", "contract_size": 100.0, "contract_unit": "usd"}


def took(bench: Bench, feed: str, *payloads: Any, instruments: Any = (), **more: Any) -> None:
    """Ingest frames of a connection, after the venue's list if one is given."""
    frames: list[Frame] = []
    if instruments:
        told = [{"name": one["symbol"], **one} for one in instruments]
        frames.append(marker(0, "instruments", T0 - MS, "list", exchange=feed, instruments=told))
    frames.append(marker(0, "open", T0 - 10_000 * MS, CONNECTION, line="A", group="g"))
    texts = [one if isinstance(one, str) else json.dumps(one) for one in payloads]
    bench.take(feed, [*frames, *frames_of(texts, first_seq=1)], **more)


def forced(symbol: str, **more: Any) -> dict[str, Any]:
    order = {"s": symbol, "S": "SELL", "q": "50", "p": "60000.0", "ap": "60100.0", "X": "FILLED",
             "z": "50", "T": NOW - 100, **more}  # fmt: skip
    return {"e": "forceOrder", "E": NOW, "o": order}


def traded(symbol: str, quantity: str = "2000", **more: Any) -> dict[str, Any]:
    return {"e": "aggTrade", "E": NOW, "a": 1, "s": symbol, "p": "60000", "q": quantity,
            "T": NOW - 10, "m": False, **more}  # fmt: skip


LIQUIDATED = ("quantity", "quantity_unit", "notional_usd")
SIZED = ("quantity", "quantity_unit", "notional_usd")


# -- units


@pytest.mark.parametrize("st", [{}, {"st": 2}])
def test_coin_margined_sizes_are_contracts_with_and_without_st(bench: Bench, st: Any) -> None:
    frames = [forced("BTCUSD_PERP", **st), traded("BTCUSD_PERP", **st)]
    took(bench, "binance", *frames, instruments=[LISTED_BTC])
    assert bench.rows("liquidations", *LIQUIDATED) == [(50.0, "contracts", 5000.0)]
    assert bench.rows("prices", *SIZED) == [(pytest.approx(10 / 3), "base", 200_000.0)]
    took(bench, "binance", *frames, whale_usd=1.0)
    assert bench.rows("liquidations", *LIQUIDATED) == [(50.0, "contracts", None)]
    assert bench.rows("prices", *SIZED) == [(2000.0, "contracts", None)]
    assert bench.rows("whales", "seq") == []


@pytest.mark.parametrize(
    ("symbol", "unit", "dollars"),
    [
        ("ETHUSD_260925", "contracts", None),
        ("BTCUSDT_260925", "base", 120_000_000.0),
        ("BTCUSDT", "base", 120_000_000.0),
        ("牛来USDT", "base", 120_000_000.0),
        ("ETHBTC", "base", None),
        ("ODD_THING", None, None),
    ],
)
def test_without_a_list_the_symbol_says_the_unit(
    bench: Bench, symbol: str, unit: str | None, dollars: float | None
) -> None:
    took(bench, "binance", traded(symbol))
    assert bench.rows("prices", *SIZED) == [(2000.0, unit, dollars)]


def test_an_order_that_is_not_filled_has_its_limit_and_its_size(bench: Bench) -> None:
    took(bench, "binance", forced("BTCUSDT", X="NEW", ap="0", z="0", q="0.5"))
    assert bench.rows("liquidations", "price", "price_kind", *LIQUIDATED) == [
        (60000.0, "limit", 0.5, "base", 30_000.0)
    ]


def okx(symbol: str, **more: Any) -> dict[str, Any]:
    trade = {"instId": symbol, "tradeId": "1", "px": "60000", "sz": "2", "side": "buy",
             "ts": str(NOW), **more}  # fmt: skip
    return {"arg": {"channel": "trades", "instId": symbol}, "data": [trade]}


@pytest.mark.parametrize(
    ("symbol", "unit", "dollars"),
    [
        ("BTC-EUR", "base", None),
        ("ETH-BTC", "base", None),
        ("BTC-USDT", "base", 120_000.0),
        ("BTC-USDT-SWAP", "contracts", None),
        ("BTC-USD-261225-60000-C", "contracts", None),
        ("BTC", None, None),
    ],
)
def test_sizes_of_pairs_are_coins_and_others_wait_for_the_list(
    bench: Bench, symbol: str, unit: str | None, dollars: float | None
) -> None:
    took(bench, "okx", okx(symbol))
    assert bench.rows("prices", *SIZED) == [(2.0, unit, dollars)]


def test_a_liquidation_on_margin_is_worth_its_coins(bench: Bench) -> None:
    detail = {"bkPx": "60000", "posSide": "net", "side": "sell", "sz": "1.5", "ts": str(NOW)}
    data = {"instId": "BTC-USDT", "instType": "MARGIN", "uly": "BTC-USDT", "details": [detail]}
    arg = {"channel": "liquidation-orders", "instType": "MARGIN"}
    took(bench, "okx", {"arg": arg, "data": [data]})
    assert bench.rows("liquidations", *LIQUIDATED) == [(1.5, "base", 90_000.0)]


def deribit(symbol: str, **more: Any) -> dict[str, Any]:
    trade = {"trade_id": "1", "timestamp": NOW, "price": 60000.0, "instrument_name": symbol,
             "direction": "buy", "amount": 2.5, "contracts": 25000.0, **more}  # fmt: skip
    channel = f"trades.{symbol}.100ms"
    return {"method": "subscription", "params": {"channel": channel, "data": [trade]}}


@pytest.mark.parametrize(
    ("symbol", "expected"),
    [
        ("BTC_USDC", (2.5, "base", 150_000.0)),
        ("ETH_BTC", (2.5, "base", None)),
        ("BTC_USDC-PERPETUAL", (2.5, "base", 150_000.0)),
        ("BTC-25DEC26-90000-C", (2.5, "base", None)),  # its price is in bitcoin
        ("BTC-PERPETUAL", (2.5 / 60000, "base", 2.5)),
        ("XRP-PERPETUAL", (25000.0, "contracts", None)),
    ],
)
def test_a_spelling_says_what_an_amount_is(bench: Bench, symbol: str, expected: Any) -> None:
    took(bench, "deribit", deribit(symbol))
    assert bench.rows("prices", *SIZED) == [pytest.approx(expected)]


def test_a_trade_that_was_no_liquidation_is_none(bench: Bench) -> None:
    took(bench, "deribit", deribit("BTC-PERPETUAL", liquidation="none"))
    assert bench.rows("liquidations", "seq") == []


# -- the interval of a rate


def rate(symbol: str = "BTCUSDT", **more: Any) -> dict[str, Any]:
    return {"e": "markPriceUpdate", "E": NOW, "s": symbol, "p": "60000", "i": "60000",
            "r": "0.0008", "T": NOW + HOUR_MS, **more}  # fmt: skip


def test_a_listed_contract_without_an_interval_has_the_venue_s_default(bench: Bench) -> None:
    listed = [
        {"symbol": "BTCUSDT", "contract_size": 1.0, "contract_unit": "base"},
        {"symbol": "XUSDT", "contract_unit": "base", "funding_interval_hours": 4.0},
        LISTED_BTC,
    ]
    took(bench, "binance", rate(), rate("XUSDT"), rate("BTCUSD_PERP"), rate("NEWUSDT"),
         instruments=listed)  # fmt: skip
    assert bench.rows("funding", "interval_hours", "extra") == [
        (8.0, '{"interval_hours": "default"}'),
        (4.0, None),
        (None, None),
        (None, None),
    ]


@pytest.mark.parametrize(
    ("times", "hours"),
    [
        ({"prevFundingTime": -7, "fundingTime": 1, "nextFundingTime": 5}, 8.0),
        ({"prevFundingTime": -1, "fundingTime": 1, "nextFundingTime": 5}, 2.0),
        ({"fundingTime": 1, "nextFundingTime": 5}, 4.0),
        ({"prevFundingTime": -7, "fundingTime": 1}, 8.0),
        ({"fundingTime": 1}, None),
    ],
)
def test_a_rate_s_interval_ends_when_it_is_exchanged(
    bench: Bench, times: dict[str, int], hours: float | None
) -> None:
    data = {"instId": "SKL-USDT-SWAP", "fundingRate": "-0.0075", "ts": str(NOW)}
    data |= {name: str(NOW + at * HOUR_MS) for name, at in times.items()}
    took(bench, "okx", {"arg": {"channel": "funding-rate"}, "data": [data]})
    assert bench.rows("funding", "interval_hours") == [(hours,)]


# -- trades off the book


@pytest.mark.parametrize(
    ("feed", "payload", "off_book"),
    [
        ("deribit", deribit("BTC-PERPETUAL", block_trade_id="B-1"), True),
        ("deribit", deribit("BTC-PERPETUAL"), False),
        ("okx", okx("BTC-USDT"), False),
        ("binance", traded("BTCUSDT"), False),
        ("binance", traded("BTCUSDT", e="trade", t=1, X="INSURANCE_FUND"), True),
        ("binance", traded("BTCUSDT", e="trade", t=1, X="MARKET"), False),
        ("binance", traded("BTCUSDT", e="trade", t=1), None),  # old frames do not say it
    ],
)
def test_a_trade_off_the_book_is_marked(
    bench: Bench, feed: str, payload: Any, off_book: bool | None
) -> None:
    took(bench, feed, payload)
    assert bench.rows("prices", "off_book") == [(off_book,)]


# -- names


def test_the_list_names_the_asset(bench: Bench) -> None:
    listed = [
        {"symbol": "BTCU", "base": "BTC", "quote": "U", "kind": "spot", "contract_size": 1.0,
         "contract_unit": "base"},
        {"symbol": "1000PEPEUSDT", "base": "1000PEPE", "quote": "USDT"},
        {"symbol": "ETHBTC", "base": "ETH", "quote": "BTC", "contract_unit": "base"},
    ]  # fmt: skip
    took(bench, "binance", traded("BTCU"), traded("1000PEPEUSDT"), traded("ETHBTC"),
         instruments=listed)  # fmt: skip
    assert bench.rows("whales", "symbol", "asset", "notional_usd") == [
        ("BTCU", "BTC", 120_000_000.0),
        ("1000PEPEUSDT", "PEPE", 120_000_000.0),
    ]
    columns = ("symbol", "base", "quote", "multiplier")
    assert bench.sql(f"SELECT {', '.join(columns)} FROM instruments ORDER BY item") == [
        ("BTCU", "BTC", "U", 1.0),
        ("1000PEPEUSDT", "PEPE", "USDT", 1000.0),
        ("ETHBTC", "ETH", "BTC", 1.0),
    ]


def test_a_blank_announcement_is_a_latency_and_no_listing(bench: Bench) -> None:
    blank = {"type": "announcement", "title": "Upgrade to read it", "ticker": "",
             "listingType": "spot_listing", "detectedTimestampUs": (NOW - 5) * 1000,
             "dispatchTimestampUs": (NOW - 4) * 1000}  # fmt: skip
    whole = {**blank, "title": "t", "ticker": "AAA\uff0cBBB, AAA"}
    took(bench, "cryptolisting", blank, whole)
    assert bench.rows("latency", "seq", "network_ns") == [(1, 4 * MS), (2, 5 * MS)]
    assert bench.rows("listings", "seq", "ticker") == [(2, "AAA"), (2, "BBB")]


# -- recorded by others


def test_a_recording_of_coin_margined_trades_has_no_false_whales(bench: Bench) -> None:
    recorded = [
        (int(float(at) * 10**9), payload)
        for at, _, payload in (
            line.partition(b": ")
            for line in lines("binance_coinm/cryptofeed_BINANCE_DELIVERY.ws.1.0")
        )
        if payload.startswith(b"{") and b'"aggTrade"' in payload
    ]
    symbols = {json.loads(payload)["data"]["s"] for _, payload in recorded}
    facts = [
        {"symbol": name, "name": name, "contract_unit": "usd",
         "contract_size": 100.0 if name.startswith("BTC") else 10.0}
        for name in symbols
    ]  # fmt: skip
    contracts = sum(float(json.loads(payload)["data"]["q"]) for _, payload in recorded)
    worth = sum(
        float(trade["q"]) * (100 if trade["s"].startswith("BTC") else 10)
        for trade in (json.loads(payload)["data"] for _, payload in recorded)
    )
    first = recorded[0][0] - 1
    told = marker(0, "instruments", first, "list", exchange="binance", instruments=facts)
    texts = [payload for _, payload in recorded]
    frames = frames_of(texts, recv_ns=[at for at, _ in recorded])
    query = (
        "SELECT quantity_unit, round(sum(quantity), 3), sum(notional_usd) FROM prices GROUP BY 1"
    )
    bench.take("binance", frames)
    assert bench.sql(query) == [("contracts", contracts, None)]
    bench.take("binance", [told, *frames])
    [(unit, _, dollars)] = bench.sql(query)
    assert (unit, dollars) == ("base", pytest.approx(worth))
    assert bench.rows("whales", "seq") == []
    assert len(recorded) > 40

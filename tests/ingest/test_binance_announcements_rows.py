"""What Binance announces ends as the right rows, column by column."""

from __future__ import annotations

import json
from typing import Any

import pytest
from kit.frames import CONNECTION, MS, T0, frames_of, marker
from kit.rows import Bench

PUBLISHED_MS = T0 // MS + 1_403


def announced(title: object, catalogue: object = 48, **more: object) -> str:
    """A frame with an announcement, which is JSON inside a text."""
    inner = {
        "catalogId": catalogue,
        "catalogName": "New Cryptocurrency Listing" if catalogue == 48 else "Delisting",
        "publishDate": PUBLISHED_MS,
        "title": title,
        "body": "This is a general announcement. <p>(BODY)</p>",
        "disclaimer": "Trade on-the-go with Binance's crypto trading app (iOS/Android)",
        **more,
    }
    return json.dumps({"type": "DATA", "topic": "com_announcement_en", "data": json.dumps(inner)})


LISTED = announced(
    "Binance Will List Lorenzo Protocol (BANK) and Meteora (MET) with Seed Tag Applied"
)
DELISTED = announced("Binance Will Delist ALPHA, BSW and LTO on 2026-10-04", 161)
PAIRS = announced("Notice of Removal of Spot Trading Pairs - 2026-09-25", 161)
ACK = '{"type":"COMMAND","data":"SUCCESS","subType":"SUBSCRIBE","code":"00000000"}'
REFUSED = '{"code":-2015,"msg":"Invalid API-key, IP, or permissions for action."}'
FRAMES = [LISTED, DELISTED, PAIRS, ACK, REFUSED]

LISTING = (
    "channel", "exchange", "symbol", "event_ns", "connection", "seq", "item", "publisher", "ticker",
    "listing_type", "title", "url", "publish_ns", "detected_ns", "dispatch_ns", "abnormal_latency",
    "backfill", "extra",
)  # fmt: skip
WHERE = '{"catalogId":48,"catalogName":"New Cryptocurrency Listing"}'


def take(bench: Bench, *payloads: str | bytes) -> None:
    opened = marker(0, "open", T0, CONNECTION, line="A", group="announcements", url="wss://x/")
    frames = frames_of(payloads, first_seq=1, recv_ns=(PUBLISHED_MS + 40) * MS)
    bench.take("binance_announcements", [opened, *frames])


def found(bench: Bench, title: str, catalogue: int) -> list[tuple[Any, ...]]:
    take(bench, announced(title, catalogue))
    return bench.rows("listings", "ticker", "listing_type")


def test_a_listing_of_two_coins_is_two_rows_and_one_latency(bench: Bench) -> None:
    take(bench, LISTED)
    at = PUBLISHED_MS * MS
    title = json.loads(json.loads(LISTED)["data"])["title"]
    assert bench.rows("listings", *LISTING) == [
        (
            *("com_announcement_en", "binance", ticker, at, CONNECTION, 1, item, "binance", ticker),
            *("spot_listing", title, None, at, None, None, None, False, WHERE),
        )
        for item, ticker in enumerate(["BANK", "MET"])
    ]
    columns = ("channel", "publish_ns", "event_ns", "total_ns", "network_ns", "backfill", "line")
    assert bench.rows("latency", *columns) == [
        ("com_announcement_en", at, at, 40 * MS, None, False, "A")
    ]


@pytest.mark.parametrize(
    ("title", "catalogue", "expected"),
    [
        ("Binance Will List Optimism (OP)", 48, [("OP", "spot_listing")]),
        ("Binance Will List 1000SATS (1000SATS)", 48, [("1000SATS", "spot_listing")]),
        ("Binance Will List A (AAA) on 2026-10-01 12:00 (UTC), Pairs (3), A (AAA)", 48,
         [("AAA", "spot_listing")]),
        ("Introducing Fuel (FUEL) on Binance HODLer Airdrops!", 48, [("FUEL", "hodler_airdrop")]),
        ("Binance Will Add Foo (FOO) on Earn, Buy Crypto, Convert, Margin & Futures", 48,
         [("FOO", None)]),
        ("Binance Futures Will Launch USDⓈ-Margined BANKUSDT and METUSDT Perpetual Contract (2026)",
         48, [("BANK", "futures_listing"), ("MET", "futures_listing")]),
        ("Binance Will Delist ALPHA, BSW and LTO on 2026-10-04", 161,
         [("ALPHA", "spot_delisting"), ("BSW", "spot_delisting"), ("LTO", "spot_delisting")]),
        ("Binance Will Delist some coins on 2026-10-04", 161, [(None, "spot_delisting")]),
        ("Binance Futures Will Delist USDⓈ-M AGIXUSDT Perpetual Contract", 161,
         [("AGIX", "futures_delisting")]),
        ("Notice of Removal of Spot Trading Pairs - 2026-09-25", 161, [(None, None)]),
        ("Binance Will Delist Foo (FOO)", 49, [(None, None)]),  # in another catalogue
        ("Binance Completes Integration of Foo (FOO)", 49, [(None, None)]),
        ("binance will list (foo)", 48, [(None, None)]),
    ],
)  # fmt: skip
def test_a_type_and_tickers_are_read_where_a_title_is_of_a_known_form(
    bench: Bench, title: str, catalogue: int, expected: list[tuple[Any, ...]]
) -> None:
    assert found(bench, title, catalogue) == expected


def test_a_catalogue_may_be_told_as_text_and_data_as_an_object(bench: Bench) -> None:
    loose = json.loads(announced("Binance Will List Optimism (OP)", "48"))
    take(bench, json.dumps(loose), json.dumps({**loose, "data": json.loads(loose["data"])}))
    assert bench.rows("listings", "ticker", "listing_type") == [("OP", "spot_listing")] * 2


def test_an_announcement_from_before_the_connection_is_a_past_one(bench: Bench) -> None:
    take(bench, announced("Binance Will List Optimism (OP)", publishDate=PUBLISHED_MS - 5_000))
    assert bench.rows("listings", "backfill") == [(True,)]
    assert bench.rows("latency", "backfill") == [(True,)]


def test_times_and_catalogues_that_are_none_are_null(bench: Bench) -> None:
    take(bench, announced("Binance Will List Optimism (OP)", None, publishDate=""))
    columns = ("ticker", "listing_type", "publish_ns", "event_ns", "backfill")
    assert bench.rows("listings", *columns) == [(None, None, None, None, False)]
    assert bench.rows("latency", "seq") == []


def test_a_field_of_tomorrow_is_kept(bench: Bench) -> None:
    take(bench, announced("Binance Will List Optimism (OP)", articleId="280400"))
    [(extra,)] = bench.rows("listings", "extra")
    assert json.loads(extra) == {**json.loads(WHERE), "articleId": "280400"}


def test_answers_are_no_announcements(bench: Bench) -> None:
    take(bench, ACK, ACK.replace("SUCCESS", "FAIL"), REFUSED, '{"error":"x"}')
    assert bench.places() == {}


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        ("{}", "a message without a type"),
        ('{"type":"NEWS","data":"{}"}', "unknown message type NEWS"),
        ('{"type":"DATA"}', "an announcement whose data is not a JSON object"),
        ('{"type":"DATA","data":"{"}', "an announcement whose data is not a JSON object"),
        ('{"type":"DATA","data":"[1]"}', "an announcement whose data is not a JSON object"),
        ('{"type":"DATA","data":"{\\"title\\":\\"\\\\ud800\\"}"}',
         "an announcement whose data is not a JSON object"),
        ('{"type":"DATA","data":7}', "an announcement whose data is not a JSON object"),
        (announced(None), "an announcement without a title"),
        (announced("  "), "an announcement without a title"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_rejected_with_a_reason(bench: Bench, payload: str, reason: str) -> None:
    take(bench, payload)
    assert bench.rows("rejects", "reason") == [(reason,)]
    assert bench.places() == {1: ["rejects"]}


def test_data_cut_anywhere_are_a_row_or_a_reject(bench: Bench) -> None:
    whole = json.loads(LISTED)
    cuts = [json.dumps({**whole, "data": whole["data"][:n]}) for n in range(len(whole["data"]) + 1)]
    odd = [json.dumps({**whole, "data": whole["data"][:n] + "\x00\\ud8"}) for n in range(0, 300, 7)]
    take(bench, *cuts, *odd)
    places = bench.places()
    assert places.pop(len(cuts)) == ["latency", "listings"]
    assert set(places) == set(range(1, len(cuts) + len(odd) + 1)) - {len(cuts)}
    assert all(names == ["rejects"] for names in places.values())

"""What Tree of Alpha sends ends as the right rows, column by column."""

from __future__ import annotations

import json
from typing import Any

import pytest
from kit.frames import CONNECTION, MS, T0, frames_of, marker
from kit.rows import Bench

FOUND_MS = T0 // MS + 1_139


def news(**fields: object) -> str:
    """A frame with one news item."""
    return json.dumps({"time": FOUND_MS, "_id": f"{FOUND_MS - 1}CLCUIAAtBAoA", **fields})


SUGGESTED = [
    {"coin": "BNB", "found": ["Binance"], "symbols": [{"exchange": "binance", "symbol": "BNBUSDT"}]}
]
LISTED = news(
    title="Binance Will List Lorenzo Protocol (BANK) and Meteora (MET) with Seed Tag Applied",
    source="Binance EN",
    url="https://www.binance.com/en/support/announcement/1",
    suggestions=SUGGESTED,
)
BLOG = news(
    title="COINDESK: Lido Considers Using Its ARB Airdrop to Boost Activity on Arbitrum",
    source="Blogs",
    url="https://www.coindesk.com/1",
    symbols=["ARB_USDT"],
    delay=5000,
)
TWEET = news(
    title="AirDAO (@airdao_io)",
    body="Learn more about the collaboration",
    link="https://twitter.com/airdao_io/status/1",
    type="direct",
    coin="AMB",
    info={"twitterId": "1", "isReply": False},
)
UPBIT = news(
    title="[거래] 아비트럼(ARB) 신규 거래지원 안내 (KRW, BTC, USDT 마켓)",
    en="[Trade] Market Support for Arbitrum(ARB) (KRW, BTC, USDT Market)",
    source="Upbit",
)
USER = '{"user":{"username":"someone","level":3}}'
FRAMES = [LISTED, BLOG, TWEET, UPBIT, USER]

LISTING = (
    "channel", "exchange", "symbol", "event_ns", "connection", "seq", "item", "publisher", "ticker",
    "listing_type", "title", "url", "publish_ns", "detected_ns", "dispatch_ns", "backfill",
)  # fmt: skip
ALERT = (
    "channel", "exchange", "symbol", "event_ns", "seq", "item", "alert_type", "severity", "title",
    "message", "backfill",
)  # fmt: skip


def take(bench: Bench, *payloads: str | bytes) -> None:
    opened = marker(0, "open", T0, CONNECTION, line="A", group="news", url="wss://x/")
    frames = frames_of(payloads, first_seq=1, recv_ns=(FOUND_MS + 40) * MS)
    bench.take("treeofalpha", [opened, *frames])


def test_an_exchange_s_listing_is_a_row_per_ticker_that_its_title_names(bench: Bench) -> None:
    take(bench, LISTED)
    at, told = FOUND_MS * MS, json.loads(LISTED)
    assert bench.rows("listings", *LISTING) == [
        (
            *("news", "binance", ticker, at, CONNECTION, 1, item, "Binance EN", ticker),
            *("spot_listing", told["title"], told["url"], None, at, None, False),
        )
        for item, ticker in enumerate(["BANK", "MET"])
    ]
    [(extra,), _] = bench.rows("listings", "extra")  # what the service guessed is no ticker
    assert json.loads(extra) == {"_id": told["_id"], "suggestions": SUGGESTED}
    columns = ("channel", "exchange", "detected_ns", "event_ns", "total_ns", "backfill")
    assert bench.rows("latency", *columns) == [("news", "binance", at, at, 40 * MS, False)]


def test_any_other_news_is_an_alert_and_nothing_is_lost(bench: Bench) -> None:
    take(bench, BLOG, TWEET)
    at, blog, tweet = FOUND_MS * MS, json.loads(BLOG), json.loads(TWEET)
    assert bench.rows("alerts", *ALERT) == [
        ("news", None, None, at, 1, 0, "Blogs", None, blog["title"], None, False),
        ("news", None, "AMB", at, 2, 0, "direct", None, tweet["title"], tweet["body"], False),
    ]
    kept = [json.loads(extra) for (extra,) in bench.rows("alerts", "extra")]
    assert kept == [
        {name: blog[name] for name in ("_id", "url", "symbols", "delay")},
        {name: tweet[name] for name in ("_id", "link", "type", "info")},
    ]
    assert bench.rows("listings", "seq") == []


@pytest.mark.parametrize(
    ("source", "title", "expected"),
    [
        ("Binance EN", "Binance Will Delist ALPHA, BSW on 2026-10-04",
         [("ALPHA", "spot_delisting"), ("BSW", "spot_delisting")]),
        ("Binance EN", "Binance Futures Will Launch USDⓈ-M MEMEUSDT Perpetual Contract With 50x",
         [("MEME", "futures_listing")]),
        ("Binance EN", "Binance Futures Will Launch USDⓈ-M MEME Perpetual Contract With 50x",
         [("MEME", "futures_listing")]),
        ("Upbit", "스팀(STEEM) 거래지원 종료 철회 안내", [("STEEM", None)]),
        ("Binance EN", "Binance Completes Integration of Foo (FOO) Network", [(None, None)]),
        ("binance", "Notice on the Listing of Foo (FOO) on Margin at 08:00 (UTC)", [("FOO", None)]),
        ("Upbit", "[거래] 수이(SUI) KRW 마켓 디지털 자산 추가", [("SUI", "spot_listing")]),
        ("Upbit", "[거래] 세럼(SRM) 거래지원 종료 안내 (11/1 15:00)", [("SRM", "spot_delisting")]),
        ("Bithumb", "[마켓 추가] 펏지펭귄(PENGU) 원화 마켓 추가", [("PENGU", "spot_listing")]),
        ("Coinbase", "Assets added to the roadmap today: Foo (FOO)", [("FOO", None)]),
        ("Kraken", "Maintenance (API)", [(None, None)]),
    ],
)  # fmt: skip
def test_a_type_is_told_only_by_a_title_of_a_known_form(
    bench: Bench, source: str, title: str, expected: list[tuple[Any, ...]]
) -> None:
    take(bench, news(source=source, title=title))
    assert bench.rows("listings", "ticker", "listing_type") == expected


def test_a_translated_title_names_a_ticker_once(bench: Bench) -> None:
    take(bench, UPBIT)
    assert bench.rows("listings", "exchange", "ticker", "listing_type", "title") == [
        ("upbit", "ARB", "spot_listing", json.loads(UPBIT)["title"])
    ]


def test_who_only_writes_about_an_exchange_is_none(bench: Bench) -> None:
    take(bench, news(source="Blogs", title="THE BLOCK: Binance Will List Foo (FOO)"))
    assert bench.places() == {1: ["alerts", "latency"]}


def test_news_without_a_time_is_kept(bench: Bench) -> None:
    take(bench, news(title="x", source="Blogs", time="soon"))
    assert bench.rows("alerts", "title", "event_ns", "backfill") == [("x", None, False)]
    assert bench.rows("latency", "seq") == []
    [(extra,)] = bench.rows("alerts", "extra")
    assert json.loads(extra)["time"] == "soon"


def test_news_from_before_the_connection_is_past(bench: Bench) -> None:
    take(bench, BLOG.replace(str(FOUND_MS), str(FOUND_MS - 5_000)))
    assert bench.rows("alerts", "backfill") == [(True,)]
    assert bench.rows("latency", "backfill") == [(True,)]


def test_talk_is_no_news(bench: Bench) -> None:
    take(bench, "ping", "pong", USER, "Logged in as someone", '{"error":"invalid key"}')
    assert bench.places() == {}


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        ("{}", "a message without a title or a body"),
        ('{"title":"","body":null}', "a message without a title or a body"),
        ("something else", "not JSON"),
        ("[1]", "JSON, but not an object: array"),
    ],
)
def test_what_is_wrong_is_rejected_with_a_reason(bench: Bench, payload: str, reason: str) -> None:
    take(bench, payload)
    assert bench.rows("rejects", "reason") == [(reason,)]

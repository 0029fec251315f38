"""Titles of exchanges' announcements: which tickers they name, and what they are about.

Most titles were published in these words; some have a published form with another coin. The score
is printed (`pytest -s`); each miss is shown. `title_tickers` and `title_type` read the titles of
every announcement feed.
"""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from recorder.answers import canned

TITLES = Path(__file__).with_name("titles.tsv")


def read() -> list[tuple[str, str, str | None, list[str]]]:
    """Return each title with its exchange, type and tickers."""
    rows = []
    for line in TITLES.read_text("utf-8").splitlines():
        exchange, kind, tickers, title = line.split("\t")
        rows.append((exchange, title, kind or None, tickers.split(",") if tickers else []))
    return rows


@pytest.fixture(scope="module")
def database() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(config={"threads": 1})
    canned.share(connection, "title_tickers", "title_type", "plain_title")
    return connection


def test_titles_are_read_as_people_read_them(database: duckdb.DuckDBPyConnection) -> None:
    rows = read()
    found = database.execute(
        "SELECT title_type(plain_title(title)), title_tickers(plain_title(title)) "
        "FROM (SELECT unnest($titles) AS title)",
        {"titles": [title for _, title, _, _ in rows]},
    ).fetchall()
    misses = [
        f"{exchange}: {title}\n  {(kind, tickers)}, found {seen}"
        for (exchange, title, kind, tickers), seen in zip(rows, found, strict=True)
        if (kind, tickers) != seen
    ]
    exchanges = {exchange for exchange, *_ in rows}
    print(f"{len(rows) - len(misses)} of {len(rows)} titles of {len(exchanges)} exchanges")
    assert not misses, "\n".join(misses)
    assert len(rows) >= 120
    assert exchanges >= {"binance", "upbit", "bithumb", "okx", "bybit", "coinbase", "kucoin"}


@pytest.mark.parametrize(
    ("title", "kind", "tickers"),
    [
        ("", None, []),
        (None, None, None),
        ("Binance Will List", "spot_listing", []),
        ("Binance Will List X \uff08AAA\uff0c BBB\uff09", "spot_listing", ["AAA", "BBB"]),
        ("Binance Will Delist AA\uff0c BB\u3001CC", "spot_delisting", ["AA", "BB", "CC"]),
        ("Binance Will Delist AAA, AAA and BBB on 2026-10-28", "spot_delisting", ["AAA", "BBB"]),
        ("Binance Will Delist A, 4 and 1INCH on 2026-10-28", "spot_delisting", ["A", "4", "1INCH"]),
        ("Binance Will List Staked Ether (stETH)", "spot_listing", ["stETH"]),
        ("Binance Will List ((((", "spot_listing", []),
        ("Bybit will not delist AAA", None, []),
        ("Bybit to delist AAAPERP", "futures_delisting", ["AAA"]),
        ("Binance Futures Will Launch PERPUSDT Perpetual", "futures_listing", ["PERP"]),
        ("KuCoin Will Delist the AAA, BB and CCC Projects", "spot_delisting", ["AAA", "BB", "CCC"]),
        ("Binance Cancels the Listing of AAA", None, ["AAA"]),
        ("모나드(MON) KRW, BTC, USDT 마켓 디지털 자산 추가", "spot_listing", ["MON"]),
        ("모나드(MON), 미라(M) 신규 거래지원 안내 (KRW, BTC 마켓)", "spot_listing", ["MON", "M"]),
        ("스팀(STEEM) 거래지원 종료일 연기 안내", None, ["STEEM"]),
    ],
)  # fmt: skip
def test_odd_titles(
    database: duckdb.DuckDBPyConnection,
    title: str | None,
    kind: str | None,
    tickers: list[str] | None,
) -> None:
    sql = "SELECT title_type(plain_title($title)), title_tickers(plain_title($title))"
    assert database.execute(sql, {"title": title}).fetchall() == [(kind, tickers)]

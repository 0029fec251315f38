"""Candles by the calendar."""

from __future__ import annotations

from datetime import UTC

import duckdb
import pytest
from kit import made

from recorder.errors import UsageError
from recorder.export.ohlcv import _CANDLES, _start

DAY = 86_400_000_000_000
OCTOBER = 1_790_812_800_000_000_000  # 2026-10-01, a Thursday


def candles(bucket: str, rows: list[made.Row]) -> list[tuple[str, float, float]]:
    """Return the start (UTC), close and volume of each candle of some trades."""
    with duckdb.connect() as db:
        db.execute("SET TimeZone = 'Asia/Tokyo'")
        db.execute(
            "CREATE TABLE x_prices (recv_ns BIGINT, connection VARCHAR, seq BIGINT, item BIGINT,"
            " price DOUBLE, quantity DOUBLE, traded BOOLEAN, channel VARCHAR)"
        )
        for n, row in enumerate(rows):
            values = [row["recv_ns"], "c", n, row["price"], row["quantity"], row["channel"]]
            db.execute("INSERT INTO x_prices VALUES ($1, $2, $3, 0, $4, $5, true, $6)", values)
        sql = _CANDLES.format(bucket=_start(bucket), these="true")
        found = db.sql(sql).to_arrow_table().to_pylist()
    return [(f"{r['time'].astimezone(UTC):%Y-%m-%d}", r["close"], r["volume"]) for r in found]


def trade(day: float, price: float, channel: str = "trade", size: float = 1.0) -> made.Row:
    at = OCTOBER + int(day * DAY)
    return {"recv_ns": at, "price": price, "quantity": size, "channel": channel}


def test_weeks_begin_on_mondays_and_months_on_their_first() -> None:
    days = [trade(day, float(day)) for day in (0, 3, 4, 31)]
    assert candles("1 week", days) == [
        ("2026-09-28", 3, 2), ("2026-10-05", 4, 1), ("2026-10-26", 31, 1)
    ]  # fmt: skip
    assert candles("1 month", days) == [("2026-10-01", 4, 3), ("2026-11-01", 31, 1)]
    fortnights = [day for day, *_ in candles("2 weeks", days)]
    assert fortnights == ["2026-09-21", "2026-10-05", "2026-10-19"]
    assert [day for day, *_ in candles("3mo", days)] == ["2026-10-01"]
    with pytest.raises(UsageError, match="mixes months and days"):
        _start("1mo 3d")

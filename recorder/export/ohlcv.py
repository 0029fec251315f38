"""Export of candles of any width as Parquet or CSV, by receive time to avoid look-ahead."""

from __future__ import annotations

from typing import Literal

from recorder.clock import DAY_NS
from recorder.errors import UsageError, did_you_mean
from recorder.export import market
from recorder.export.job import Job, quoted, safe
from recorder.export.names import ExportedInstrument
from recorder.times import Duration, parse_duration

KINDS = ("last", "mark", "mid", "index")

_WEEK_NS = 7 * DAY_NS
#: 2000-01-03, a Monday; DuckDB's time_bucket counts weeks from it, too.
_MONDAY_NS = 10_959 * DAY_NS

# Candles of last prices use trades only, if there are any: a ticker repeats the prices of trades.
# A bucket's volume is known if the size of each of its trades is.
_CANDLES = """
SELECT
    make_timestamptz(bucket // 1000) AS time,
    arg_min(price, place) AS open, max(price) AS high, min(price) AS low,
    arg_max(price, place) AS close,
    CASE WHEN count(quantity) = count(*) THEN sum(quantity) END AS volume,
    sum(quantity) AS known_volume, count(*) AS observations
FROM (
    SELECT {bucket} AS bucket, price, (recv_ns, connection, seq, item) AS place, quantity
    FROM x_prices
    WHERE {these} AND (traded OR NOT EXISTS (FROM x_prices WHERE {these} AND traded))
)
GROUP BY bucket
ORDER BY bucket
"""


def export(
    job: Job,
    bucket: str = "1 minute",
    kind: str = "last",
    format: Literal["parquet", "csv"] = "csv",
) -> None:
    """Write `<exchange>-<symbol>-<bucket>.<format>` for each instrument with such prices.

    Columns: time (start of the bucket, UTC), open, high, low, close, volume (base currency; NULL
    unless every trade's size is known), known_volume, observations. Empty buckets have no row.

    Raises:
        UsageError: the bucket is not a duration, or the kind of price is unknown.
    """
    if kind not in KINDS:
        raise UsageError(f"unknown kind of price '{kind}'", hint=did_you_mean(kind, KINDS))
    start = _start(bucket)
    market.create_views(job)
    options = "FORMAT csv, HEADER" if format == "csv" else "FORMAT parquet, COMPRESSION zstd"
    for instrument in market.instruments(job, "x_prices", f"kind = {quoted(kind)}"):
        parts = (instrument.exchange, instrument.symbol, bucket.replace(" ", ""))
        name = "-".join(map(safe, parts))
        job.copy(_candles(instrument, start, kind), job.out / f"{name}.{format}", options)
    if kind == "last":
        market.note_trades(job)


def _candles(instrument: ExportedInstrument, start: str, kind: str) -> str:
    these = (
        f"kind = {quoted(kind)} AND exchange = {quoted(instrument.exchange)} "
        f"AND symbol = {quoted(instrument.symbol)}"
    )
    return _CANDLES.format(bucket=start, these=these)


def _start(bucket: str) -> str:
    """Return the SQL of the start of a row's bucket, in ns since epoch.

    Weeks begin on Mondays, months on their first; other buckets are counted from 1970 on.
    """
    try:
        width: Duration = parse_duration(bucket)
    except UsageError as error:
        raise UsageError(error.what, where="--bucket", hint=error.hint) from None
    if width.months and width.ns:
        hint = "say it in months alone, or in days: 1mo, 30d"
        raise UsageError(f"'{bucket}' mixes months and days", where="--bucket", hint=hint)
    if width.months:
        start = f"time_bucket(to_months({width.months}), make_timestamp(recv_ns // 1000))"
        return f"epoch_us({start}) * 1000"
    if width.ns == 0:
        raise UsageError(f"a bucket of '{bucket}' holds nothing", where="--bucket")
    first = _MONDAY_NS if width.ns % _WEEK_NS == 0 else 0
    return f"recv_ns - (recv_ns - {first}) % {width.ns}"

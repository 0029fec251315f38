"""Candles of any width, as Parquet or CSV: by receive time, so that none looks ahead."""

from __future__ import annotations

from typing import Literal

from recorder.errors import UsageError, did_you_mean
from recorder.export import market
from recorder.export.job import Job, quoted, safe
from recorder.export.market import Instrument
from recorder.times import parse_fixed

KINDS = ("last", "mark", "mid", "index")

# Of last prices trades count alone, unless there are none: a ticker repeats what they said.
# A bucket's volume is known if the size of each of its trades is.
_CANDLES = """
SELECT
    make_timestamptz(bucket // 1000) AS time,
    arg_min(price, place) AS open, max(price) AS high, min(price) AS low,
    arg_max(price, place) AS close,
    CASE WHEN count(quantity) = count(*) THEN sum(quantity) END AS volume,
    sum(quantity) AS known_volume, count(*) AS observations
FROM (
    SELECT
        recv_ns - recv_ns % {width} AS bucket, price, (recv_ns, connection, seq, item) AS place,
        quantity
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

    Columns: time (the bucket's beginning, UTC), open, high, low, close, volume (base currency; NULL
    unless every trade's size is known), known_volume, observations. Empty buckets have no row.

    Raises:
        UsageError: the bucket is not a duration of fixed length, or the kind no kind of price.
    """
    if kind not in KINDS:
        raise UsageError(f"no kind of price '{kind}'", hint=did_you_mean(kind, KINDS))
    width = _width(bucket)
    market.prepare(job)
    options = "FORMAT csv, HEADER" if format == "csv" else "FORMAT parquet, COMPRESSION zstd"
    for found in market.instruments(job, "x_prices", f"kind = {quoted(kind)}"):
        name = f"{safe(found.exchange)}-{safe(found.symbol)}-{safe(bucket.replace(' ', ''))}"
        job.copy(_candles(found, width, kind), job.out / f"{name}.{format}", options)
    if kind == "last":
        market.note_trades(job)


def _candles(instrument: Instrument, width: int, kind: str) -> str:
    these = (
        f"kind = {quoted(kind)} AND exchange = {quoted(instrument.exchange)} "
        f"AND symbol = {quoted(instrument.symbol)}"
    )
    return _CANDLES.format(width=width, these=these)


def _width(bucket: str) -> int:
    try:
        width = parse_fixed(bucket)
    except UsageError as error:
        raise UsageError(error.what, where="--bucket", hint=error.hint) from None
    if width == 0:
        raise UsageError(f"a bucket of '{bucket}' holds nothing", where="--bucket")
    return width

"""Candles of any width, as Parquet or CSV: by receive time, so that none looks ahead."""

from __future__ import annotations

from typing import Literal

from recorder.errors import UsageError, did_you_mean
from recorder.export import market
from recorder.export.job import Job, quoted, safe
from recorder.export.market import Instrument

KINDS = ("last", "mark", "mid", "index")

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
        p.recv_ns - p.recv_ns % {width} AS bucket, p.price,
        (p.recv_ns, p.connection, p.seq, p.item) AS place, t.quantity
    FROM x_prices p
    LEFT JOIN x_trades t ON p.kind = 'last' AND t.feed = p.feed AND t.connection = p.connection
        AND t.seq = p.seq AND t.item = p.item
    WHERE p.kind = {kind} AND p.exchange = {exchange} AND p.symbol = {symbol}
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
        UsageError: the bucket is no length of time, or the kind no kind of price.
    """
    if kind not in KINDS:
        raise UsageError(f"no kind of price '{kind}'", hint=did_you_mean(kind, KINDS))
    width = _width(job, bucket)
    market.prepare(job)
    options = "FORMAT csv, HEADER" if format == "csv" else "FORMAT parquet, COMPRESSION zstd"
    for found in market.instruments(job, "x_prices", f"kind = {quoted(kind)}"):
        name = f"{safe(found.exchange)}-{safe(found.symbol)}-{safe(bucket.replace(' ', ''))}"
        job.copy(_candles(found, width, kind), job.out / f"{name}.{format}", options)
    if kind == "last":
        market.note_trades(job)


def _candles(instrument: Instrument, width: int, kind: str) -> str:
    return _CANDLES.format(
        width=width,
        kind=quoted(kind),
        exchange=quoted(instrument.exchange),
        symbol=quoted(instrument.symbol),
    )


def _width(job: Job, bucket: str) -> int:
    import duckdb

    try:
        [(width,)] = job.connection.execute(
            "SELECT epoch_ns(CAST($bucket AS INTERVAL))", {"bucket": bucket}
        ).fetchall()
    except duckdb.Error as error:
        hint = "for example '15 seconds' or '1 hour'"
        raise UsageError(f"'{bucket}' is no length of time", where="--bucket", hint=hint) from error
    if not width or width <= 0:
        raise UsageError(f"a bucket of '{bucket}' holds nothing", where="--bucket")
    return int(width)

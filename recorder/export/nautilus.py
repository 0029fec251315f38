"""nautilus_trader's Parquet catalogue, written without it: its files are plain and pinned here.

    data/trade_tick/<SYMBOL.VENUE>/<first>_<last>.parquet
    data/mark_price_update/…  data/funding_rate_update/…  data/custom_recorder_liquidation/…

Prices and sizes are 16-byte little-endian integers with 16 decimals, which is what a decimal128
is in Arrow; `ts_event` is the venue's time, `ts_init` the receive time, both ns. The layout is that
of nautilus_trader 1.231 with 128-bit values (its wheels for Linux and macOS), and its own catalogue
reads these files in `make test-exports`. Liquidations need a class of yours that says what they
are: see docs/export.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from recorder.clock import NS
from recorder.export import market
from recorder.export.job import Job, quoted
from recorder.export.market import Instrument

TYPES = ("trades", "mark_prices", "funding", "liquidations")

_DECIMALS = 16
_FIXED = pa.binary(16)
#: The largest value that nautilus_trader takes.
_MOST = 17_014_118_346_046
_BATCH = 100_000

_TIMES = [pa.field("ts_event", pa.uint64(), False), pa.field("ts_init", pa.uint64(), False)]
_EXACT = "CAST(CAST({0} AS VARCHAR) AS DECIMAL(38, 16))"


@dataclass(frozen=True, slots=True)
class _Kind:
    """A data type: its folder, the view and columns it is made of, its schema."""

    folder: str
    view: str
    select: str
    where: str
    schema: pa.Schema
    precisions: tuple[tuple[str, str], ...] = ()  # metadata key -> column


_KINDS = {
    "trades": _Kind(
        "trade_tick",
        "x_trades",
        f"{_EXACT.format('price')} AS price, {_EXACT.format('quantity')} AS size, "
        "CASE side WHEN 'buy' THEN 1 WHEN 'sell' THEN 2 ELSE 0 END::UTINYINT AS aggressor_side, "
        "coalesce(left(id, 36), connection[-8:] || '-' || seq || '-' || item) AS trade_id",
        f"price < {_MOST} AND quantity < {_MOST} AND quantity >= 1e-16 AND price >= 1e-16",
        pa.schema(
            [
                pa.field("price", _FIXED, False),
                pa.field("size", _FIXED, False),
                pa.field("aggressor_side", pa.uint8(), False),
                pa.field("trade_id", pa.string(), False),
                *_TIMES,
            ]
        ),
        (("price_precision", "price"), ("size_precision", "quantity")),
    ),
    "mark_prices": _Kind(
        "mark_price_update",
        "x_prices",
        f"{_EXACT.format('price')} AS value",
        f"kind = 'mark' AND price < {_MOST} AND price >= 1e-16",
        pa.schema([pa.field("value", _FIXED, False), *_TIMES]),
        (("price_precision", "price"),),
    ),
    "funding": _Kind(
        "funding_rate_update",
        "x_funding",
        "encode('\"' || CAST(CAST(CAST(rate AS VARCHAR) AS DECIMAL(28, 18)) AS VARCHAR) || '\"') "
        "AS rate, CAST(round(interval_hours * 60) AS USMALLINT) AS interval, "
        "CAST(next_funding_ns AS UBIGINT) AS next_funding_ns",
        "abs(rate) < 1e6",
        pa.schema(
            [
                pa.field("rate", pa.binary(), False),
                pa.field("interval", pa.uint16()),
                pa.field("next_funding_ns", pa.uint64()),
                *_TIMES,
            ]
        ),
    ),
    "liquidations": _Kind(
        "custom_recorder_liquidation",
        "x_liquidations",
        "coalesce(position_side, '') AS position_side, price, quantity, notional_usd, "
        "'RecorderLiquidation' AS type",
        "true",
        pa.schema(
            [
                pa.field("instrument_id", pa.string()),
                pa.field("position_side", pa.string()),
                pa.field("price", pa.float64()),
                pa.field("quantity", pa.float64()),
                pa.field("notional_usd", pa.float64()),
                pa.field("type", pa.string()),
                pa.field("ts_event", pa.int64()),
                pa.field("ts_init", pa.int64()),
            ]
        ),
    ),
}


def export(job: Job, types: Sequence[str] = TYPES) -> None:
    """Write a file per data type and instrument; its id is `<SYMBOL>.<VENUE>`."""
    market.prepare(job)
    for name in types:
        for found in market.instruments(job, _KINDS[name].view, _KINDS[name].where):
            _write(job, _KINDS[name], found)
        market.note_times(job, _KINDS[name].view)
    if "trades" in types:
        market.note_trades(job)


def instrument_id(found: Instrument) -> str:
    """The instrument's id there: venues in upper case; a dot in a symbol is no separator."""
    return f"{found.symbol}.{found.exchange.upper()}"


def _write(job: Job, kind: _Kind, found: Instrument) -> None:
    where = (
        f"FROM {kind.view} WHERE exchange = {quoted(found.exchange)} "
        f"AND symbol = {quoted(found.symbol)} AND {kind.where}"
    )
    [(first, last)] = job.rows(f"SELECT min(recv_ns), max(recv_ns) {where}")
    name = instrument_id(found)
    metadata = {"instrument_id": name} if "instrument_id" not in kind.schema.names else {}
    metadata |= {key: str(_precision(job, column, where)) for key, column in kind.precisions}
    schema = kind.schema.with_metadata(metadata or None)
    folder = job.out / "data" / kind.folder / name.replace("/", "")
    path = folder / f"{_moment(first)}_{_moment(last)}.parquet"
    sql = (
        f"SELECT {kind.select}, event_ns AS ts_event, recv_ns AS ts_init "
        f"{where} ORDER BY recv_ns, connection, seq, item"
    )
    rows = 0
    with job.file(path) as temporary, pq.ParquetWriter(temporary, schema) as writer:
        for batch in job.connection.sql(sql).to_arrow_reader(_BATCH):
            writer.write_table(_table(batch, schema, name))
            rows += len(batch)
    job.done(path, rows)


def _table(batch: pa.RecordBatch, schema: pa.Schema, name: str) -> pa.Table:
    """The batch with the schema's types; decimals as their bytes."""
    columns: list[Any] = []
    for field in schema:
        if field.name == "instrument_id":
            columns.append(pa.array([name] * len(batch), field.type))
        elif field.type == _FIXED:
            columns.append(_fixed(batch.column(field.name)))
        else:
            columns.append(batch.column(field.name).cast(field.type))
    return pa.table(columns, schema)


def _fixed(values: pa.Array) -> pa.Array:
    """128-bit decimals as 16 bytes, little-endian: the same memory."""
    data = values.buffers()[1].slice(16 * values.offset, 16 * len(values))
    return pa.Array.from_buffers(_FIXED, len(values), [None, data])


def _precision(job: Job, column: str, where: str) -> int:
    """The most decimals that any value has."""
    exact = _EXACT.format(column)
    [(most,)] = job.rows(
        f"SELECT max(length(rtrim(split_part({exact}::VARCHAR, '.', 2), '0'))) {where}"
    )
    return min(int(most), _DECIMALS)


def _moment(ns: int) -> str:
    """A time as the catalogue's file names spell it."""
    seconds = datetime.fromtimestamp(ns // NS, UTC).strftime("%Y-%m-%dT%H-%M-%S")
    return f"{seconds}-{ns % NS:09d}Z"

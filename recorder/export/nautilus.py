"""Export to a nautilus_trader Parquet catalogue, written without nautilus_trader.

    data/trade_tick/<SYMBOL.VENUE>/<first>_<last>.parquet
    data/mark_price_update/…  data/funding_rate_update/…  data/custom_recorder_liquidation/…

Prices and sizes are 16-byte little-endian integers with 16 decimals, the same bytes as an Arrow
decimal128. `ts_event` is the venue's time, `ts_init` the receive time, both in ns. The layout is
that of nautilus_trader 1.231 with 128-bit values (its wheels for Linux and macOS); `make
test-exports` reads these files with its own catalogue. To read liquidations, a project has to
define a data class for them: see docs/export.md.

Ids are those of nautilus_trader's own adapters (`BTCUSDT-PERP.BINANCE`), sizes the venue's own
(whole contracts where it trades contracts), precisions those of the venue's tick and lot.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from recorder import durable
from recorder.clock import NS
from recorder.export import market
from recorder.export.job import Job, quoted
from recorder.export.names import ExportedInstrument, decimals

TYPES = ("trades", "mark_prices", "funding", "liquidations")

_DECIMALS = 16
_FIXED = pa.binary(16)
#: The largest value that nautilus_trader accepts.
_MOST = 17_014_118_346_046
_BATCH = 100_000

_TIMES = [pa.field("ts_event", pa.uint64(), False), pa.field("ts_init", pa.uint64(), False)]
_EXACT = "CAST(CAST({0} AS VARCHAR) AS DECIMAL(38, 16))"


@dataclass(frozen=True, slots=True)
class _DataType:
    """A data type: its folder, the view and columns that it is read from, its schema."""

    folder: str
    view: str
    select: str
    where: str
    schema: pa.Schema
    precisions: tuple[tuple[str, str, str], ...] = ()  # metadata key, column, step in the list


_DATA_TYPES = {
    "trades": _DataType(
        "trade_tick",
        "x_trades",
        f"{_EXACT.format('price')} AS price, {_EXACT.format('amount')} AS size, "
        "CASE side WHEN 'buy' THEN 1 WHEN 'sell' THEN 2 ELSE 0 END::UTINYINT AS aggressor_side, "
        "coalesce(left(id, 36), connection[-8:] || '-' || seq || '-' || item) AS trade_id",
        f"price < {_MOST} AND amount < {_MOST} AND amount >= 1e-16 AND price >= 1e-16",
        pa.schema(
            [
                pa.field("price", _FIXED, False),
                pa.field("size", _FIXED, False),
                pa.field("aggressor_side", pa.uint8(), False),
                pa.field("trade_id", pa.string(), False),
                *_TIMES,
            ]
        ),
        (("price_precision", "price", "tick_size"), ("size_precision", "amount", "lot_size")),
    ),
    "mark_prices": _DataType(
        "mark_price_update",
        "x_prices",
        f"{_EXACT.format('price')} AS value",
        f"kind = 'mark' AND price < {_MOST} AND price >= 1e-16",
        pa.schema([pa.field("value", _FIXED, False), *_TIMES]),
        (("price_precision", "price", "tick_size"),),
    ),
    "funding": _DataType(
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
    "liquidations": _DataType(
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
    """Write one file per data type and instrument, into a catalogue that may hold others."""
    market.create_views(job)
    unknown: set[str] = set()
    for name in types:
        data_type = _DATA_TYPES[name]
        for one in market.instruments(job, data_type.view, data_type.where):
            _write(job, data_type, one)
            if one.unnamed:
                unknown.add(f"{one.symbol} of {one.exchange}")
        market.note_times(job, data_type.view)
    market.note_unknown(job, unknown, "ids have the venue's symbols alone, which nautilus_trader")


def _write(job: Job, data_type: _DataType, one: ExportedInstrument) -> None:
    rows_from = (
        f"FROM {data_type.view} WHERE exchange = {quoted(one.exchange)} "
        f"AND symbol = {quoted(one.symbol)} AND {data_type.where}"
    )
    [(first, last)] = job.rows(f"SELECT min(recv_ns), max(recv_ns) {rows_from}")
    name = one.nautilus_id
    folder = job.out / "data" / data_type.folder / name.replace("/", "")
    metadata = {"instrument_id": name} if "instrument_id" not in data_type.schema.names else {}
    for key, column, step in data_type.precisions:
        digits = max(decimals(getattr(one, step)) or 0, _precision(job, column, rows_from))
        metadata[key] = str(_agreed(job, folder, key, digits))
    schema = data_type.schema.with_metadata(metadata or None)
    path = folder / f"{_file_time(first)}_{_file_time(last)}.parquet"
    sql = (
        f"SELECT {data_type.select}, event_ns AS ts_event, recv_ns AS ts_init "
        f"{rows_from} ORDER BY recv_ns, connection, seq, item"
    )
    rows = 0
    with job.file(path) as temporary, pq.ParquetWriter(temporary, schema) as writer:
        for batch in job.connection.sql(sql).to_arrow_reader(_BATCH):
            writer.write_table(_table(batch, schema, name))
            rows += len(batch)
    job.done(path, rows)


def _agreed(job: Job, folder: Path, key: str, digits: int) -> int:
    """Return the precision that all files of a folder have, `digits` at least.

    nautilus_trader reads an instrument's files as one, and only with one precision. Values are
    stored with 16 decimals whatever it is, so that files with fewer digits are raised by their
    metadata alone.
    """
    lower: list[Path] = []
    schemas = {path: pq.read_schema(path) for path in sorted(folder.glob("*.parquet"))}
    digits = max(
        [digits, *(int((s.metadata or {}).get(key.encode(), 0)) for s in schemas.values())]
    )
    for path, schema in schemas.items():
        metadata = dict(schema.metadata or {})
        if metadata.get(key.encode()) == str(digits).encode():
            continue
        metadata[key.encode()] = str(digits).encode()
        temporary = path.with_name(f".{path.name}.tmp")
        pq.write_table(pq.read_table(path).replace_schema_metadata(metadata), temporary)
        durable.publish(temporary, path)
        lower.append(path)
    if lower:
        what = f"{len(lower)} files that were in {folder.name} have now {key}={digits} too"
        job.notes.append(f"{what}: nautilus_trader reads an instrument with one precision only")
    return digits


def _table(batch: pa.RecordBatch, schema: pa.Schema, name: str) -> pa.Table:
    """Return the batch with the schema's types; decimals become 16-byte values."""
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
    """Return 128-bit decimals as 16-byte little-endian values, without a copy."""
    data = values.buffers()[1].slice(16 * values.offset, 16 * len(values))
    return pa.Array.from_buffers(_FIXED, len(values), [None, data])


def _precision(job: Job, column: str, rows_from: str) -> int:
    """Return the largest number of decimals that an exported value of the column has."""
    exact = _EXACT.format(column)
    [(most,)] = job.rows(
        f"SELECT max(length(rtrim(split_part({exact}::VARCHAR, '.', 2), '0'))) {rows_from}"
    )
    return min(int(most), _DECIMALS)


def _file_time(ns: int) -> str:
    """Return a time as the catalogue's file names spell it."""
    seconds = datetime.fromtimestamp(ns // NS, UTC).strftime("%Y-%m-%dT%H-%M-%S")
    return f"{seconds}-{ns % NS:09d}Z"

"""Export to hftbacktest: one `.npz` file per instrument, with its trades as 64-byte rows.

The record has no order books, so the files hold trades only: a backtest that fills against depth
needs it from another source. Sizes are in the venue's own unit, as hftbacktest's linear and inverse
assets expect them beside the size of a contract. The files are written without numpy: an `.npy`
file is a header and the rows. https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
"""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Iterable, Iterator
from typing import Any

from recorder.export import market
from recorder.export.job import Job, quoted, safe

_ROW = struct.Struct("<QqqddQqd")
_DTYPE = (
    "[('ev', '<u8'), ('exch_ts', '<i8'), ('local_ts', '<i8'), ('px', '<f8'), ('qty', '<f8'), "
    "('order_id', '<u8'), ('ival', '<i8'), ('fval', '<f8')]"
)
_TRADE, _EXCHANGE, _LOCAL = 2, 1 << 31, 1 << 30
_SIDES = {"buy": 1 << 29, "sell": 1 << 28, None: 0}
_BATCH = 20_000

# An event cannot be received before it happened: where the exchange's clock is ahead of ours, its
# time is cut to the receive time.
_SELECT = """
SELECT least(event_ns, recv_ns) AS exch_ts, recv_ns AS local_ts, price, amount, side
FROM x_trades WHERE exchange = {exchange} AND symbol = {symbol}
"""

# hftbacktest's exchange and local side each read the rows with their flag, sorted by their own
# time. Where the two orders differ, each event is two rows.
_TOGETHER = "SELECT *, 3 AS sides FROM ({select}) ORDER BY local_ts, exch_ts"
_APART = """
SELECT * FROM (
    SELECT *, 1 AS sides, exch_ts AS moment FROM ({select})
    UNION ALL SELECT *, 2 AS sides, local_ts AS moment FROM ({select})
) ORDER BY moment, sides
"""


def export(job: Job) -> None:
    """Write `<exchange>-<symbol>.npz` for each instrument with trades; times are in ns."""
    market.create_views(job)
    for one in market.instruments(job, "x_trades"):
        select = _SELECT.format(exchange=quoted(one.exchange), symbol=quoted(one.symbol))
        sql = (_TOGETHER if _same_order(job, select) else _APART).format(select=select)
        [(count,)] = job.rows(f"SELECT count(*) FROM ({sql})")  # noqa: S608
        path = job.out / f"{safe(one.exchange)}-{safe(one.symbol)}.npz"
        with (
            job.file(path) as temporary,
            zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive,
            archive.open("data.npy", "w", force_zip64=True) as stream,
        ):
            stream.write(_header(count))
            for packed in _packed(_batches(job, sql)):
                stream.write(packed)
        job.done(path, count)
    market.note_times(job, "x_trades")
    [(ahead,)] = job.rows("SELECT count(*) FROM x_trades WHERE event_ns > recv_ns")
    if ahead:
        job.notes.append(
            f"{ahead:,} trades have an event time after their receive time (clocks differ): "
            "exch_ts is their receive time"
        )


def _same_order(job: Job, select: str) -> bool:
    """Return True if the events happened in the order in which they were received."""
    sql = (
        "SELECT count(*) FROM (SELECT exch_ts < lag(exch_ts) OVER "  # noqa: S608
        f"(ORDER BY local_ts, exch_ts) AS back FROM ({select})) WHERE back"
    )
    return job.rows(sql) == [(0,)]


def _header(rows: int) -> bytes:
    text = f"{{'descr': {_DTYPE}, 'fortran_order': False, 'shape': ({rows},), }}"
    padded = text + " " * (-(len(text) + 11) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(padded)) + padded.encode("ascii")


def _batches(job: Job, sql: str) -> Iterator[list[tuple[Any, ...]]]:
    cursor = job.connection.execute(sql)
    while rows := cursor.fetchmany(_BATCH):
        yield rows


def _packed(batches: Iterable[list[tuple[Any, ...]]]) -> Iterator[bytes]:
    for batch in batches:
        yield b"".join(
            _ROW.pack(
                _TRADE | _SIDES.get(side, 0) | (sides & 1 and _EXCHANGE) | (sides & 2 and _LOCAL),
                exch_ts, local_ts, price, amount, 0, 0, 0.0,
            )
            for exch_ts, local_ts, price, amount, side, sides, *_ in batch
        )  # fmt: skip

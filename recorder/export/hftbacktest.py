"""hftbacktest's `.npz`: one file per instrument, its trades as 64-byte rows.

The record holds no order books, so that these are the feed of trades only: add depth from elsewhere
where a test needs it. Written without numpy: an `.npy` file is a header and the rows.
https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
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

# The exchange's clock may be ahead of ours: an event cannot be received before it happened.
_SELECT = """
SELECT least(event_ns, recv_ns) AS exch_ts, recv_ns AS local_ts, price, quantity, side
FROM x_trades WHERE exchange = {exchange} AND symbol = {symbol}
"""

# Both sides read the rows in order and take those flagged as theirs, each by its own clock. Where
# the orders differ, an event is two rows.
_TOGETHER = "SELECT *, 3 AS sides FROM ({select}) ORDER BY local_ts, exch_ts"
_APART = """
SELECT * FROM (
    SELECT *, 1 AS sides, exch_ts AS moment FROM ({select})
    UNION ALL SELECT *, 2 AS sides, local_ts AS moment FROM ({select})
) ORDER BY moment, sides
"""


def export(job: Job) -> None:
    """Write `<exchange>-<symbol>.npz` for each instrument with trades; times in ns."""
    market.prepare(job)
    for found in market.instruments(job, "x_trades"):
        select = _SELECT.format(exchange=quoted(found.exchange), symbol=quoted(found.symbol))
        sql = (_TOGETHER if _agree(job, select) else _APART).format(select=select)
        [(count,)] = job.rows(f"SELECT count(*) FROM ({sql})")  # noqa: S608
        path = job.out / f"{safe(found.exchange)}-{safe(found.symbol)}.npz"
        with (
            job.file(path) as temporary,
            zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive,
            archive.open("data.npy", "w", force_zip64=True) as stream,
        ):
            stream.write(_header(count))
            for piece in _rows(_fetched(job, sql)):
                stream.write(piece)
        job.done(path, count)
    market.note_trades(job)
    market.note_times(job, "x_trades")
    [(ahead,)] = job.rows("SELECT count(*) FROM x_trades WHERE event_ns > recv_ns")
    if ahead:
        job.notes.append(
            f"{ahead:,} trades carry a time later than their receipt (clocks differ): their "
            "receive time stands in exch_ts"
        )


def _agree(job: Job, select: str) -> bool:
    """True if the events happened in the order in which they were received."""
    sql = (
        "SELECT count(*) FROM (SELECT exch_ts < lag(exch_ts) OVER "  # noqa: S608
        f"(ORDER BY local_ts, exch_ts) AS back FROM ({select})) WHERE back"
    )
    return job.rows(sql) == [(0,)]


def _header(rows: int) -> bytes:
    text = f"{{'descr': {_DTYPE}, 'fortran_order': False, 'shape': ({rows},), }}"
    padded = text + " " * (-(len(text) + 11) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(padded)) + padded.encode("ascii")


def _fetched(job: Job, sql: str) -> Iterator[list[tuple[Any, ...]]]:
    cursor = job.connection.execute(sql)
    while rows := cursor.fetchmany(_BATCH):
        yield rows


def _rows(batches: Iterable[list[tuple[Any, ...]]]) -> Iterator[bytes]:
    for batch in batches:
        yield b"".join(
            _ROW.pack(
                _TRADE | _SIDES.get(side, 0) | (sides & 1 and _EXCHANGE) | (sides & 2 and _LOCAL),
                exch_ts, local_ts, price, quantity, 0, 0, 0.0,
            )
            for exch_ts, local_ts, price, quantity, side, sides, *_ in batch
        )  # fmt: skip

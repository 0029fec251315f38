"""The Delta tables of a lake, and the columns of each.

They are the tables of `recorder.schema.tables`; rows of events also have a `day` (UTC, of
`recv_ns`). Beside them is the state of ingest: `ledger`, `arrivals`, `carried_state`. `begun` holds
the ledger rows of files that were ingested in part (see `recorder.lake.waiting`). `about` is the
pointer: it names the version of each table in the newest whole batch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa

from recorder.schema.arrow import columns
from recorder.schema.state import LEDGER
from recorder.schema.tables import TABLES

ABOUT = "about"

#: The tables made from the recorder's own markers.
MARKED = ("connections", "gaps", "instruments")

#: The tables that a feed's SQL makes.
EVENTS = tuple(name for name in TABLES if name not in MARKED)

_STATE = {
    # Delta has no unsigned numbers: `hash` is the recorder's 64-bit value less 2^63.
    "arrivals": pa.schema(
        [
            ("feed", pa.string()),
            ("hash", pa.int64()),
            ("connection", pa.string()),
            ("times", pa.int64()),
            ("last_ns", pa.int64()),
        ]
    ),
    "carried_state": pa.schema(
        [
            ("feed", pa.string()),
            ("name", pa.string()),
            ("connection", pa.string()),
            ("key", pa.string()),
            ("seq", pa.int64()),
            ("state", pa.string()),
        ]
    ),
}

#: Tables in which a batch replaces all of a feed's rows.
STATE_TABLES = (*MARKED, *_STATE, "begun")


@dataclass(frozen=True, slots=True)
class Shape:
    """A Delta table's columns, and those by which its folders are named."""

    columns: pa.Schema
    folders: tuple[str, ...] = ()

    @property
    def in_file(self) -> pa.Schema:
        """The columns that a file holds: its folder's name holds the others."""
        return pa.schema([field for field in self.columns if field.name not in self.folders])


def _shapes() -> dict[str, Shape]:
    shapes = {
        name: Shape(columns(TABLES[name]).append(pa.field("day", pa.date32())), ("feed", "day"))
        for name in EVENTS
    }
    shapes |= {name: Shape(columns(TABLES[name]), ("feed",)) for name in MARKED}
    shapes |= {name: Shape(state, ("feed",)) for name, state in _STATE.items()}
    ledger = columns(LEDGER)
    return shapes | {"begun": Shape(ledger, ("feed",)), "ledger": Shape(ledger)}


#: Every table but `about`, in the order in which a batch is committed.
SHAPES: Mapping[str, Shape] = _shapes()

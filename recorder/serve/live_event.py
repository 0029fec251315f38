"""An event as clients receive it: JSON, encoded once for all clients. Pure."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import msgspec

from recorder.clock import iso
from recorder.stream.event import CLASSES, Event, columns

#: The longest text that is sent; feeds may send megabytes, which the raw frame has in full.
_LONGEST = 2_000

#: The rank of a table's events: those of a lower rank are left out after those of a higher one.
_RANKS = {"listings": 0, "signals": 0, "alerts": 0, "system_status": 0}
_RANKS |= {"whales": 1, "liquidations": 1, "funding": 1}
RANKS = 3

#: The tables of a client that names none, without prices, which would hide everything else.
DEFAULT_TABLES = (
    "whales",
    "liquidations",
    "listings",
    "funding",
    "signals",
    "alerts",
    "system_status",
    "flows",
    "open_interest",
)

#: Every table that can be watched.
TABLES = (*DEFAULT_TABLES, "prices", "rejects")

#: The columns with an event's value in US dollars.
_VALUES = ("notional_usd", "amount_usd", "open_interest_usd")

#: Columns that are not sent: `/api/frame` returns a frame's bytes.
_LEFT_OUT = {"payload"}
_NAMES = {
    table: tuple(name for name in columns(table) if name not in _LEFT_OUT) for table in CLASSES
}
_VALUE_OF = {table: next((n for n in _VALUES if n in _NAMES[table]), None) for table in CLASSES}

_encoder = msgspec.json.Encoder()


class LiveEvent:
    """One event: its JSON, and the values that filters and conflation use."""

    def __init__(self, event: Event) -> None:
        self._event = event
        self.table = event.table
        self.feed = event.feed
        self.recv_ns = event.recv_ns
        self.rank = _RANKS.get(event.table, RANKS - 1)

    @property
    def exchange(self) -> str:
        """The exchange in lower case; the feed's name if the exchange is unknown."""
        return _cut((self._event.exchange or self._event.feed).lower())

    @property
    def symbol(self) -> str:
        """The symbol in upper case; empty if there is none."""
        return _cut((self._event.symbol or "").upper())

    @property
    def has_value(self) -> bool:
        """True if the table has a column for a value in US dollars."""
        return _VALUE_OF[self.table] is not None

    @property
    def usd(self) -> float | None:
        """The value in US dollars; None if it is unknown."""
        name = _VALUE_OF[self.table]
        return getattr(self._event, name) if name else None

    @cached_property
    def words(self) -> str:
        """All texts of the event in lower case, for searches."""
        values = (getattr(self._event, name) for name in _NAMES[self.table])
        return " ".join(_cut(v) for v in values if isinstance(v, str)).lower()

    @cached_property
    def json(self) -> bytes:
        """One JSON object, without NULL columns; nanoseconds are decimal strings."""
        event = self._event
        fields: dict[str, Any] = {"table": self.table, "recv_ms": event.recv_ns / 1e6}
        for name in _NAMES[self.table]:
            value = getattr(event, name)
            if value is None:
                continue
            if name.endswith("_ns"):
                value = str(value)
            elif isinstance(value, str):
                value = _cut(value)
            fields[name] = value
        return _encoder.encode(fields)

    def __repr__(self) -> str:
        return f"<{self.table} of {self.feed}, {iso(self.recv_ns)}>"


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"

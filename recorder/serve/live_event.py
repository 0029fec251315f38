"""An event as a client gets it: JSON, made once however many clients there are. Pure."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import msgspec

from recorder.clock import iso
from recorder.stream.event import CLASSES, Event, columns

#: A feed's texts may be megabytes long; the raw frame has them whole.
_LONGEST = 2_000

#: How much an event matters when not all can be shown: 0 is never left out before 1, 1 before 2.
_RANKS = {"listings": 0, "signals": 0, "alerts": 0, "system_status": 0}
_RANKS |= {"whales": 1, "liquidations": 1, "funding": 1}
RANKS = 3

#: What the tape shows where a client names no tables: prices would drown everything else.
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

#: The columns that say what an event is worth in US dollars.
_VALUES = ("notional_usd", "amount_usd", "open_interest_usd")

#: Bytes of a frame, which `/api/frame` gives.
_LEFT_OUT = {"payload"}
_NAMES = {
    table: tuple(name for name in columns(table) if name not in _LEFT_OUT) for table in CLASSES
}
_VALUE_OF = {table: next((n for n in _VALUES if n in _NAMES[table]), None) for table in CLASSES}

_encoder = msgspec.json.Encoder()


class Shown:
    """One event: its JSON, and what filters and conflation look at."""

    def __init__(self, event: Event) -> None:
        self._event = event
        self.table = event.table
        self.feed = event.feed
        self.recv_ns = event.recv_ns
        self.rank = _RANKS.get(event.table, RANKS - 1)

    @property
    def exchange(self) -> str:
        """Where it happened, lower case; the feed where that is unknown."""
        return _cut((self._event.exchange or self._event.feed).lower())

    @property
    def symbol(self) -> str:
        """The instrument, upper case; empty if there is none."""
        return _cut((self._event.symbol or "").upper())

    @property
    def has_value(self) -> bool:
        """Whether rows of its table have a value in US dollars at all."""
        return _VALUE_OF[self.table] is not None

    @property
    def usd(self) -> float | None:
        """Its value in US dollars; None if it is unknown."""
        name = _VALUE_OF[self.table]
        return getattr(self._event, name) if name else None

    @cached_property
    def words(self) -> str:
        """All its texts in lower case, for a search."""
        values = (getattr(self._event, name) for name in _NAMES[self.table])
        return " ".join(_cut(v) for v in values if isinstance(v, str)).lower()

    @cached_property
    def json(self) -> bytes:
        """One JSON object; NULL columns are left out, nanoseconds are decimal strings."""
        event = self._event
        told: dict[str, Any] = {"table": self.table, "recv_ms": event.recv_ns / 1e6}
        for name in _NAMES[self.table]:
            value = getattr(event, name)
            if value is None:
                continue
            if name.endswith("_ns"):
                value = str(value)
            elif isinstance(value, str):
                value = _cut(value)
            told[name] = value
        return _encoder.encode(told)

    def __repr__(self) -> str:
        return f"<{self.table} of {self.feed}, {iso(self.recv_ns)}>"


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"

"""Which rows were looked at, so that each is told at most once per rule, over restarts too. Pure.

The follower gives rows in order, but after a restart it begins a little earlier than it had come:
a row may arrive late. What matched within that overlap is remembered, and left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from recorder.clock import NS
from recorder.stream.event import Event

#: How much earlier it begins, and how many matches are remembered for it.
OVERLAP_NS = 30 * NS
_MOST = 10_000

#: Receive time, then what tells one match from another.
_Key = tuple[int, tuple[str | int, ...]]


class Seen:
    """`upto_ns`: the newest receive time looked at; at the beginning, where to begin."""

    def __init__(self, upto_ns: int = 0) -> None:
        self.upto_ns = upto_ns
        self._matched: dict[_Key, None] = {}
        self._floor_ns = upto_ns  # what is older than this is not looked at

    @property
    def since_ns(self) -> int:
        """From where to look again after a restart."""
        return max(self.upto_ns - OVERLAP_NS, self._floor_ns)

    def moved(self, recv_ns: int) -> None:
        """A row was looked at."""
        self.upto_ns = max(self.upto_ns, recv_ns)

    def first_time(self, rule: str, event: Event) -> bool:
        """True if this match is new; it is remembered."""
        kind = getattr(event, "kind", None) or ""
        names = (rule, event.table, event.connection, event.seq, event.item, kind)
        key = (event.recv_ns, names)
        if key in self._matched:
            return False
        self._matched[key] = None
        while len(self._matched) > _MOST:
            oldest = next(iter(self._matched))
            del self._matched[oldest]
            self._floor_ns = max(self._floor_ns, oldest[0] + 1)
        return True

    def state(self) -> dict[str, Any]:
        """What to keep over a restart."""
        since = self.since_ns
        self._matched = {key: None for key in self._matched if key[0] >= since}
        matched = [[recv_ns, list(names)] for recv_ns, names in self._matched]
        return {"upto_ns": self.upto_ns, "floor_ns": self._floor_ns, "matched": matched}

    @classmethod
    def of_state(cls, state: Mapping[str, Any]) -> Seen:
        """Go on from there."""
        seen = cls(int(state["upto_ns"]))
        seen._floor_ns = int(state["floor_ns"])
        seen._matched = {(recv_ns, tuple(names)): None for recv_ns, names in state["matched"]}
        return seen

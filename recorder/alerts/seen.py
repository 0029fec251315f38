"""The rows that were evaluated, so that each alerts at most once per rule, across restarts. Pure.

The follower yields rows in order. Because a row may arrive late, it begins a little earlier after a
restart; matches within that overlap are remembered and skipped.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from recorder.clock import NS
from recorder.stream.event import Event

#: How much earlier a restart begins, and how many matches are remembered for it.
OVERLAP_NS = 30 * NS
_MOST = 10_000

#: Receive time, then the identity of a match.
_Key = tuple[int, tuple[str | int, ...]]


class Seen:
    """The evaluated rows; `upto_ns` is the newest receive time, or where to begin."""

    def __init__(self, upto_ns: int = 0) -> None:
        self.upto_ns = upto_ns
        self._matched: dict[_Key, None] = {}
        self._floor_ns = upto_ns  # older rows are not evaluated

    @property
    def since_ns(self) -> int:
        """The receive time at which to begin after a restart."""
        return max(self.upto_ns - OVERLAP_NS, self._floor_ns)

    def moved(self, recv_ns: int) -> None:
        """Note that rows up to `recv_ns` were evaluated."""
        self.upto_ns = max(self.upto_ns, recv_ns)

    def first_time(self, rule: str, event: Event) -> bool:
        """Return True if this match is new, and remember it."""
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
        """Return the state to keep over a restart."""
        since = self.since_ns
        self._matched = {key: None for key in self._matched if key[0] >= since}
        matched = [[recv_ns, list(names)] for recv_ns, names in self._matched]
        return {"upto_ns": self.upto_ns, "floor_ns": self._floor_ns, "matched": matched}

    @classmethod
    def of_state(cls, state: Mapping[str, Any]) -> Seen:
        """Return the object that `state` described."""
        seen = cls(int(state["upto_ns"]))
        seen._floor_ns = int(state["floor_ns"])
        seen._matched = {(recv_ns, tuple(names)): None for recv_ns, names in state["matched"]}
        return seen

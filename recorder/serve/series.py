"""What was counted second by second since serve began: rates, and latency percentiles."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from recorder.stream.event import Event

KEPT_SECONDS = 900
BUCKET_SECONDS = 5
PERCENTILES = (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))
RATES = ("frames", "bytes", "events")

#: So many values of a hop are enough for a bucket's percentiles.
_SAMPLES = 5_000
#: A feed's name comes from a directory: even a thousand of them may not fill memory.
_MOST_FEEDS = 100


@dataclass(slots=True)
class _Hop:
    """The values of one bucket, in ms; `every` second one is kept where too many come."""

    values: list[float] = field(default_factory=list)
    count: int = 0
    clock_error_ns: int | None = None

    def add(self, value: float, clock_error_ns: int | None) -> None:
        self.count += 1
        self.clock_error_ns = clock_error_ns
        if len(self.values) < _SAMPLES:
            self.values.append(value)
        else:  # the newest take the places of the oldest
            self.values[self.count % _SAMPLES] = value

    def told(self) -> dict[str, Any]:
        ordered = sorted(self.values)
        last = len(ordered) - 1
        found: dict[str, Any] = {
            name: round(ordered[round(p * last)], 3) for name, p in PERCENTILES
        }
        return found | {"n": self.count, "clock_error_ns": self.clock_error_ns}


Hops = dict[str, dict[str, dict[str, Any]]]


class Series:
    """Columns over time, kept for 15 minutes; times are whole epoch seconds."""

    def __init__(self) -> None:
        self._rates: deque[tuple[int, dict[str, dict[str, float]]]] = deque(maxlen=KEPT_SECONDS)
        self._buckets: deque[tuple[int, Hops]] = deque(maxlen=KEPT_SECONDS // BUCKET_SECONDS)
        self._now: dict[str, dict[str, float]] = {}
        self._hops: dict[tuple[str, str], _Hop] = defaultdict(_Hop)

    def count(self, feed: str, *, frames: int = 0, size: int = 0, events: int = 0) -> None:
        """So many more of a feed came."""
        if feed not in self._now and len(self._now) >= _MOST_FEEDS:
            return
        counts = self._now.setdefault(feed, dict.fromkeys(RATES, 0))
        counts["frames"] += frames
        counts["bytes"] += size
        counts["events"] += events

    def measure(self, latencies: Iterable[Event]) -> None:
        """Rows of the table `latency`; past events sent again are no latency."""
        for row in latencies:
            if getattr(row, "backfill", None):
                continue
            error = getattr(row, "clock_error_ns", None)
            for hop, value in hops_of(row):
                key = (row.feed, hop)
                if key in self._hops or len(self._hops) < 4 * _MOST_FEEDS:
                    self._hops[key].add(value / 1e6, error)

    def second(self, t: int, seconds: float) -> tuple[dict[str, dict[str, float]], Hops]:
        """End a second of so many real ones: its rates, and the latest bucket's latency so far."""
        rates = {
            feed: {name: round(value / seconds, 3) for name, value in counts.items()}
            for feed, counts in self._now.items()
        }
        for counts in self._now.values():
            counts.update(dict.fromkeys(RATES, 0))
        self._rates.append((t, rates))
        latency: Hops = {}
        for (feed, hop), one in self._hops.items():
            latency.setdefault(feed, {})[hop] = one.told()
        if t % BUCKET_SECONDS == 0:
            if latency:
                self._buckets.append((t, latency))
            self._hops.clear()
        return rates, latency

    def feeds(self) -> list[str]:
        """The feeds that were counted, sorted."""
        return sorted(self._now)

    def rates(self, seconds: int) -> dict[str, Any]:
        """Frames, bytes and events per second and feed, columnar; null where nothing is known."""
        rows = [row for row in self._rates if row[0] > self._newest(self._rates) - seconds]
        keys = sorted({(feed, name) for _, found in rows for feed in found for name in RATES})
        series = [
            {
                "feed": feed,
                "name": name,
                "values": [found.get(feed, {}).get(name) for _, found in rows],
            }
            for feed, name in keys
        ]
        return {"t": [t for t, _ in rows], "series": series}

    def latency(self, seconds: int) -> dict[str, Any]:
        """Percentiles in ms per feed and hop, over buckets of 5 s; columnar."""
        rows = [row for row in self._buckets if row[0] > self._newest(self._buckets) - seconds]
        keys = sorted(
            {(feed, hop) for _, found in rows for feed, hops in found.items() for hop in hops}
        )
        series = [
            {
                "feed": feed,
                "hop": hop,
                "name": name,
                "values": [_at(found, feed, hop, name) for _, found in rows],
            }
            for feed, hop in keys
            for name in ("p50", "p95", "p99", "n", "clock_error_ns")
        ]
        return {"t": [t for t, _ in rows], "series": series}

    @staticmethod
    def _newest(rows: deque[Any]) -> int:
        return int(rows[-1][0]) if rows else 0


def _at(found: Mapping[str, Any], feed: str, hop: str, name: str) -> float | None:
    value: float | None = found.get(feed, {}).get(hop, {}).get(name)
    return value


def hops_of(row: Any) -> Iterable[tuple[str, int]]:
    """The known hops of a row of `latency`, in ns, as the query `latency_hops` has them."""
    if row.total_ns is not None:
        yield "total", row.total_ns
    if row.network_ns is not None:
        yield "network", row.network_ns
    if row.detected_ns is not None:
        if row.publish_ns is not None:
            yield "detection", row.detected_ns - row.publish_ns
        if row.dispatch_ns is not None:
            yield "dispatch", row.dispatch_ns - row.detected_ns

"""Rates per second and latency percentiles per 5 s, counted since serve began."""

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

#: The number of values of a hop kept for a bucket's percentiles.
_SAMPLES = 5_000
#: The most feeds that are counted: a data directory with many must not fill the memory.
_MOST_FEEDS = 100


@dataclass(slots=True)
class _Hop:
    """The latencies of one hop in one bucket, in ms: the newest values, and how many there were."""

    values: list[float] = field(default_factory=list)
    count: int = 0
    clock_error_ns: int | None = None

    def add(self, value: float, clock_error_ns: int | None) -> None:
        self.count += 1
        self.clock_error_ns = clock_error_ns
        if len(self.values) < _SAMPLES:
            self.values.append(value)
        else:  # replace the oldest value
            self.values[self.count % _SAMPLES] = value

    def summary(self) -> dict[str, Any]:
        ordered = sorted(self.values)
        last = len(ordered) - 1
        percentiles: dict[str, Any] = {
            name: round(ordered[round(p * last)], 3) for name, p in PERCENTILES
        }
        return percentiles | {"n": self.count, "clock_error_ns": self.clock_error_ns}


Hops = dict[str, dict[str, dict[str, Any]]]


class LiveSeries:
    """Rates and latencies of the last 15 minutes; times are whole epoch seconds."""

    def __init__(self) -> None:
        self._rates: deque[tuple[int, dict[str, dict[str, float]]]] = deque(maxlen=KEPT_SECONDS)
        self._buckets: deque[tuple[int, Hops]] = deque(maxlen=KEPT_SECONDS // BUCKET_SECONDS)
        self._now: dict[str, dict[str, float]] = {}
        self._hops: dict[tuple[str, str], _Hop] = defaultdict(_Hop)

    def count(self, feed: str, *, frames: int = 0, size: int = 0, events: int = 0) -> None:
        """Add to a feed's counts of the current second."""
        if feed not in self._now and len(self._now) >= _MOST_FEEDS:
            return
        counts = self._now.setdefault(feed, dict.fromkeys(RATES, 0))
        counts["frames"] += frames
        counts["bytes"] += size
        counts["events"] += events

    def measure(self, latencies: Iterable[Event]) -> None:
        """Add rows of the table `latency` to the current bucket, without those of past events."""
        for row in latencies:
            if getattr(row, "backfill", None):
                continue
            error = getattr(row, "clock_error_ns", None)
            for hop, value in hops_of(row):
                key = (row.feed, hop)
                if key in self._hops or len(self._hops) < 4 * _MOST_FEEDS:
                    self._hops[key].add(value / 1e6, error)

    def second(self, t: int, seconds: float) -> tuple[dict[str, dict[str, float]], Hops]:
        """End the second `t`, which took `seconds`; return its rates and the bucket's latencies."""
        rates = {
            feed: {name: round(value / seconds, 3) for name, value in counts.items()}
            for feed, counts in self._now.items()
        }
        for counts in self._now.values():
            counts.update(dict.fromkeys(RATES, 0))
        self._rates.append((t, rates))
        latency: Hops = {}
        for (feed, hop), one in self._hops.items():
            latency.setdefault(feed, {})[hop] = one.summary()
        if t % BUCKET_SECONDS == 0:
            if latency:
                self._buckets.append((t, latency))
            self._hops.clear()
        return rates, latency

    def feeds(self) -> list[str]:
        """Return the feeds that were counted, sorted."""
        return sorted(self._now)

    def rates(self, seconds: int) -> dict[str, Any]:
        """Return frames, bytes and events per second and feed, in columns; null if unknown."""
        rows = [row for row in self._rates if row[0] > self._newest(self._rates) - seconds]
        keys = sorted({(feed, name) for _, feeds in rows for feed in feeds for name in RATES})
        series = [
            {
                "feed": feed,
                "name": name,
                "values": [feeds.get(feed, {}).get(name) for _, feeds in rows],
            }
            for feed, name in keys
        ]
        return {"t": [t for t, _ in rows], "series": series}

    def latency(self, seconds: int) -> dict[str, Any]:
        """Return latency percentiles in ms per feed and hop, in columns, one row per 5 s."""
        rows = [row for row in self._buckets if row[0] > self._newest(self._buckets) - seconds]
        keys = sorted(
            {(feed, hop) for _, feeds in rows for feed, hops in feeds.items() for hop in hops}
        )
        series = [
            {
                "feed": feed,
                "hop": hop,
                "name": name,
                "values": [_at(feeds, feed, hop, name) for _, feeds in rows],
            }
            for feed, hop in keys
            for name in ("p50", "p95", "p99", "n", "clock_error_ns")
        ]
        return {"t": [t for t, _ in rows], "series": series}

    @staticmethod
    def _newest(rows: deque[Any]) -> int:
        return int(rows[-1][0]) if rows else 0


def _at(feeds: Mapping[str, Any], feed: str, hop: str, name: str) -> float | None:
    value: float | None = feeds.get(feed, {}).get(hop, {}).get(name)
    return value


def hops_of(row: Any) -> Iterable[tuple[str, int]]:
    """Yield the known hops of a row of `latency`, in ns, as in the macro `latency_hops`."""
    if row.total_ns is not None:
        yield "total", row.total_ns
    if row.network_ns is not None:
        yield "network", row.network_ns
    if row.detected_ns is not None:
        if row.publish_ns is not None:
            yield "detection", row.detected_ns - row.publish_ns
        if row.dispatch_ns is not None:
            yield "dispatch", row.dispatch_ns - row.detected_ns

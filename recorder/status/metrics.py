"""The status as Prometheus metrics: base units, `_total` for counters, few labels.

No label is a wallet, a symbol or a connection's id: their number would grow without bound.
`docs/status.md` lists every name; a test compares the two.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from recorder.clock import NS
from recorder.status.conditions import CONDITIONS
from recorder.status.model import OPEN, SEVERITIES, Connection, FeedStatus, Status

#: The content type of `text`.
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

#: Upper bounds of the latency histogram's buckets, seconds.
BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

PREFIX = "recorder_"


class Latencies:
    """Counts latencies per feed and hop while the process lives."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str], list[int]] = {}
        self._sums: dict[tuple[str, str], float] = {}

    def add(self, feed: str, hop: str, seconds: Iterable[float]) -> None:
        """Count latencies; a negative one (clocks differ) falls in the first bucket."""
        counts = self._counts.setdefault((feed, hop), [0] * (len(BOUNDS) + 1))
        for value in seconds:
            counts[next((i for i, bound in enumerate(BOUNDS) if value <= bound), -1)] += 1
            self._sums[feed, hop] = self._sums.get((feed, hop), 0.0) + value

    def rows(self) -> Iterator[tuple[str, str, list[int], float]]:
        """Yield feed, hop, the counts of all buckets, and the sum in seconds."""
        for (feed, hop), counts in sorted(self._counts.items()):
            yield feed, hop, counts, self._sums.get((feed, hop), 0.0)


def text(status: Status | None, latencies: Latencies | None = None) -> str:
    """Return metrics in Prometheus' text format; `status` None: only `recorder_up 0`."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(StatusCollector(status, latencies))
    return generate_latest(registry).decode()


@dataclass(frozen=True, slots=True)
class StatusCollector(Collector):
    """One status as metrics, for a registry of prometheus_client."""

    status: Status | None
    latencies: Latencies | None = None

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics; an unknown value has no sample."""
        yield _gauge("up", "1 if the status could be read", [((), self.status is not None)])
        if self.status is not None:
            yield from _process(self.status)
            yield from _disk(self.status)
            yield from _feeds(self.status.feeds)
            yield from _lines([one for feed in self.status.feeds for one in feed.connections])
        if self.latencies is not None:
            yield _histogram(self.latencies)


Sample = tuple[Sequence[str], float | int | bool | None]


def _gauge(name: str, says: str, samples: Iterable[Sample], labels: Sequence[str] = ()) -> Metric:
    family = GaugeMetricFamily(PREFIX + name, says, labels=labels)
    for values, value in samples:
        if value is not None:
            family.add_metric(list(values), float(value))
    return family


def _counter(name: str, says: str, samples: Iterable[Sample], labels: Sequence[str] = ()) -> Metric:
    family = CounterMetricFamily(PREFIX + name, says, labels=labels)
    for values, value in samples:
        if value is not None:
            family.add_metric(list(values), float(value))
    return family


def _process(status: Status) -> Iterator[Metric]:
    capture, ingest = status.capture, status.ingest
    about = ((status.version,), 1)
    yield _gauge("build_info", "The recorder's version", [about], ("version",))
    yield _gauge("healthy", "1 if no problem is critical", [((), status.healthy)])
    yield _gauge("ready", "1 if some feed is fresh", [((), status.ready)])
    counts = [((s,), sum(p.severity == s for p in status.problems)) for s in SEVERITIES]
    yield _gauge("problems", "Problems now", counts, ("severity",))
    says = "How many times a condition holds now"
    yield _gauge("problem", says, _conditions(status), ("condition", "severity", "feed"))
    yield _gauge("capture_running", "1 if frames are being recorded", [((), capture.running)])
    since = _seconds(capture.since_ns)
    yield _gauge("capture_start_time_seconds", "When capture began", [((), since)])
    says = "1 if the journal takes nothing"
    yield _gauge("journal_unwritable", says, [((), capture.unwritable)])
    yield _gauge("ingest_running", "1 if the tables are being filled", [((), ingest.running)])
    newest = _age(status.at_ns, ingest.newest_ns)
    yield _gauge("ingest_age_seconds", "Age of the newest frame in the tables", [((), newest)])
    published = _seconds(ingest.published_ns)
    says = "When the tables were published"
    yield _gauge("database_published_timestamp_seconds", says, [((), published)])
    yield _gauge("database_bytes", "Size of the tables", [((), ingest.database_bytes)])
    says = "Frames that could not be normalised, in the tables now"
    yield _gauge("rejects", says, [((), ingest.rejects)])


def _conditions(status: Status) -> Iterator[Sample]:
    """Yield how often each condition holds, 0 if it does not; per feed if it is about one."""
    counts = Counter((problem.condition, problem.feed) for problem in status.problems)
    feeds = sorted(
        {*(feed.name for feed in status.feeds), *(p.feed for p in status.problems)} - {""}
    )
    for one in CONDITIONS.values():
        for feed in feeds if one.of_feed else [""]:
            yield (one.name, one.severity, feed), counts[one.name, feed]


def _disk(status: Status) -> Iterator[Metric]:
    disk = status.disk
    if disk is None:
        return
    yield _gauge("disk_free_bytes", "Free for the record", [((), disk.free_bytes)])
    yield _gauge("disk_size_bytes", "Size of the record's file system", [((), disk.total_bytes)])
    says = "How fast the record grows"
    yield _gauge("disk_growth_bytes_per_second", says, [((), disk.bytes_per_second)])
    left = None if disk.hours_left is None else disk.hours_left * 3600
    yield _gauge("disk_full_in_seconds", "Until the disk is full, at this rate", [((), left)])


def _feeds(feeds: Sequence[FeedStatus]) -> Iterator[Metric]:
    def each(field: str) -> list[Sample]:
        return [((feed.name,), getattr(feed, field)) for feed in feeds]

    by = ("feed",)
    yield _gauge("feed_recorded", "1 if a process records the feed", each("recorded"), by)
    says = "1 if a proof of life came within the limit of silence"
    yield _gauge("feed_fresh", says, each("fresh"), by)
    last = [((feed.name,), _seconds(feed.last_frame_ns)) for feed in feeds]
    says = "When the newest data frame was received"
    yield _gauge("feed_last_frame_timestamp_seconds", says, last, by)
    yield _counter("frames_total", "Data frames, since the watcher began", each("frames"), by)
    yield _counter("bytes_total", "Payload bytes of these", each("bytes"), by)
    says = "Journals not sealed yet"
    yield _gauge("journal_backlog_bytes", says, each("backlog_bytes"), by)
    for name, says, field in _TODAY:
        yield _gauge(name, f"{says}, this UTC day", each(field), by)


_TODAY = (
    ("reconnects_today", "Connections that followed another", "reconnects_today"),
    ("gaps_today", "Intervals without a line's cover, and holes in numbers", "gaps_today"),
    ("gap_seconds_today", "Without cover on some line; lines add up", "gap_seconds_today"),
    ("uncovered_seconds_today", "Without cover on any line", "uncovered_seconds_today"),
    ("frames_missing_today", "Frames missing by number", "frames_missing_today"),
)


def _lines(lines: Sequence[Connection]) -> Iterator[Metric]:
    by = ("feed", "line_group", "line")
    names = [(one.feed, one.line_group or "", one.line or "") for one in lines]

    def each(values: Iterable[float | int | bool | None]) -> Iterator[Sample]:
        return zip(names, values, strict=True)

    yield _gauge("line_connected", "1 if connected", each(c.state == OPEN for c in lines), by)
    heard = each(_seconds(c.heard_ns) for c in lines)
    says = "Its last proof of life on disk"
    yield _gauge("line_heard_timestamp_seconds", says, heard, by)
    says = "Of the time since it first opened this UTC day, the connected part"
    yield _gauge("line_uptime_ratio", says, each(c.uptime for c in lines), by)
    rtt = each(c.rtt_seconds for c in lines)
    yield _gauge("line_round_trip_seconds", "Ping to pong, last measured", rtt, by)
    for name, says, field, unit in _WORST:
        worst: dict[str, float] = {}
        for one in lines:
            value = getattr(one, field)
            if value is not None:
                worst[one.feed] = max(worst.get(one.feed, 0.0), value / unit)
        samples: list[Sample] = [((feed,), value) for feed, value in sorted(worst.items())]
        yield _gauge(name, says, samples, ("feed",))


#: Each line notes these for the whole process: the worst of a feed's lines counts.
_WORST = (
    ("capture_loop_lag_seconds", "Worst delay of capture's event loop, last measured",
     "lag_seconds", 1),
    ("clock_error_seconds", "The kernel's estimate of the clock's error", "clock_error_ns", NS),
)  # fmt: skip


def _histogram(latencies: Latencies) -> Metric:
    says = "Latency of data frames by hop, as far as serve saw them"
    family = HistogramMetricFamily(PREFIX + "latency_seconds", says, labels=("feed", "hop"))
    for feed, hop, counts, total in latencies.rows():
        below, buckets = 0, []
        for bound, count in zip((*map(str, BOUNDS), "+Inf"), counts, strict=True):
            below += count
            buckets.append((bound, float(below)))
        family.add_metric([feed, hop], buckets, total)
    return family


def names(exposition: str) -> set[str]:
    """Return every metric name with samples in an exposition, as queries spell it."""
    lines = (line for line in exposition.splitlines() if line and not line.startswith("#"))
    return {line.partition("{")[0].partition(" ")[0] for line in lines}


def _seconds(ns: int | None) -> float | None:
    return None if ns is None else ns / NS


def _age(now_ns: int, at_ns: int | None) -> float | None:
    return None if at_ns is None else max(now_ns - at_ns, 0) / NS

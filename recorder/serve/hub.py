"""The hub: follows the record in a thread and passes new events to every client.

The event loop never waits for the record: the thread reads it, encodes each event once as JSON, and
passes it to the loop, which puts it into the clients' bounded queues.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import duckdb

from recorder.errors import RecorderError
from recorder.reporter import Reporter
from recorder.serve.client import LiveClient, message
from recorder.serve.filters import EventFilter
from recorder.serve.live_event import TABLES, LiveEvent
from recorder.serve.series import LiveSeries, hops_of
from recorder.status import metrics
from recorder.stream.event import Event
from recorder.stream.live import Follower

if TYPE_CHECKING:
    from recorder.serve.poller import StatusPoller

#: The number of newest events kept of each table, so that prices do not displace rare listings.
_KEPT = 200
#: The most events in a client's first message.
_HELLO = 200
#: The time in s before the record is opened again after a failure.
_RETRY_SECONDS = 2.0

#: The tables that are followed; events of `latency` are measured but not shown.
FOLLOWED = (*TABLES, "latency")


@dataclass(frozen=True, slots=True)
class EventBatch:
    """The events of one poll, and how many of them were late."""

    events: Sequence[LiveEvent]
    late: int


class Hub:
    """The newest events, the series and the clients; `start` and `close` run in the event loop."""

    def __init__(
        self,
        follow: Callable[[], Follower],
        poller: StatusPoller,
        past: Callable[[], list[Event]],
        reporter: Reporter,
    ) -> None:
        self._follow, self.poller, self._past, self._reporter = follow, poller, past, reporter
        self.series = LiveSeries()
        self._latencies = metrics.Latencies()
        self.clients: set[LiveClient] = set()
        self.error: RecorderError | None = None
        self.started_ns = time.time_ns()
        self.totals = {"events": 0, "looks": 0, "late": 0}
        self._recent = {table: deque[LiveEvent](maxlen=_KEPT) for table in TABLES}
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="follow", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ticking: asyncio.Task[None] | None = None

    # -- the loop's side

    def start(self) -> None:
        """Start the thread and the clock."""
        self._loop = asyncio.get_running_loop()
        self._ticking = asyncio.create_task(self._tick())
        self._thread.start()

    async def close(self) -> None:
        """Stop the thread and the clock; the server closes the clients."""
        self._stopped.set()
        if self._ticking is not None:
            self._ticking.cancel()
        await asyncio.to_thread(self._thread.join, 10.0)

    def recent(self, wanted: EventFilter) -> list[LiveEvent]:
        """Return the newest events that pass a filter, oldest first."""
        events = [event for table in wanted.tables for event in self._recent[table]]
        events.sort(key=lambda event: event.recv_ns)
        return wanted.chosen(events)[-_HELLO:]

    def feeds(self) -> list[str]:
        """Return the feeds with frames since serve began, sorted."""
        with self._lock:
            return self.series.feeds()

    def read(self, what: str, seconds: int) -> dict[str, Any]:
        """Return the series `rates` or `latency` of the last `seconds`."""
        with self._lock:
            return self.series.rates(seconds) if what == "rates" else self.series.latency(seconds)

    def metrics(self) -> str:
        """Return the status and the latencies since serve began as Prometheus metrics."""
        with self._lock:
            return metrics.text(self.poller.status, self._latencies)

    def exchanges(self) -> list[str]:
        """Return the exchanges of the newest events, sorted."""
        return sorted({event.exchange for kept in self._recent.values() for event in kept})[:200]

    def broadcast(self, text: bytes) -> None:
        """Queue a message for every client."""
        for client in self.clients:
            client.enqueue(text)

    def _distribute(self, batch: EventBatch) -> None:
        for event in batch.events:
            self._recent[event.table].append(event)
        for client in self.clients:
            client.offer(batch.events, batch.late)

    async def _tick(self) -> None:
        """Send the last second's counts, the status and new alerts to the clients, every second."""
        before = time.monotonic()
        while True:
            await asyncio.sleep(1.0 - time.time() % 1.0)
            now = time.monotonic()
            with self._lock:
                rates, latency = self.series.second(round(time.time()), max(now - before, 1e-3))
            before = now
            if self.clients:
                t = round(time.time())
                self.broadcast(message("second", t=t, rates=rates, latency=latency))
            status = await asyncio.to_thread(self.poller.poll)
            if self.clients and status is not None:
                self.broadcast(message("status", status=status))
            for alert in await asyncio.to_thread(self.poller.alerts):
                self.broadcast(message("alert", alert=alert))

    # -- the thread's side

    def _run(self) -> None:
        self._pass_on(EventBatch(self._published(), 0))
        while not self._stopped.is_set():
            try:
                self._follow_record()
            except RecorderError as error:
                self._failed(error)
            except Exception as error:
                self._failed(RecorderError(f"{type(error).__name__}: {str(error)[:500]}"))
            self._stopped.wait(_RETRY_SECONDS)

    def _published(self) -> list[LiveEvent]:
        try:
            return [LiveEvent(event) for event in self._past()]
        except (RecorderError, duckdb.Error) as error:
            self._failed(RecorderError(f"earlier events are not shown: {error}"))
            return []

    def _failed(self, error: RecorderError) -> None:
        if str(error) != str(self.error):
            self._reporter.warn(str(error))
        self.error = error

    def _follow_record(self) -> None:
        follower = self._follow()
        try:
            while not self._stopped.is_set():
                late = follower.late
                events = list(follower.ready())
                self.error = None
                self._count(events, follower.late - late, follower.counted())
                if not events:
                    self._stopped.wait(follower.pause)
        finally:
            follower.close()

    def _count(self, events: Collection[Event], late: int, counted: dict[str, Any]) -> None:
        shown = [LiveEvent(event) for event in events if event.table != "latency"]
        measured = [event for event in events if event.table == "latency"]
        with self._lock:
            self.series.measure(measured)
            for event in measured:
                if not getattr(event, "backfill", None):
                    for hop, ns in hops_of(event):
                        self._latencies.add(event.feed, hop, [ns / 1e9])
            for feed, (frames, size) in counted.items():
                self.series.count(feed, frames=frames, size=size)
            for one in shown:
                self.series.count(one.feed, events=1)
        self.totals["looks"] += 1
        self.totals["late"] += late
        self.totals["events"] += len(shown)
        if shown:
            self._pass_on(EventBatch(shown, late))

    def _pass_on(self, batch: EventBatch) -> None:
        if self._loop is None or self._stopped.is_set():
            return
        for event in batch.events:
            _ = event.json  # encode in this thread, not in the loop
        self._loop.call_soon_threadsafe(self._distribute, batch)

"""Follows the record in a thread of its own, and hands what comes to every client.

The event loop never waits for the record: the thread looks, makes each event's JSON once, and
throws it over to the loop, which fans it out into the clients' bounded queues.
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
from recorder.serve.client import Client, message
from recorder.serve.filters import Filter
from recorder.serve.series import Series, hops_of
from recorder.serve.shown import TABLES, Shown
from recorder.status import metrics
from recorder.stream.event import Event
from recorder.stream.live import Follower

if TYPE_CHECKING:
    from recorder.serve.poller import Lookout

#: Of each table the newest are kept, so that a rare listing is there beside a flood of prices.
_KEPT = 200
_HELLO = 200
#: After a failure the record is opened again, no sooner than after so long.
_AGAIN_SECONDS = 2.0

#: What is followed: `latency` is only measured.
FOLLOWED = (*TABLES, "latency")


@dataclass(frozen=True, slots=True)
class Batch:
    """What one look brought."""

    events: Sequence[Shown]
    late: int


class Hub:
    """The newest events, the series, and the clients; `start` and `close` belong to the loop."""

    def __init__(
        self,
        follow: Callable[[], Follower],
        lookout: Lookout,
        past: Callable[[], list[Event]],
        say: Callable[[str], object],
    ) -> None:
        self._follow, self.lookout, self._past, self._say = follow, lookout, past, say
        self.series = Series()
        self._latencies = metrics.Latencies()
        self.clients: set[Client] = set()
        self.trouble: RecorderError | None = None
        self.started_ns = time.time_ns()
        self.totals = {"events": 0, "looks": 0, "late": 0}
        self._recent = {table: deque[Shown](maxlen=_KEPT) for table in TABLES}
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="follow", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ticking: asyncio.Task[None] | None = None

    # -- the loop's side

    def start(self) -> None:
        """Begin to follow."""
        self._loop = asyncio.get_running_loop()
        self._ticking = asyncio.create_task(self._tick())
        self._thread.start()

    async def close(self) -> None:
        """End the thread and the clock; the clients are the server's to close."""
        self._stopped.set()
        if self._ticking is not None:
            self._ticking.cancel()
        await asyncio.to_thread(self._thread.join, 10.0)

    def recent(self, wanted: Filter) -> list[Shown]:
        """The newest events by a filter, oldest first."""
        found = [event for table in wanted.tables for event in self._recent[table]]
        found.sort(key=lambda event: event.recv_ns)
        return wanted.chosen(found)[-_HELLO:]

    def feeds(self) -> list[str]:
        """The feeds that brought anything since serve began, sorted."""
        with self._lock:
            return self.series.feeds()

    def read(self, what: str, seconds: int) -> dict[str, Any]:
        """What was counted: `rates` or `latency`."""
        with self._lock:
            return self.series.rates(seconds) if what == "rates" else self.series.latency(seconds)

    def metrics(self) -> str:
        """The status and the latencies since serve began, for Prometheus."""
        with self._lock:
            return metrics.text(self.lookout.status, self._latencies)

    def exchanges(self) -> list[str]:
        """The exchanges of what is kept, sorted."""
        return sorted({event.exchange for kept in self._recent.values() for event in kept})[:200]

    def tell(self, text: bytes) -> None:
        """Send a message to every client."""
        for client in self.clients:
            client.tell(text)

    def _spread(self, batch: Batch) -> None:
        for event in batch.events:
            self._recent[event.table].append(event)
        for client in self.clients:
            client.offer(batch.events, batch.late)

    async def _tick(self) -> None:
        """Once a second: what was counted, how everything is, and which alerts fired."""
        before = time.monotonic()
        while True:
            await asyncio.sleep(1.0 - time.time() % 1.0)
            now = time.monotonic()
            with self._lock:
                rates, latency = self.series.second(round(time.time()), max(now - before, 1e-3))
            before = now
            if self.clients:
                t = round(time.time())
                self.tell(message("second", t=t, rates=rates, latency=latency))
            status = await asyncio.to_thread(self.lookout.look)
            if self.clients and status is not None:
                self.tell(message("status", status=status))
            for alert in await asyncio.to_thread(self.lookout.alerts):
                self.tell(message("alert", alert=alert))

    # -- the thread's side

    def _run(self) -> None:
        self._throw(Batch(self._before(), 0))
        while not self._stopped.is_set():
            try:
                self._following()
            except RecorderError as error:
                self._troubled(error)
            except Exception as error:
                self._troubled(RecorderError(f"{type(error).__name__}: {str(error)[:500]}"))
            self._stopped.wait(_AGAIN_SECONDS)

    def _before(self) -> list[Shown]:
        try:
            return [Shown(event) for event in self._past()]
        except (RecorderError, duckdb.Error) as error:
            self._troubled(RecorderError(f"the past is not shown: {error}"))
            return []

    def _troubled(self, error: RecorderError) -> None:
        if str(error) != str(self.trouble):
            self._say(str(error))
        self.trouble = error

    def _following(self) -> None:
        follower = self._follow()
        try:
            while not self._stopped.is_set():
                late = follower.late
                events = list(follower.ready())
                self.trouble = None
                self._took(events, follower.late - late, follower.counted())
                if not events:
                    self._stopped.wait(follower.pause)
        finally:
            follower.close()

    def _took(self, events: Collection[Event], late: int, counted: dict[str, Any]) -> None:
        shown = [Shown(event) for event in events if event.table != "latency"]
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
            self._throw(Batch(shown, late))

    def _throw(self, batch: Batch) -> None:
        if self._loop is None or self._stopped.is_set():
            return
        for event in batch.events:
            _ = event.json  # made here, not in the loop
        self._loop.call_soon_threadsafe(self._spread, batch)

"""One client of the live connection: its filter, and its bounded queue of messages."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence

import msgspec

from recorder.serve import conflate
from recorder.serve.conflate import Allowance
from recorder.serve.filters import EventFilter
from recorder.serve.live_event import RANKS, LiveEvent

#: The most events that wait for a client; then the oldest are dropped.
MOST_WAITING = 2_000
#: The most other messages (status, seconds, alerts) that wait; then the oldest are dropped.
MOST_NOTES = 200
#: The most events that a screen can show per second, and at once; the rest are left out.
SHOWN_A_SECOND, SHOWN_AT_ONCE = 2_000, 1_500

_encoder = msgspec.json.Encoder()


class LiveClient:
    """The state of one connection; used in the event loop's thread, bounded in memory."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.filter = EventFilter()
        self.watched: frozenset[str] = frozenset()
        self.paused = False
        self.dropped = self.left_out = 0  # since the last batch
        self.ready = asyncio.Event()
        self._clock = clock
        self._waiting: list[deque[LiveEvent]] = [deque() for _ in range(RANKS)]
        self._watched: deque[LiveEvent] = deque(maxlen=MOST_NOTES)
        self._notes: deque[bytes] = deque(maxlen=MOST_NOTES)
        self._late = 0
        self._allowance = Allowance.full(SHOWN_A_SECOND, SHOWN_AT_ONCE, clock())

    def offer(self, events: Iterable[LiveEvent], late: int = 0) -> None:
        """Queue those of the new events that the client wants.

        If too many wait, the oldest are removed. They count as `left_out` if the queue was empty
        before, else as `dropped`.
        """
        kept_up = not any(self._waiting)
        for event in events:
            if self.filter(event):
                if not self.paused:
                    self._waiting[event.rank].append(event)
            elif event.table in self.watched:
                self._watched.append(event)
        self._late += late
        over = conflate.drop_oldest(self._waiting, MOST_WAITING)
        if kept_up:
            self.left_out += over
        else:
            self.dropped += over
        if self._watched or any(self._waiting):
            self.ready.set()

    def enqueue(self, message: bytes) -> None:
        """Queue a message other than events, as complete JSON."""
        self._notes.append(message)
        self.ready.set()

    def change(self, wanted: EventFilter) -> None:
        """Set another filter, and discard the events that wait by the old one."""
        self.filter = wanted
        for rank in self._waiting:
            rank.clear()

    def pause(self, paused: bool) -> None:
        """Stop or resume the events; events of a pause do not count as left out."""
        self.paused = paused
        if paused:
            for rank in self._waiting:
                rank.clear()

    def take(self) -> list[bytes]:
        """Return the messages to send now, and empty the queue."""
        self.ready.clear()
        messages = list(self._notes)
        self._notes.clear()
        if self._watched:
            messages.append(message("watched", list(self._watched)))
            self._watched.clear()
        if any(self._waiting):
            messages.append(self._batch())
        return messages

    def _batch(self) -> bytes:
        events, left_out = conflate.newest(self._waiting, self._allowance.room(self._clock()))
        self._allowance.used(len(events))
        events.sort(key=lambda event: event.recv_ns)
        counts = {"left_out": self.left_out + left_out, "dropped": self.dropped, "late": self._late}
        self.left_out = self.dropped = self._late = 0
        return message("events", events, sent_ns=str(time.time_ns()), **counts)


def message(kind: str, events: Sequence[LiveEvent] | None = None, **fields: object) -> bytes:
    """Return a message as JSON; the events' JSON is inserted unchanged."""
    body: dict[str, object] = {"type": kind, **fields}
    if events is not None:
        body["events"] = [msgspec.Raw(event.json) for event in events]
    return _encoder.encode(body)

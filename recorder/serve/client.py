"""One client of the live connection: what it wants, and what waits to be sent to it."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence

import msgspec

from recorder.serve import conflate
from recorder.serve.conflate import Allowance
from recorder.serve.filters import Filter
from recorder.serve.shown import RANKS, Shown

#: So many events wait for a client that does not read; then the oldest go.
MOST_WAITING = 2_000
#: So many other messages (status, seconds, alerts) wait; then the oldest go.
MOST_NOTES = 200
#: What a screen can show; more is conflated.
SHOWN_A_SECOND, SHOWN_AT_ONCE = 2_000, 1_500

_encoder = msgspec.json.Encoder()


class Client:
    """Everything of one connection that lives in the event loop's thread; bounded in memory."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.filter = Filter()
        self.watched: frozenset[str] = frozenset()
        self.paused = False
        self.dropped = self.left_out = 0  # since the last batch
        self.ready = asyncio.Event()
        self._clock = clock
        self._waiting: list[deque[Shown]] = [deque() for _ in range(RANKS)]
        self._seen: deque[Shown] = deque(maxlen=MOST_NOTES)
        self._notes: deque[bytes] = deque(maxlen=MOST_NOTES)
        self._late = 0
        self._allowance = Allowance.full(SHOWN_A_SECOND, SHOWN_AT_ONCE, clock())

    def offer(self, events: Iterable[Shown], late: int = 0) -> None:
        """New events: those that it wants wait to be sent.

        Where too many wait, the oldest go: `left_out` if it had taken all before, else `dropped`.
        """
        kept_up = not any(self._waiting)
        for event in events:
            if self.filter(event):
                if not self.paused:
                    self._waiting[event.rank].append(event)
            elif event.table in self.watched:
                self._seen.append(event)
        self._late += late
        over = conflate.drop_oldest(self._waiting, MOST_WAITING)
        if kept_up:
            self.left_out += over
        else:
            self.dropped += over
        if self._seen or any(self._waiting):
            self.ready.set()

    def tell(self, message: bytes) -> None:
        """Another message, whole JSON, sent in its turn."""
        self._notes.append(message)
        self.ready.set()

    def change(self, wanted: Filter) -> None:
        """From now on it wants other events; what waits by the old filter goes."""
        self.filter = wanted
        for rank in self._waiting:
            rank.clear()

    def pause(self, paused: bool) -> None:
        """A paused client gets no events; they are not counted as left out."""
        self.paused = paused
        if paused:
            for rank in self._waiting:
                rank.clear()

    def take(self) -> list[bytes]:
        """The messages to send now; nothing waits afterwards."""
        self.ready.clear()
        messages = list(self._notes)
        self._notes.clear()
        if self._seen:
            messages.append(message("watched", list(self._seen)))
            self._seen.clear()
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


def message(kind: str, events: Sequence[Shown] | None = None, **fields: object) -> bytes:
    """One message as JSON; the events' own JSON goes in as it is."""
    told: dict[str, object] = {"type": kind, **fields}
    if events is not None:
        told["events"] = [msgspec.Raw(event.json) for event in events]
    return _encoder.encode(told)

"""Delivering to one destination: a thread and a bounded queue, so that nobody waits for it."""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from recorder.alerts.alert import Alert
from recorder.alerts.send import Outcome, Sender
from recorder.backoff import Backoff

DELIVERED, FAILED, DROPPED, WAITING = "delivered", "failed", "dropped", "waiting"

#: So many alerts wait for one destination.
_QUEUE = 1_000

_BACKOFF = Backoff(first=1.0, most=60.0)


def next_delay(
    outcome: Outcome,
    failures: int,
    elapsed: float,
    retry_for: float,
    dice: Callable[[], float] = random.random,
) -> float | None:
    """Seconds until the next attempt after a failed one; None: give up.

    `failures` counts this one, `elapsed` is the time since the first attempt. Pure but for the
    dice.
    """
    if outcome.final:
        return None
    delay = outcome.wait + _BACKOFF.delay(failures, dice)
    return delay if elapsed + delay <= retry_for else None


@dataclass(frozen=True, slots=True)
class Delivery:
    """What became of one alert at one destination."""

    alert: Alert
    destination: str
    outcome: str
    attempts: int = 0
    why: str = ""


class Courier:
    """Sends what it is given, one after the other, and reports what became of each."""

    def __init__(
        self,
        name: str,
        send: Sender,
        retry_for: float,
        report: Callable[[Delivery], None],
        waiting: Iterable[Alert] = (),
    ) -> None:
        self.name, self._send, self._retry_for, self._report = name, send, retry_for, report
        self._queue = deque(waiting)
        self._there = threading.Condition()
        self._hurry = self._over = False
        self._thread = threading.Thread(target=self._work, name=f"to {name}", daemon=True)
        self._thread.start()

    def offer(self, alert: Alert) -> None:
        """Take an alert to send; never waits. Where too many wait, the oldest is given up."""
        dropped = None
        with self._there:
            if len(self._queue) >= _QUEUE:
                dropped = self._queue.popleft()
            self._queue.append(alert)
            self._there.notify()
        if dropped is not None:
            why = f"more than {_QUEUE} were waiting"
            self._report(Delivery(dropped, self.name, DROPPED, why=why))

    def close(self, patience: float) -> list[Alert]:
        """Send what can be sent within so many seconds; what still waits then.

        One whose attempt is under way then is not among them: it may have arrived.
        """
        with self._there:
            self._hurry = True  # nothing is tried twice any more
            self._there.notify()
        self._thread.join(patience)
        with self._there:
            self._over = True
            waiting = list(self._queue)
            self._queue.clear()
        return waiting

    def _work(self) -> None:
        while True:
            with self._there:
                self._there.wait_for(lambda: self._queue or self._hurry)
                if not self._queue or self._over:
                    return
                alert = self._queue.popleft()
            delivery = self._deliver(alert)
            if delivery.outcome == WAITING:
                with self._there:
                    if not self._over:
                        self._queue.appendleft(alert)
                return
            self._report(delivery)

    def _deliver(self, alert: Alert) -> Delivery:
        began, attempts = time.monotonic(), 0
        while True:
            outcome = self._send(alert)
            attempts += 1
            if outcome.delivered:
                return Delivery(alert, self.name, DELIVERED, attempts)
            elapsed = time.monotonic() - began
            delay = next_delay(outcome, attempts, elapsed, self._retry_for)
            if delay is None:
                return Delivery(alert, self.name, FAILED, attempts, outcome.why)
            with self._there:
                if self._there.wait_for(lambda: self._hurry, timeout=delay):
                    return Delivery(alert, self.name, WAITING, attempts, outcome.why)

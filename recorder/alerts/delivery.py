"""Delivery to one destination, by a thread with a bounded queue, so that no caller waits."""

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

#: The most alerts that wait for one destination.
_QUEUE = 1_000

_BACKOFF = Backoff(first=1.0, most=60.0)


def next_delay(
    outcome: Outcome,
    failures: int,
    elapsed: float,
    retry_for: float,
    dice: Callable[[], float] = random.random,
) -> float | None:
    """Return the seconds until the next attempt after a failed one; None: give up.

    `failures` includes this one; `elapsed` is the time since the first attempt. Pure except for
    `dice`.
    """
    if outcome.final:
        return None
    delay = outcome.wait + _BACKOFF.delay(failures, dice)
    return delay if elapsed + delay <= retry_for else None


@dataclass(frozen=True, slots=True)
class Delivery:
    """The outcome of one alert at one destination."""

    alert: Alert
    destination: str
    outcome: str
    attempts: int = 0
    why: str = ""


class DeliveryQueue:
    """Sends its alerts one after the other, and reports the outcome of each."""

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
        self._condition = threading.Condition()
        self._hurry = self._over = False
        self._thread = threading.Thread(target=self._work, name=f"to {name}", daemon=True)
        self._thread.start()

    def offer(self, alert: Alert) -> None:
        """Queue an alert without waiting; if the queue is full, drop the oldest."""
        dropped = None
        with self._condition:
            if len(self._queue) >= _QUEUE:
                dropped = self._queue.popleft()
            self._queue.append(alert)
            self._condition.notify()
        if dropped is not None:
            why = f"more than {_QUEUE} alerts were waiting"
            self._report(Delivery(dropped, self.name, DROPPED, why=why))

    def close(self, patience: float) -> list[Alert]:
        """Send for up to `patience` seconds; return the alerts that still wait.

        An alert whose attempt is still running is not among them: it may have arrived.
        """
        with self._condition:
            self._hurry = True  # no more retries
            self._condition.notify()
        self._thread.join(patience)
        with self._condition:
            self._over = True
            waiting = list(self._queue)
            self._queue.clear()
        return waiting

    def _work(self) -> None:
        while True:
            with self._condition:
                self._condition.wait_for(lambda: self._queue or self._hurry)
                if not self._queue or self._over:
                    return
                alert = self._queue.popleft()
            delivery = self._deliver(alert)
            if delivery.outcome == WAITING:
                with self._condition:
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
            with self._condition:
                if self._condition.wait_for(lambda: self._hurry, timeout=delay):
                    return Delivery(alert, self.name, WAITING, attempts, outcome.why)

"""The process of `recorder alerts`: it follows the record, evaluates rules and queues alerts."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from recorder import durable
from recorder.alerts.alert import Alert
from recorder.alerts.condition import Judge
from recorder.alerts.delivery import WAITING, Delivery, DeliveryQueue
from recorder.alerts.evaluator import Evaluator
from recorder.alerts.rule import Rule, rules_of, sample_alert
from recorder.alerts.seen import Seen
from recorder.alerts.send import Sender, sender
from recorder.alerts.state import Log, load_state, save_state
from recorder.clock import NS, Clock
from recorder.errors import ConfigError, RecorderError, UsageError, did_you_mean
from recorder.record.layout import Layout
from recorder.redact import Redactor
from recorder.reporter import Reporter
from recorder.settings.config import Settings
from recorder.settings.keys import secrets_of, token_of
from recorder.stream.event import Filter
from recorder.stream.live import Follower, Pace
from recorder.stream.span import Span
from recorder.tables.rules import RulesOf

if TYPE_CHECKING:
    from recorder.status import Watcher

#: Seconds between two looks at the rows and at the health, and between two saves of the state.
LOOK, _HEALTH, _SAVE = 0.05, 5.0, 5.0

#: Alerts are urgent: no row waits for earlier rows of other feeds. `share` (of a core) limits the
#: cost of polling.
_PACE = Pace(poll=LOOK, hold=0.0, share=0.1)

#: Seconds in which waiting alerts may still be sent at the end.
_PATIENCE = 5.0


@dataclass(frozen=True, slots=True)
class AlertPlan:
    """The checked settings: rules, a sender per destination, and the secrets to redact."""

    settings: Settings
    rules: list[Rule]
    senders: dict[str, Sender]
    hide: Redactor
    judge: Judge


def plan(settings: Settings, environ: Mapping[str, str]) -> AlertPlan:
    """Check all rules and destinations; return them ready to run.

    Raises:
        ConfigError: there is no rule, or a rule or destination is wrong.
        CredentialsError: a token is missing, or its file can be read by others.
    """
    if not settings.alerts:
        hint = (
            'add one, for example: [alerts.big] table = "liquidations" when = "notional_usd > 1e6"'
        )
        raise ConfigError("no alert is configured", where="alerts", hint=hint)
    judge = Judge()
    rules = rules_of(settings.alerts, settings.destinations, judge)
    tokens = {name: token_of(name, to, environ) for name, to in settings.destinations.items()}
    senders = {name: sender(name, to, tokens[name]) for name, to in settings.destinations.items()}
    hidden = {part for token in tokens.values() for part in secrets_of(token)}
    hidden |= {to.webhook for to in settings.destinations.values() if to.webhook}
    hidden |= {
        v for to in settings.destinations.values() for v in to.headers.values() if len(v) >= 8
    }
    return AlertPlan(settings, rules, senders, Redactor(hidden), judge)


class AlertService:
    """The alerts of one data directory. `close` it when done.

    Raises:
        BusyError: another alerts process uses this directory.
    """

    def __init__(
        self, made: AlertPlan, log: Any, *, clock: Clock | None = None, once: bool = False
    ) -> None:
        self._plan, self._say, self._once = made, log, once
        self._clock = clock or Clock()
        self._layout = Layout(made.settings.data_dir)
        self._lock = durable.claim(self._layout.work / "alerts.lock", "an alerts process")
        self._reporter = Reporter(log.warning)
        self._alert_log = Log(self._layout, made.hide, self._reporter)
        self._evaluator = Evaluator(
            made.rules, made.judge, self._reporter, clock=clock, at_once=once
        )
        self._queues: dict[str, DeliveryQueue] = {}
        self._saved = self._looked = float("-inf")
        self._follower: Follower | None = None
        self._watcher: Watcher | None = None
        self._begun = False
        self.undelivered = 0

    def begin(self, catch_up: float) -> None:
        """Continue where the last run ended, at most `catch_up` seconds back."""
        state = load_state(self._layout)
        if state:
            try:
                self._evaluator.restore(state, catch_up)
            except (KeyError, TypeError, ValueError):
                self._say.warning("the state of alerts is unreadable; starting without it")
        elif self._once:
            self._evaluator.seen = Seen(self._clock.wall_ns() - int(catch_up * NS))
        self._follower = self._follow(self._evaluator.seen.since_ns)
        self._watcher = self._watch()
        waiting = self._waiting_since(state, catch_up)
        self._queues = {
            name: DeliveryQueue(
                name, send, self._plan.settings.destinations[name].retry_for, self._report,
                waiting.get(name, ()),
            )
            for name, send in self._plan.senders.items()
        }  # fmt: skip
        self._begun = True
        self._save()

    def _follow(self, since_ns: int) -> Follower | None:
        if not self._evaluator.tables:
            return None
        return Follower.open(
            self._layout,
            RulesOf(self._layout, self._plan.settings),
            self._evaluator.tables,
            Filter(Span(since_ns)),
            pace=_PACE,
            clock=self._clock,
            reporter=self._reporter,
        )

    def _watch(self) -> Watcher | None:
        if not self._evaluator.watches_health:
            return None
        from recorder.status import Watcher

        return Watcher(self._layout, self._plan.settings)

    def run(self, stop: threading.Event) -> None:
        """Evaluate repeatedly until `stop` is set."""
        while not stop.is_set():
            self.look()
            stop.wait(LOOK)

    def look(self, *, everything: bool = False) -> list[Alert]:
        """Evaluate once; return the alerts. `everything`: also rows that wait for earlier ones."""
        alerts: list[Alert] = []
        if self._follower is not None:
            alerts += self._evaluator.rows(self._follower.ready(everything=everything))
        now = self._clock.mono_ns() / NS
        if self._watcher is not None and now - self._looked >= _HEALTH:
            self._looked = now
            alerts += self._health(self._watcher)
        alerts += self._evaluator.held_back(everything=everything)
        if alerts or now - self._saved >= _SAVE:
            self._save()
        for alert in alerts:
            self._log_and_queue(alert)
        return alerts

    def _health(self, watcher: Watcher) -> list[Alert]:
        try:
            return self._evaluator.health(watcher.look())
        except (RecorderError, OSError) as error:
            self._say.warning("the recorder's health cannot be read", why=str(error))
            return []

    def _log_and_queue(self, alert: Alert) -> None:
        self._alert_log.alert(alert)
        self._say.info("alert", rule=alert.rule, severity=alert.severity, title=alert.title)
        for name in alert.to:
            self._queues[name].offer(alert)

    def _report(self, made: Delivery) -> None:
        """Log the outcome of a delivery; delivery threads call this."""
        self._alert_log.delivery(self._clock.wall_ns(), made)
        if made.outcome not in {"delivered", WAITING}:
            self.undelivered += 1
            self._say.error(f"alert {made.outcome}", rule=made.alert.rule, to=made.destination,
                            attempts=made.attempts, why=made.why)  # fmt: skip

    def _save(self, waiting: Mapping[str, list[Alert]] | None = None) -> None:
        """Save the state and, at the end, the alerts that still wait."""
        self._saved = self._clock.mono_ns() / NS
        kept = {name: [one.as_dict() for one in found] for name, found in (waiting or {}).items()}
        try:
            save_state(self._layout, {**self._evaluator.state(), "waiting": kept})
        except OSError as error:
            self._say.warning("the state of alerts cannot be written", why=error.strerror)

    def _waiting_since(self, state: Mapping[str, Any], catch_up: float) -> dict[str, list[Alert]]:
        """Return the alerts that the last run did not send, unless they are too old."""
        oldest = self._clock.wall_ns() - int(catch_up * NS)
        with suppress(KeyError, TypeError, ValueError):
            return {
                name: [one for one in map(Alert.of_dict, found) if one.at_ns >= oldest]
                for name, found in state["waiting"].items()
            }
        return {}

    def close(self) -> None:
        """Send waiting alerts for a few seconds; keep the rest for the next run."""
        waiting = {name: queue.close(_PATIENCE) for name, queue in self._queues.items()}
        if self._begun:
            self._save({name: found for name, found in waiting.items() if found})
        for name, found in waiting.items():
            self.undelivered += len(found)
            if found:
                self._say.warning("alerts wait for the next run", to=name, alerts=len(found))
        if self._follower is not None:
            self._follower.close()
        self._plan.judge.close()
        os.close(self._lock)


def try_rule(made: AlertPlan, name: str, report: Callable[[Delivery], None]) -> Alert:
    """Send a test alert of a rule to its destinations, one attempt each, without logging.

    Raises:
        UsageError: there is no such rule.
    """
    found = {rule.name: rule for rule in made.rules}
    if name not in found:
        raise UsageError(f"no alert '{name}' is configured", hint=did_you_mean(name, found))
    alert = sample_alert(found[name], Clock().wall_ns())
    for destination in alert.to:
        outcome = made.senders[destination](alert)
        said = "delivered" if outcome.delivered else "failed"
        report(Delivery(alert, destination, said, 1, made.hide(outcome.why)))
    return alert

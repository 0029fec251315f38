"""The evaluation of alert rules: it turns new rows and the recorder's health into alerts.

Each pass writes matches to the state file, then to the log, then to the delivery queues. So a
row is sent at most once, whenever a crash happens.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import duckdb

from recorder.alerts import rule as rules
from recorder.alerts.alert import (
    FIRED,
    HELD_BACK,
    RESOLVED,
    TEXT_LENGTH,
    TITLE_LENGTH,
    Alert,
    shown,
)
from recorder.alerts.condition import Judge
from recorder.alerts.gate import Gate
from recorder.alerts.health import Watch
from recorder.alerts.rule import Rule
from recorder.alerts.seen import Seen
from recorder.clock import NS, Clock, ulid
from recorder.reporter import Reporter
from recorder.status.model import Problem, Status
from recorder.stream.event import Event
from recorder.times import age, duration

#: Rows per evaluation.
_ROWS = 1_000

#: Seconds between two warnings of the same trouble.
_REPEAT = 60.0


@dataclass(slots=True)
class _ActiveRule:
    """One rule in use."""

    rule: Rule
    gate: Gate
    watch: Watch
    last_held: str = ""
    warned_at: float | None = None


class Evaluator:
    """Decides what to send, but sends nothing. For one thread."""

    def __init__(
        self,
        chosen: Sequence[Rule],
        judge: Judge,
        reporter: Reporter,
        *,
        clock: Clock | None = None,
        at_once: bool = False,
    ) -> None:
        self._judge, self._reporter, self._clock = judge, reporter, clock or Clock()
        self._active = {one.name: _activate(one, at_once=at_once) for one in chosen}
        self.seen = Seen(self._clock.wall_ns())

    @property
    def tables(self) -> tuple[str, ...]:
        """The tables that rules read."""
        return tuple(
            dict.fromkeys(one.rule.table for one in self._active.values() if one.rule.table)
        )

    @property
    def watches_health(self) -> bool:
        """True if a rule is about health."""
        return any(one.rule.settings.health for one in self._active.values())

    @property
    def _now(self) -> float:
        return self._clock.mono_ns() / NS

    # -- rows

    def rows(self, events: Iterable[Event]) -> list[Alert]:
        """Evaluate new rows; return the alerts of those that match a rule."""
        alerts: list[Alert] = []
        ahead = iter(events)
        while batch := list(islice(ahead, _ROWS)):
            for active in self._active.values():
                mine = [event for event in batch if event.table == active.rule.table]
                for place in self._matching(active, mine) if mine else []:
                    if self.seen.first_time(active.rule.name, mine[place]):
                        alerts += self._admit(active, mine[place])
            self.seen.moved(max(event.recv_ns for event in batch))
        return alerts

    def _matching(self, active: _ActiveRule, events: Sequence[Event]) -> list[int]:
        """Return the indices of matching rows; if the condition fails, try each half separately."""
        rule = active.rule
        try:
            return self._judge.true_of(rule.table or "", events, rule.when)
        except (duckdb.InterruptException, duckdb.OutOfMemoryException):
            self._complain(
                active, f"takes too long, or too much memory: {len(events)} rows skipped"
            )
            return []
        except duckdb.Error as error:
            if len(events) == 1:
                self._complain(active, f"fails on a row: {str(error).splitlines()[0]}")
                return []
        half = len(events) // 2
        first, second = (self._matching(active, part) for part in (events[:half], events[half:]))
        return [*first, *(half + place for place in second)]

    def _complain(self, active: _ActiveRule, what: str) -> None:
        if active.warned_at is None or self._now - active.warned_at >= _REPEAT:
            active.warned_at = self._now
            self._reporter.warn(f"alerts.{active.rule.name}.when {what}")

    def _admit(self, active: _ActiveRule, event: Event) -> list[Alert]:
        rule = active.rule
        values = rules.values_of(rule, event)
        if not active.gate.admit(self._now):
            active.last_held = rule.title.fill(values)
            return []
        text = rule.text.fill(values) if rule.text else rules.details(event)
        alert = self._alert(rule, rule.settings.severity or "info", FIRED, rule.title.fill(values),
                            text, event=rules.event_fields(event))  # fmt: skip
        return [alert]

    # -- health

    def health(self, status: Status) -> list[Alert]:
        """Return the alerts of the recorder's problems that began or ended."""
        alerts: list[Alert] = []
        for active in self._active.values():
            wanted = active.rule.conditions
            mine = [one for one in status.problems if one.condition in wanted]
            for problem, over in active.watch.look(self._now, mine) if wanted else []:
                if active.gate.admit(self._now):
                    alerts.append(self._of_health(active.rule, problem, over=over))
                else:
                    active.last_held = problem.what
        return alerts

    def _of_health(self, rule: Rule, problem: Problem, *, over: bool) -> Alert:
        severity = "info" if over else rule.settings.severity or problem.severity
        state = RESOLVED if over else FIRED
        what = f"{problem.where}: {problem.what}" if problem.feed else problem.what
        values = {
            "rule": rule.name,
            "condition": problem.condition,
            "subject": problem.where,
            "state": state,
            "severity": severity,
            "what": what,
            "next": "" if over else problem.next,
            "time": rules.time_of(self._clock.wall_ns()),
        }
        title = f"{'resolved: ' if over else ''}{rule.title.fill(values)}"
        text = rule.text.fill(values).strip() if rule.text else ""
        about = {"condition": problem.condition, "subject": problem.where}
        return self._alert(rule, severity, state, title, text, **about)

    # -- what was held back

    def held_back(self, *, everything: bool = False) -> list[Alert]:
        """Return an alert for each rule that held alerts back for its whole interval."""
        alerts = []
        for active in self._active.values():
            held = active.gate.due(self._now, everything=everything)
            if held:
                most, seconds = active.rule.settings.at_most
                title = f"{active.rule.name}: {held} more held back"
                text = f"at most {most} in {seconds:g} s are sent; the last: {active.last_held}"
                severity = active.rule.settings.severity or "info"
                alerts.append(self._alert(active.rule, severity, HELD_BACK, title, text))
        return alerts

    def _alert(
        self, rule: Rule, severity: str, state: str, title: str, text: str, **about: Any
    ) -> Alert:
        now = self._clock.wall_ns()
        return Alert(
            id=ulid(now, os.urandom(10)),
            at_ns=now,
            rule=rule.name,
            severity=severity,
            state=state,
            title=shown(title.replace("\n", " "), TITLE_LENGTH),
            text=shown(text, TEXT_LENGTH),
            to=tuple(dict.fromkeys(rule.settings.to)),
            **about,
        )

    # -- over a restart

    def state(self) -> dict[str, Any]:
        """Return the state to keep over a restart; times as seconds ago."""
        health = {
            name: one.watch.state(self._now)
            for name, one in self._active.items()
            if one.rule.settings.health
        }
        return {"at_ns": self._clock.wall_ns(), "seen": self.seen.state(), "health": health}

    def restore(self, state: dict[str, Any], catch_up: float) -> None:
        """Continue from what an earlier run left, at most `catch_up` seconds back.

        Raises:
            KeyError, TypeError, ValueError: this is not a state.
        """
        now = self._clock.wall_ns()
        seen = Seen.of_state(state["seen"])
        away = max(0.0, (now - state["at_ns"]) / NS)
        if seen.upto_ns < now - int(catch_up * NS):
            missed, back = age(seen.upto_ns, now), duration(int(catch_up * NS))
            self._reporter.warn(
                f"the last run ended {missed} ago: only rows of the last {back} are checked"
            )
            seen = Seen(now - int(catch_up * NS))
        self.seen = seen
        for name, kept in state["health"].items():
            if name in self._active:
                self._active[name].watch.restore(self._now, kept, away)


def _activate(rule: Rule, *, at_once: bool) -> _ActiveRule:
    chosen = rule.settings
    lasting = 0.0 if at_once else chosen.lasting
    watch = Watch(lasting, chosen.cooldown, resolved=chosen.resolved)
    return _ActiveRule(rule, Gate(*chosen.at_most), watch)

"""Checked rules: settings with parsed templates and defaults."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from recorder.alerts.alert import TEST, TEXT_LENGTH, TITLE_LENGTH, Alert, shown
from recorder.alerts.condition import Judge, types_of
from recorder.alerts.health import ALL, GROUPS, conditions_of
from recorder.alerts.template import Template
from recorder.clock import NS, iso, ulid
from recorder.errors import ConfigError, did_you_mean
from recorder.settings.alerts import RuleSettings
from recorder.status.conditions import CONDITIONS
from recorder.stream.event import Event, columns

#: The titles of a table's rows where the rule has none.
_TITLES = {
    "liquidations": "{exchange} {symbol}: {position_side} liquidated, ${notional_usd:,.0f}",
    "whales": "{exchange} {symbol}: whale {action} {side}, ${notional_usd:,.0f}",
    "listings": "{publisher}: {ticker} {listing_type}",
    "funding": "{exchange} {symbol}: funding {rate:.4%}",
    "signals": "{symbol}: {signal_type} {direction}",
    "alerts": "{symbol}: {title}",
}
_TEXTS = {"listings": "{title}\n{url}"}
_TITLE = "{table}: {exchange} {symbol}"
_HEALTH_TITLE, _HEALTH_TEXT = "{what}", "{subject}\n{next}"

#: A sample value of each DuckDB type, to check formats with.
_SAMPLES: dict[str, Any] = {
    "VARCHAR": "text",
    "JSON": "{}",
    "BIGINT": 1,
    "INTEGER": 1,
    "DOUBLE": 1.5,
    "BOOLEAN": True,
    "BLOB": "text",
}

_HEALTH_FIELDS = ("rule", "condition", "subject", "state", "severity", "what", "next", "time")


@dataclass(frozen=True, slots=True)
class Rule:
    """One checked rule."""

    name: str
    settings: RuleSettings
    title: Template
    text: Template | None
    conditions: frozenset[str] = frozenset()
    """The conditions of a rule on health; none for a rule on rows."""

    @property
    def table(self) -> str | None:
        """The table whose rows it evaluates; None for a rule on health."""
        return self.settings.table

    @property
    def when(self) -> str:
        """The condition that a row must meet."""
        when = self.settings.when or "true"
        past = "backfill" in types_of(self.settings.table or "") and not self.settings.backfill
        return f"({when}\n) AND backfill IS NOT TRUE" if past else when


def rules_of(
    settings: Mapping[str, RuleSettings], destinations: Mapping[str, object], judge: Judge
) -> list[Rule]:
    """Return every configured rule, checked.

    Raises:
        ConfigError: a condition, a template, a table or a destination's name is wrong.
    """
    return [_rule(name, chosen, destinations, judge) for name, chosen in settings.items()]


def _rule(
    name: str, chosen: RuleSettings, destinations: Mapping[str, object], judge: Judge
) -> Rule:
    where = f"alerts.{name}"
    for wanted in chosen.to:
        if wanted not in destinations:
            hint = (
                did_you_mean(wanted, destinations)
                if destinations
                else "add one: [destinations.NAME]"
            )
            raise ConfigError(f"no destination '{wanted}'", where=f"{where}.to", hint=hint)
    samples: dict[str, Any] = dict.fromkeys(_HEALTH_FIELDS, "text")
    title, text = chosen.title or _HEALTH_TITLE, chosen.text or _HEALTH_TEXT
    if chosen.table is not None:
        judge.check(chosen.table, "true", f"{where}.table")
        judge.check(chosen.table, chosen.when or "true", f"{where}.when")
        samples = sample_values(chosen.table)
        title = chosen.title or _TITLES.get(chosen.table, _TITLE)
        text = chosen.text or _TEXTS.get(chosen.table, "")
    return Rule(
        name,
        chosen,
        _template(title, samples, f"{where}.title"),
        _template(text, samples, f"{where}.text") if text else None,
        _conditions(chosen.health, f"{where}.health"),
    )


def _conditions(words: Sequence[str], where: str) -> frozenset[str]:
    try:
        return conditions_of(words)
    except KeyError as unknown:
        word = unknown.args[0]
        hint = did_you_mean(word, {ALL, *GROUPS, *CONDITIONS})
        raise ConfigError(f"no condition '{word}'", where=where, hint=hint) from None


def sample_values(table: str) -> dict[str, Any]:
    """Return sample values of an event's columns."""
    values = {
        column: _SAMPLES[kind] for column, kind in types_of(table).items() if kind in _SAMPLES
    }
    return {**values, "rule": "text", "table": table, "time": "text"}


def sample_alert(rule: Rule, now_ns: int) -> Alert:
    """Return a test alert of a rule, marked as such."""
    samples = dict.fromkeys(_HEALTH_FIELDS, "test")
    if rule.table is not None:
        samples = {**sample_values(rule.table), "time": time_of(now_ns), "rule": rule.name}
    text = rule.text.fill(samples) if rule.text else "This is a test: nothing happened."
    return Alert(
        id=ulid(now_ns, os.urandom(10)),
        at_ns=now_ns,
        rule=rule.name,
        severity=rule.settings.severity or "info",
        state=TEST,
        title=shown(f"TEST {rule.title.fill(samples)}", TITLE_LENGTH),
        text=shown(text, TEXT_LENGTH),
        to=tuple(dict.fromkeys(rule.settings.to)),
    )


def _template(text: str, samples: Mapping[str, Any], where: str) -> Template:
    try:
        template = Template(text)
        template.check(samples)
    except ValueError as error:
        hint = 'for example: title = "{symbol}: {notional_usd:,.0f}"'
        raise ConfigError(str(error), where=where, hint=hint) from None
    return template


def values_of(rule: Rule, event: Event) -> dict[str, Any]:
    """Return the values that a row's templates can name."""
    values = {name: _text(getattr(event, name)) for name in columns(event.table)}
    return {**values, "rule": rule.name, "table": event.table, "time": time_of(event.recv_ns)}


def event_fields(event: Event) -> dict[str, Any]:
    """Return a row's known columns for JSON; *_ns as decimal text, too large for JSON numbers."""
    values = {name: _text(getattr(event, name)) for name in columns(event.table)}
    return {"table": event.table} | {
        name: str(value) if name.endswith("_ns") else value
        for name, value in values.items()
        if value is not None
    }


def details(event: Event) -> str:
    """Return a row's specific columns, one per line: the text of a rule without one."""
    common = {"feed", "channel", "connection", "seq", "item", "extra", "backfill"}
    known = event_fields(event)
    shown = [n for n in known if n not in common and n != "table" and not n.endswith("_ns")]
    return "\n".join([f"{name}: {known[name]}" for name in shown] + [time_of(event.recv_ns)])


def _text(value: Any) -> Any:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def time_of(ns: int) -> str:
    """Return a receive time as text: UTC, to the millisecond."""
    return f"{iso(ns)[:-1]}.{ns % NS // 1_000_000:03d}Z"

"""A client's filter of events. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fnmatch import translate
from typing import Any

from recorder.errors import UsageError, did_you_mean
from recorder.serve.live_event import DEFAULT_TABLES, TABLES, LiveEvent

_LONGEST = 200
_MOST_PATTERNS = 20
_KNOWN = ("tables", "exchange", "symbol", "min_usd", "text")


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Conditions that an event has to meet; None sets no condition.

    `symbol` matches patterns such as `BTC*`. `min_usd` is the least value in US dollars: events of
    tables without values pass, events of unknown value do not.
    """

    tables: frozenset[str] = frozenset(DEFAULT_TABLES)
    exchange: str | None = None
    symbol: Callable[[str], object] | None = None
    min_usd: float | None = None
    text: str | None = None

    def __call__(self, event: LiveEvent) -> bool:
        """Return True if the event meets the conditions."""
        if event.table not in self.tables:
            return False
        if self.exchange is not None and event.exchange != self.exchange:
            return False
        if self.symbol is not None and not self.symbol(event.symbol):
            return False
        if self.min_usd is not None and event.has_value:
            value = event.usd
            if value is None or not value >= self.min_usd:
                return False
        return self.text is None or self.text in event.words

    def chosen(self, events: Iterable[LiveEvent]) -> list[LiveEvent]:
        """Return the events that meet the conditions."""
        return [event for event in events if self(event)]


def parse(given: Any) -> EventFilter:
    """Return the filter of a client's JSON object; absent, null and empty values set nothing.

    Several patterns in `symbol` are separated by commas or spaces.

    Raises:
        UsageError: an unknown name or table, or a value of the wrong type.
    """
    if not isinstance(given, dict):
        raise UsageError("a filter must be an object", hint='e.g. {"symbol": "BTC*"}')
    for name in given:
        if name not in _KNOWN:
            hint = did_you_mean(str(name), _KNOWN)
            raise UsageError(f"there is no filter '{str(name)[:40]}'", hint=hint)
    text = _text(given, "text")
    exchange = _text(given, "exchange")
    return EventFilter(
        tables=_tables(given.get("tables")),
        exchange=exchange.lower() if exchange else None,
        symbol=_patterns(_text(given, "symbol")),
        min_usd=_number(given.get("min_usd")),
        text=text.lower() if text else None,
    )


def tables_of(given: Any) -> frozenset[str]:
    """Return the tables of a client's list.

    Raises:
        UsageError: it is not a list, or names a table that cannot be watched.
    """
    if not isinstance(given, list) or not all(isinstance(name, str) for name in given):
        raise UsageError("tables must be a list of names", hint='e.g. ["listings", "whales"]')
    for name in given:
        if name not in TABLES:
            hint = did_you_mean(name, TABLES)
            raise UsageError(f"there is no table '{name[:40]}' to watch", hint=hint)
    return frozenset(given)


def _tables(given: Any) -> frozenset[str]:
    return frozenset(DEFAULT_TABLES) if given is None else tables_of(given)


def _text(given: dict[str, Any], name: str) -> str | None:
    value = given.get(name)
    if value is None or value == "":
        return None
    if not isinstance(value, str) or len(value) > _LONGEST:
        raise UsageError(f"{name} must be a text of at most {_LONGEST} characters")
    return value.strip() or None


def _number(value: Any) -> float | None:
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UsageError("min_usd must be a number")
    return float(value)


def _patterns(text: str | None) -> Callable[[str], object] | None:
    if text is None:
        return None
    return _any(re.split(r"[\s,]+", text.strip(", "))[:_MOST_PATTERNS])


def _any(patterns: Sequence[str]) -> Callable[[str], object]:
    # The regular expressions of fnmatch cannot backtrack without end.
    return re.compile("|".join(translate(one.upper()) for one in patterns)).match

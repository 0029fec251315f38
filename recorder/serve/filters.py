"""Which events a client wants. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fnmatch import translate
from typing import Any

from recorder.errors import UsageError, did_you_mean
from recorder.serve.shown import DEFAULT_TABLES, TABLES, Shown

_LONGEST = 200
_MOST_PATTERNS = 20
_KNOWN = ("tables", "exchange", "symbol", "min_usd", "text")


@dataclass(frozen=True, slots=True)
class Filter:
    """Conditions that an event meets all of; None is no condition.

    `symbol`: patterns such as `BTC*`, apart by commas or blanks. `min_usd`: the least value in US
    dollars; events of tables without one pass, those whose value is unknown do not.
    """

    tables: frozenset[str] = frozenset(DEFAULT_TABLES)
    exchange: str | None = None
    symbol: Callable[[str], object] | None = None
    min_usd: float | None = None
    text: str | None = None

    def __call__(self, event: Shown) -> bool:
        """True for an event that is wanted."""
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

    def chosen(self, events: Iterable[Shown]) -> list[Shown]:
        """The wanted ones of some events."""
        return [event for event in events if self(event)]


def parse(given: Any) -> Filter:
    """A filter from a client's JSON object; absent, null and empty values are no condition.

    Raises:
        UsageError: a name, a type or a table that does not exist; the message says which.
    """
    if not isinstance(given, dict):
        raise UsageError("a filter is an object", hint='e.g. {"symbol": "BTC*"}')
    for name in given:
        if name not in _KNOWN:
            raise UsageError(f"no filter '{str(name)[:40]}'", hint=did_you_mean(str(name), _KNOWN))
    text = _text(given, "text")
    exchange = _text(given, "exchange")
    return Filter(
        tables=_tables(given.get("tables")),
        exchange=exchange.lower() if exchange else None,
        symbol=_patterns(_text(given, "symbol")),
        min_usd=_number(given.get("min_usd")),
        text=text.lower() if text else None,
    )


def tables_of(given: Any) -> frozenset[str]:
    """A client's list of tables.

    Raises:
        UsageError: it is no list, or names a table that cannot be watched.
    """
    if not isinstance(given, list) or not all(isinstance(name, str) for name in given):
        raise UsageError("tables is a list of names", hint='e.g. ["listings", "whales"]')
    for name in given:
        if name not in TABLES:
            raise UsageError(f"no table '{name[:40]}' to watch", hint=did_you_mean(name, TABLES))
    return frozenset(given)


def _tables(given: Any) -> frozenset[str]:
    return frozenset(DEFAULT_TABLES) if given is None else tables_of(given)


def _text(given: dict[str, Any], name: str) -> str | None:
    value = given.get(name)
    if value is None or value == "":
        return None
    if not isinstance(value, str) or len(value) > _LONGEST:
        raise UsageError(f"{name} is a text of at most {_LONGEST} characters")
    return value.strip() or None


def _number(value: Any) -> float | None:
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UsageError("min_usd is a number")
    return float(value)


def _patterns(text: str | None) -> Callable[[str], object] | None:
    if text is None:
        return None
    return _any(re.split(r"[\s,]+", text.strip(", "))[:_MOST_PATTERNS])


def _any(patterns: Sequence[str]) -> Callable[[str], object]:
    # fnmatch makes patterns that cannot backtrack for ever.
    return re.compile("|".join(translate(one.upper()) for one in patterns)).match

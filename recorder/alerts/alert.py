"""One alert, as it is logged and sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from recorder.clock import iso

#: What an alert may be of: something new, the end of it, several that were held back, a try.
FIRED, RESOLVED, HELD_BACK, TEST = "fired", "resolved", "held back", "test"

#: No alert is longer than what a chat takes.
TITLE_LENGTH, TEXT_LENGTH = 200, 3_000


@dataclass(frozen=True, slots=True)
class Alert:
    """What is told. `event` has the row's columns, *_ns as decimal text (JSON has no such ints)."""

    id: str
    at_ns: int
    rule: str
    severity: str
    state: str
    title: str
    text: str
    to: tuple[str, ...] = ()
    event: dict[str, Any] | None = None
    condition: str | None = None
    """Of a health rule: which condition."""
    subject: str | None = None
    """Of a health rule: the feed, or what else it is about."""

    def as_dict(self) -> dict[str, Any]:
        """What a destination gets, ready for JSON; what is None is left out."""
        named = {
            "id": self.id,
            "at_ns": self.at_ns,
            "time": iso(self.at_ns),
            "rule": self.rule,
            "severity": self.severity,
            "state": self.state,
            "title": self.title,
            "text": self.text,
            "condition": self.condition,
            "subject": self.subject,
            "event": self.event,
        }
        return {name: value for name, value in named.items() if value is not None}

    @classmethod
    def of_dict(cls, told: Mapping[str, Any]) -> Alert:
        """What `as_dict` gave, again; it knows no destinations.

        Raises:
            TypeError: it is no alert.
        """
        names = [one.name for one in fields(cls) if one.name != "to"]
        return cls(**{name: told[name] for name in names if name in told})


def shown(text: str, most: int) -> str:
    """Text of a feed as it may be sent: no control characters but line ends, not too long."""
    kept = "".join(c if c.isprintable() or c == "\n" else " " for c in text)
    return kept if len(kept) <= most else kept[: most - 1] + "…"

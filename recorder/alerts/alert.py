"""One alert, as it is logged and sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from recorder.clock import iso

#: States of an alert: a new problem or row, its end, a count of held-back alerts, a test.
FIRED, RESOLVED, HELD_BACK, TEST = "fired", "resolved", "held back", "test"

#: The longest title and text: what a chat accepts.
TITLE_LENGTH, TEXT_LENGTH = 200, 3_000


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert. `event` has the row's columns, *_ns as decimal text: JSON lacks such integers."""

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
    """The name of a health rule's condition."""
    subject: str | None = None
    """The feed or other subject of a health rule's condition."""

    def as_dict(self) -> dict[str, Any]:
        """Return the fields that a destination receives, ready for JSON, without unknown ones."""
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
    def of_dict(cls, values: Mapping[str, Any]) -> Alert:
        """Return the alert of an `as_dict` result, without destinations.

        Raises:
            TypeError: a required field is missing.
        """
        names = [one.name for one in fields(cls) if one.name != "to"]
        return cls(**{name: values[name] for name in names if name in values})


def shown(text: str, most: int) -> str:
    """Return text of a feed without control characters except line ends, cut to `most`."""
    kept = "".join(c if c.isprintable() or c == "\n" else " " for c in text)
    return kept if len(kept) <= most else kept[: most - 1] + "…"

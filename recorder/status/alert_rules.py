"""The rules of `deploy/prometheus/alerts.yml`, generated from the conditions. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from recorder.status.conditions import CONDITIONS, Condition
from recorder.status.model import CRITICAL

_HEAD = """\
# Alert rules for Prometheus, made from the conditions that docs/status.md lists.
groups:
  - name: recorder
    rules:
"""

#: Without metrics there is no verdict, so this rule alone does not depend on a condition.
_DOWN = f"""\
      - alert: RecorderDown
        expr: up{{job="recorder"}} == 0 or recorder_up == 0
        for: 2m
        labels: {{severity: {CRITICAL}}}
        annotations:
          summary: "{{{{ $labels.instance }}}}: no metrics, so nothing is known of the recorder"
          action: "Look whether `recorder serve` runs; `recorder status` works without it."
"""


def alert_rules() -> str:
    """Return the rules as YAML: one for each condition, and one for a recorder without metrics."""
    return "\n".join([_HEAD + _DOWN, *map(_rule, CONDITIONS.values())])


def name_of(condition: Condition) -> str:
    """Return the name of a condition's alert."""
    return "Recorder" + condition.name.title().replace("_", "")


def summary_of(condition: Condition) -> str:
    """Return a condition's summary, a template of Prometheus."""
    feed = " {{ $labels.feed }}:" if condition.of_feed else ""
    return f"{{{{ $labels.instance }}}}:{feed} {condition.meaning}"


def action_of(condition: Condition) -> str:
    """Return what to do next, without the name of a feed or process."""
    return condition.hint.format(key="the feed's variable (RECORDER_NAME_KEY)", pid="its pid")


def _rule(condition: Condition) -> str:
    return "\n".join(_lines(condition)) + "\n"


def _lines(condition: Condition) -> Iterator[str]:
    yield f"      - alert: {name_of(condition)}"
    yield f"        expr: {condition.expression}"
    if condition.hold:
        yield f"        for: {condition.hold:g}s"
    yield f"        labels: {{severity: {condition.severity}}}"
    yield "        annotations:"
    yield f"          summary: {_quoted(summary_of(condition))}"
    yield f"          action: {_quoted(action_of(condition))}"


def _quoted(text: str) -> str:
    """Return a text as a double-quoted YAML string."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'

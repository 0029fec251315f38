"""The tables of the documentation and Prometheus' rules are made from the conditions.

`make docs` writes them again.
"""

from __future__ import annotations

import re

import pytest
from kit.pages import ROOT, generated

from recorder.alerts.health import ALL, GROUPS
from recorder.clock import NS
from recorder.settings.alerts import LASTING, RuleSettings
from recorder.settings.config import BucketSettings, CaptureSettings, FeedSettings
from recorder.status.alert_rules import alert_rules
from recorder.status.conditions import CONDITIONS, Threshold
from recorder.status.metrics import text


def problems_table() -> str:
    """The table of docs/status.md."""
    lines = ["| condition | severity | it holds when | alert after |", "|---|---|---|---|"]
    for one in CONDITIONS.values():
        unread = " (not looked at by `health`)" if one.history else ""
        settings = "".join(f"; setting: `{name}`" for name in one.settings)
        lines.append(
            f"| `{one.name}` | {one.severity} | {one.meaning}{settings}{unread} | {one.hold:g} s |"
        )
    return "\n".join(lines) + "\n"


def groups_table() -> str:
    """The table of docs/alerts.md."""
    lines = ["| group | conditions |", "|---|---|"]
    for group in GROUPS:
        names = ", ".join(f"`{c.name}`" for c in CONDITIONS.values() if c.group == group)
        lines.append(f"| `{group}` | {names} |")
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize(
    ("page", "made"),
    [("docs/status.md", problems_table()), ("docs/alerts.md", groups_table())],
)
def test_a_page_has_the_table(page: str, made: str) -> None:
    text, head = (ROOT / page).read_text("utf-8"), re.escape(made.partition("\n")[0])
    found = re.search(rf"^{head}\n(?:\|.*\n)+", text, re.M)
    assert found is not None, f"{page} has no table that begins with {head}"
    generated(page, text.replace(found[0], made))


def test_the_rules_of_prometheus_are_made_from_the_table() -> None:
    generated("deploy/prometheus/alerts.yml", alert_rules())


def test_a_rule_asks_for_metrics_that_exist() -> None:
    asked = set(re.findall(r"\brecorder_\w+", "\n".join(c.expression for c in CONDITIONS.values())))
    documented = set(
        re.findall(r"^\| `(recorder_\w+)`", (ROOT / "docs/status.md").read_text(), re.M)
    )
    assert asked == {"recorder_problem"} and asked <= documented
    assert "recorder_up 0.0" in text(None)  # what the rule on a recorder without metrics asks


def test_a_rule_and_the_table_have_the_same_time() -> None:
    assert RuleSettings.model_fields["lasting"].default == LASTING
    assert {one.hold for one in CONDITIONS.values()} == {0, LASTING}


def test_a_setting_that_changes_a_threshold_exists() -> None:
    models = {"capture": CaptureSettings, "bucket": BucketSettings, "feeds": FeedSettings}
    for one in CONDITIONS.values():
        for setting in one.settings:
            table, *_, key = setting.split(".")
            assert key in models[table].model_fields


def test_a_word_of_a_rule_has_one_meaning() -> None:
    assert not set(GROUPS) & set(CONDITIONS) and ALL not in {*GROUPS, *CONDITIONS}


def test_every_hint_can_be_filled_in() -> None:
    for one in CONDITIONS.values():
        assert "{" not in one.hint.format(key="KEY", pid=1)
        assert one.meaning[0].islower() and not one.meaning.endswith(".")


def test_a_threshold_in_an_unknown_unit_is_refused() -> None:
    assert (Threshold(50, "ms").ns, Threshold(2, "h").ns) == (50_000_000, 7_200 * NS)
    with pytest.raises(ValueError, match="fortnights"):
        Threshold(1, "fortnights")

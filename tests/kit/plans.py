"""The connections that a feed plans, and what it sends when one opens."""

from __future__ import annotations

import json
from typing import Any

from recorder.feed import Feed, Options, Plan


def plans_of(feed: Feed, *channels: str, **options: Any) -> dict[str, Plan]:
    """Return the plans of a feed that the settings name `here`, by group."""
    found = feed.plan(Options(name="here", channels=channels, **options))
    by_group = {plan.group: plan for plan in found}
    assert len(by_group) == len(found), "a group is one connection"
    return by_group


def said(plan: Plan) -> list[dict[str, Any]]:
    """Return the messages that are sent when a connection opens."""
    return [json.loads(text) for text in plan.hello]

"""The first settings of a user: a `recorder.toml` for chosen feeds."""

from __future__ import annotations

import json
from collections.abc import Sequence

from recorder.feed import Feed
from recorder.settings.keys import key_variable

_HEAD = """\
# What the recorder records. Channels: recorder feeds KIND. Every setting: docs/settings.md.
"""


def settings(feeds: Sequence[Feed], data_dir: str = "data") -> str:
    """Return the text of a settings file that records these feeds; only keys are missing."""
    parts = [_HEAD]
    if data_dir != "data":
        parts.append(f"data_dir = {json.dumps(data_dir)}\n")
    parts += [f"{feed_table(feed)}\n" for feed in feeds]
    return "\n".join(parts)


def feed_table(feed: Feed) -> str:
    """Return one feed's table in TOML: its default channels, and the variable of its key."""
    if not feed.endpoints:
        return (
            f'[feeds.mine]\nkind = "{feed.kind}"\nurl = "wss://example.org/ws"\n'
            'subscribe = [\'{"op":"subscribe"}\']'
        )
    lines = [f"[feeds.{feed.kind}]"]
    if feed.key_help is not None:
        lines.append(f"# needs {feed.key_help}: set {key_variable(feed.kind)}")
    if feed.default_channels:
        lines.append("channels = [")
        lines += [f"    {json.dumps(name)},{_about(feed, name)}" for name in feed.default_channels]
        lines.append("]")
    return "\n".join(lines)


def _about(feed: Feed, channel: str) -> str:
    brings = feed.channels.get(channel)
    return f"  # {brings}" if brings else ""

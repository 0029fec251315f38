"""Tree of Alpha: exchanges' announcements and other crypto news as they are found.

Without a key news are delayed; a key (`login <key>`) removes the delay. The keep-alive is not
documented: WebSocket pings check the connection, and the feed answers a text `ping`.
"""

from __future__ import annotations

import re

from recorder.endpoints import endpoints
from recorder.feed import (
    Feed,
    Notice,
    Options,
    Plan,
    RetryPolicy,
    parsed,
    unused,
    words,
    wrong_channel,
)


def plan(options: Options) -> list[Plan]:
    """Return one connection; there is nothing to subscribe to."""
    hint = "everything comes without being asked for"
    unused(options, "subscribe", hint=hint)
    for channel in options.channels:
        if channel not in FEED.channels:
            raise wrong_channel(options, channel, f"its only channel is news: {hint}")
    return [
        Plan(
            group="news",
            urls=(options.url,) if options.url else FEED.endpoints,
            channels=("news",),
            headers=options.headers,
            hello=(f"login {options.key}",) if options.key else (),
            silence=75.0,
        )
    ]


def notice(payload: bytes) -> Notice | None:
    """Read a text `ping` or an error; the forms of errors are not documented."""
    if payload.strip() == b"ping":
        return Notice(reply="pong")
    received = parsed(payload)
    if received is None or "error" not in received or "title" in received:
        return None
    error = received["error"]
    text = words(error.get("message") if isinstance(error, dict) else error)
    return Notice(f"the service reports: {text or 'an error'}")


FEED = Feed(
    kind="treeofalpha",
    title="Exchange announcements and crypto news (Tree of Alpha)",
    endpoints=endpoints("treeofalpha"),
    plan=plan,
    channels={"news": "everything: announcements of exchanges become listings, the rest alerts"},
    default_channels=("news",),
    tables=("listings", "alerts", "latency"),
    retry=RetryPolicy(first=2.0, longest=120.0),
    control=re.compile(rb'^\s*(ping\s*$|\{\s*"(error|status|success)")'),
    notice=notice,
    normalise="treeofalpha",
)

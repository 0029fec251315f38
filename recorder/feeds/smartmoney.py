"""Smart Money API: whales, derivatives, flows, signals, alerts over one JSON protocol.

Authenticate, subscribe per channel, ping every 30 s. Acknowledgements, errors and close codes
are not documented, so any message that seems to refuse the key ends the feed.
"""

from __future__ import annotations

import re

from recorder.endpoints import endpoints
from recorder.feed import (
    CREDENTIALS,
    Feed,
    Notice,
    Options,
    Plan,
    RetryPolicy,
    Verdict,
    message,
    parsed,
    unused,
    words,
    wrong_channel,
)

_BAD_KEY = re.compile(r"api.?key|unauthori[sz]ed|authentication|forbidden", re.IGNORECASE)


def plan(options: Options) -> list[Plan]:
    """Return one connection per data type (the part of a channel before the colon)."""
    unused(options, "subscribe", hint="its channels are what is subscribed to")
    groups: dict[str, list[str]] = {}
    for channel in dict.fromkeys(options.channels or FEED.default_channels):
        group, colon, rest = channel.partition(":")
        if not (group and colon and rest):
            raise wrong_channel(options, channel, "for example: " + ", ".join(FEED.channels))
        groups.setdefault(group, []).append(channel)
    auth = message(type="auth", api_key=options.key or "")
    return [
        Plan(
            group=group,
            urls=(options.url,) if options.url else FEED.endpoints,
            channels=tuple(channels),
            headers=options.headers,
            hello=(auth, *(message(type="subscribe", channel=name) for name in channels)),
            send_every=0.05,
            ping=message(type="ping"),
            ping_every=30.0,
            silence=75.0,  # two missed pongs, and a margin
        )
        for group, channels in groups.items()
    ]


def on_close(code: int | None, reason: str) -> Verdict | None:
    """Return a fatal verdict for a close that blames the key."""
    if code in {4001, 4003, 4401, 4403} or (code != 1006 and _BAD_KEY.search(reason)):
        return Verdict(f"the key was refused ({code} {words(reason)})", True, None, CREDENTIALS)
    return None


def notice(payload: bytes) -> Notice | None:
    """Read `{"type": "error", …}`: a refused key, a refused channel, or another error."""
    received = parsed(payload)
    if received is None or received.get("type") not in ("error", "auth_error"):
        return None
    text = " ".join(filter(None, (words(received.get(k)) for k in ("code", "error", "message"))))
    channel = words(received.get("channel"))
    if channel:
        return Notice(f"channel refused: {channel}: {text}", refused_channel=channel)
    if received["type"] == "auth_error" or _BAD_KEY.search(text):
        return Notice(
            text, verdict=Verdict(f"the key was refused: {text}", True, None, CREDENTIALS)
        )
    return Notice(f"the service reports: {text}")


FEED = Feed(
    kind="smartmoney",
    title="Whales, funding, liquidations, flows, signals and alerts (Smart Money API)",
    endpoints=endpoints("smartmoney"),
    plan=plan,
    channels={
        "whales:BTC": "a whale's position changes, per symbol",
        "derivatives:funding": "funding rates across exchanges",
        "derivatives:liquidations": "liquidations as they occur",
        "derivatives:openinterest": "open interest updates",
        "onchain:flows": "exchange deposits and withdrawals",
        "signals:confirmation": "confirmation scores",
        "market:alerts": "custom alerts",
        "system:status": "status messages",
    },
    default_channels=(
        "whales:BTC",
        "whales:ETH",
        "derivatives:funding",
        "derivatives:liquidations",
        "derivatives:openinterest",
        "onchain:flows",
        "signals:confirmation",
        "market:alerts",
        "system:status",
    ),
    tables=(
        "whales",
        "funding",
        "liquidations",
        "open_interest",
        "flows",
        "signals",
        "alerts",
        "system_status",
        "latency",
    ),
    key_help="an API key of the service",
    retry=RetryPolicy(first=5.0, longest=300.0),
    on_close=on_close,
    control=re.compile(rb'"type"\s*:\s*"(auth_)?error"'),
    notice=notice,
    answer=re.compile(rb'"type"\s*:\s*"pong"'),
    normalise="smartmoney",
)

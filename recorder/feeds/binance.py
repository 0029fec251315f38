"""Binance USD-M futures: liquidations, funding and mark prices, large trades. No key.

The market route `/market/stream` carries these streams since the old URLs were retired
(2026-04-23); an old path may connect and stay mute, so mark prices have a cadence.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from recorder.feed import Feed, Notice, Options, Pace, Plan, parsed, unused, words, wrong_channel

_STREAM = re.compile(r"!?[A-Za-z0-9_]+(@[A-Za-z0-9_]+)+")
_MAX_AGE = 23.5 * 3600  # connections end at 24 h


def plan(options: Options) -> list[Plan]:
    """Liquidations, prices and trades on connections of their own."""
    unused(options, "subscribe", hint="its channels are the streams to record")
    groups: dict[str, list[str]] = {}
    for channel in dict.fromkeys(options.channels or FEED.default_channels):
        if not _STREAM.fullmatch(channel):
            raise wrong_channel(options, channel, "for example: " + ", ".join(FEED.channels))
        groups.setdefault(_group(channel), []).append(channel)
    return [_plan(group, channels, options) for group, channels in groups.items()]


def _group(channel: str) -> str:
    if "forceOrder" in channel:
        return "liquidations"
    return "prices" if "markPrice" in channel else "trades"


def _plan(group: str, channels: Sequence[str], options: Options) -> Plan:
    base = options.url or FEED.endpoints[0]
    return Plan(
        group=group,
        urls=(f"{base}?streams={'/'.join(channels)}",),
        channels=tuple(channels),
        headers=options.headers,
        cadence=30.0 if group == "prices" else None,
        max_age=_MAX_AGE,
    )


def notice(payload: bytes) -> Notice | None:
    """`{"error": …}` or `{"code": …, "msg": …}`: the service refuses a request."""
    told = parsed(payload)
    if told is not None and ("error" in told or "msg" in told):
        return Notice(f"the service reports: {words(payload.decode('utf-8', 'replace'))}")
    return None


FEED = Feed(
    kind="binance",
    title="Liquidations, funding, mark prices and large trades (Binance USD-M futures)",
    endpoints=("wss://fstream.binance.com/market/stream",),
    plan=plan,
    channels={
        "!forceOrder@arr": "the largest liquidation per symbol and second, all symbols",
        "!markPrice@arr": "mark price and funding of all symbols, every 3 s (@1s: every second)",
        "btcusdt@aggTrade": "trades of one symbol; those of whale_usd or more become whales",
    },
    default_channels=("!forceOrder@arr", "!markPrice@arr", "btcusdt@aggTrade", "ethusdt@aggTrade"),
    tables=("liquidations", "funding", "prices", "whales", "latency"),
    pace=Pace(first=1.0, longest=60.0),
    control=re.compile(rb'^\s*\{\s*"(error|code|msg)"'),
    notice=notice,
    normalise="binance",
)

"""Exchanges' own notices, polled: Bithumb, KuCoin, Bybit and Bitget have no stream of them.

Bithumb answers 302 when it is asked more than once a second, and shows its five newest notices.
"""

from __future__ import annotations

from recorder.endpoints import endpoints, market
from recorder.feed import Feed, Options, Plan, RetryPolicy, unused, wrong_channel


def plan(options: Options) -> list[Plan]:
    """Return one group for each exchange: each has its own outages."""
    unused(options, "subscribe", hint="notices are polled")
    channels = options.channels or FEED.default_channels
    polls = market("notices").routes
    for channel in channels:
        if channel not in polls:
            raise wrong_channel(options, channel, "its channels: " + ", ".join(polls))
    return [
        Plan(
            group=channel,
            urls=(polls[channel],),
            channels=(channel,),
            every=options.every or _EVERY,
        )
        for channel in channels
    ]


_EVERY = 5.0  # seconds

FEED = Feed(
    kind="notices",
    title="Exchanges' own notices by REST (Bithumb, KuCoin, Bybit, Bitget)",
    endpoints=endpoints("notices"),
    plan=plan,
    channels={
        "bithumb": "its newest notices, in Korean",
        "kucoin": "its announcements of new listings",
        "bybit": "its announcements of new listings",
        "bitget": "its announcements of new listings",
    },
    default_channels=("bithumb", "kucoin", "bybit", "bitget"),
    tables=("listings",),
    retry=RetryPolicy(first=5.0, longest=120.0),
    normalise="notices",
)

"""Feeds of the tests' own, offered to `recorder capture` as another package would offer them."""

from __future__ import annotations

from pathlib import Path

_MODULE = '''
"""Feeds whose services a test plays."""

import re

from recorder.feed import Feed, Notice, Plan, RetryPolicy

RETRY = RetryPolicy(first=0.1, longest=1.0, attempts_per_minute=600)


def subscribing(options):
    return [
        Plan(
            group=group,
            urls=(options.url,),
            channels=tuple(channels),
            hello=tuple(requests("subscribe", channels)),
            send_every=0.01,
        )
        for group, channels in grouped(options.channels).items()
    ]


def grouped(channels):
    groups = {}
    for channel in channels:
        groups.setdefault(channel.partition(":")[0], []).append(channel)
    return groups


def requests(op, channels):
    return [f"{op} {channel}" for channel in channels]


def ageing(options):
    hello = tuple(f"subscribe {channel}" for channel in options.channels)
    return [Plan(group="all", urls=(options.url,), hello=hello, max_age=1.0)]


def signing(options):
    def sign(url, now_ns):
        return f"{url}?{options.key}=1&signature=signed-{options.key}-{now_ns}&time={now_ns}"

    return [Plan(group="all", urls=(options.url,), sign=sign)]


def asked(payload):
    word = payload.decode().removeprefix("ask ")
    return Notice("" if word.isdigit() else f"it asks {word}", reply=f"answer {word}")


SUBSCRIBING = Feed(
    kind="subscribing", title="t", endpoints=(), plan=subscribing, retry=RETRY,
    requests=requests, control=re.compile(b"^ask "), notice=asked,
)
AGEING = Feed(
    kind="ageing", title="t", endpoints=(), plan=ageing, retry=RETRY, normalise="binance"
)
SIGNING = Feed(kind="signing", title="t", endpoints=(), plan=signing, retry=RETRY)
'''

_POINTS = """[recorder.feeds]
subscribing = plugged_feeds:SUBSCRIBING
ageing = plugged_feeds:AGEING
signing = plugged_feeds:SIGNING
"""


def install(site: Path) -> dict[str, str]:
    """Lay the package down as pip would; the environment in which it is found."""
    site.mkdir()
    (site / "plugged_feeds.py").write_text(_MODULE, "utf-8")
    about = site / "plugged_feeds-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: plugged-feeds\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(_POINTS, "utf-8")
    return {"PYTHONPATH": str(site)}

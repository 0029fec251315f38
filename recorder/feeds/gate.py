"""Gate: liquidations, funding, prices and trades of the perpetuals settled in USDT. No key.

A channel is the venue's name of it, a colon, and a contract; `!all` where it takes all of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import msgspec

from recorder.endpoints import endpoints, hosts, market
from recorder.feed import (
    NOW,
    Ask,
    Catalogue,
    Feed,
    Instrument,
    Names,
    Notice,
    Options,
    Plan,
    RetryPolicy,
    grouped,
    message,
    parsed,
    positive,
    unused,
    words,
    wrong_channel,
)

_CHANNEL = re.compile(r"(futures\.[a-z_]{1,40}):(!all|[A-Za-z0-9_-]{1,40})")
_GROUPS = {
    "futures.public_liquidates": "liquidations",
    "futures.tickers": "prices",
    "futures.trades": "trades",
}
_PER_CONNECTION = 300


def plan(options: Options) -> list[Plan]:
    """Return separate connections for liquidations, tickers and trades."""
    unused(options, "subscribe", hint="its channels are what is subscribed to")
    channels = options.channels or FEED.default_channels
    for channel in channels:
        if not _CHANNEL.fullmatch(channel):
            raise wrong_channel(options, channel, "for example: " + ", ".join(FEED.channels))
    parts = grouped(channels, _group, _PER_CONNECTION)
    return [_plan(group, some, options) for group, some in parts.items()]


def _group(channel: str) -> str:
    name = channel.partition(":")[0]
    return _GROUPS.get(name, name)


def _plan(group: str, channels: Sequence[str], options: Options) -> Plan:
    return Plan(
        group=group,
        urls=(market("gate", options.url).url("all", options.url),),
        channels=tuple(channels),
        headers={"X-Gate-Size-Decimal": "1", **options.headers},  # sizes with all their digits
        hello=tuple(requests("subscribe", channels)),
        send_every=0.05,
        ping=message(time=NOW, channel="futures.ping"),
        ping_every=20.0,
        silence=65.0,  # three pongs missed
        cadence=60.0 if group.startswith("prices") else None,
    )


def requests(op: str, channels: Sequence[str]) -> Iterator[str]:
    """Return the messages that subscribe to channels, or unsubscribe from them, one each."""
    for channel in channels:
        name, _, contract = channel.partition(":")
        yield message(time=NOW, channel=name, event=op, payload=[contract])


def notice(payload: bytes) -> Notice | None:
    """Read a refusal: `{"channel", "event", "payload", "error": {"code", "message"}}`."""
    received = parsed(payload)
    error = received.get("error") if received is not None else None
    if received is None or not isinstance(error, dict):
        return None
    text = f"{words(error.get('code'))} {words(error.get('message'))}".strip()
    name, asked = words(received.get("channel")), received.get("payload")
    if received.get("event") != "subscribe":
        return Notice(f"the service reports: {name}: {text}".replace(": :", ":"))
    # Older answers do not repeat the payload: the channel is then known by its name alone.
    contract = f":{words(asked[0])}" if isinstance(asked, list) and asked else ""
    channel = f"{name}{contract}"
    return Notice(f"channel refused: {channel}: {text}", refused_channel=channel)


class _Perpetual(msgspec.Struct):
    name: str
    type: str  # direct, inverse
    quanto_multiplier: str
    funding_interval: float | None = None  # seconds
    order_price_round: str | None = None
    order_size_min: float | str | None = None
    status: str | None = None


_GONE = {"delisted", "prelaunch"}


def read(body: bytes) -> tuple[list[Instrument], None]:
    """Read `/api/v4/futures/usdt/contracts`."""
    listed = msgspec.json.decode(body, type=list[_Perpetual])
    if not listed:
        raise ValueError("no contracts")
    return [_instrument(one) for one in listed if one.status not in _GONE], None


def _instrument(listed: _Perpetual) -> Instrument:
    base, _, quote = listed.name.rpartition("_")
    direct = listed.type == "direct"
    seconds = positive(listed.funding_interval)
    return Instrument(
        symbol=listed.name,
        name=listed.name,
        contract_size=positive(listed.quanto_multiplier) if direct else None,
        contract_unit="base" if direct and positive(listed.quanto_multiplier) else None,
        funding_interval_hours=seconds / 3600 if seconds else None,
        base=base or None,
        quote=quote or None,
        settle="USDT",
        kind="perpetual",
        contract_type="linear" if direct and quote == "USDT" else None,
        tick_size=positive(listed.order_price_round),
        lot_size=positive(listed.order_size_min),
        state=listed.status,
    )


NAMES = Names(tardis=(("spot", None, "gate-io"), (None, None, "gate-io-futures")))

FEED = Feed(
    kind="gate",
    title="Liquidations, funding, prices and large trades (Gate)",
    endpoints=endpoints("gate"),
    plan=plan,
    channels={
        "futures.public_liquidates:!all": "every liquidation, once a second",
        "futures.tickers:BTC_USDT": "mark, index and last price, the funding rate",
        "futures.trades:BTC_USDT": "trades; those of whale_usd or more become whales",
    },
    default_channels=(
        "futures.public_liquidates:!all",
        "futures.tickers:BTC_USDT",
        "futures.tickers:ETH_USDT",
        "futures.trades:BTC_USDT",
        "futures.trades:ETH_USDT",
    ),
    tables=("liquidations", "funding", "prices", "whales", "latency"),
    retry=RetryPolicy(first=1.0, longest=60.0),
    control=re.compile(rb'"event"\s*:\s*"(?:un)?subscribe"|"error"\s*:\s*\{'),
    notice=notice,
    answer=re.compile(rb'"futures\.pong"'),
    normalise="gate",
    catalogue=Catalogue(tuple(map(Ask, market("gate").lists)), read),
    requests=requests,
    hosts=hosts("gate"),
    names=NAMES,
)

"""BitMEX: liquidations, funding, trades, mark and index prices, open interest. No key.

Each channel is a table of the venue: a `partial` (its present rows), then inserts, updates and
deletes. The service answers text `ping` by text `pong`. Its documents contradict each other on the
connections that an address may open (20 an hour, 3 a second), so the back-off is long.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime

import msgspec

from recorder.endpoints import endpoints, hosts, market
from recorder.feed import (
    Ask,
    Catalogue,
    Feed,
    Instrument,
    Notice,
    Options,
    Plan,
    RetryPolicy,
    Verdict,
    grouped,
    message,
    parsed,
    positive,
    seconds,
    unused,
    words,
    wrong_channel,
)

_CHANNEL = re.compile(r"[A-Za-z]\w*(:[\w.]+)?")
_GROUPS = {
    "liquidation": "liquidations",
    "funding": "funding",
    "instrument": "prices",
    "trade": "trades",
}
_AT_ONCE = 20  # channels in one message
_PER_CONNECTION = 400  # the welcome counts down from 720 subscriptions an hour
_DOLLARS = {"USD", "USDT", "USDC"}


def plan(options: Options) -> list[Plan]:
    """Return separate connections for liquidations, funding, prices and trades."""
    unused(options, "subscribe", hint="its channels are what is subscribed to")
    channels = options.channels or FEED.default_channels
    for channel in channels:
        if not _CHANNEL.fullmatch(channel):
            raise wrong_channel(options, channel, "for example: " + ", ".join(FEED.channels))
    return [
        Plan(
            group=group,
            urls=(options.url,) if options.url else FEED.endpoints,
            channels=tuple(named),
            headers=options.headers,
            hello=tuple(requests("subscribe", named)),
            send_every=0.5,
            ping="ping",
            ping_every=15.0,
            control_ping_every=None,  # its own pings are what it documents
            silence=45.0,
            cadence=60.0 if group.startswith("prices") else None,
        )
        for group, named in grouped(channels, _group, _PER_CONNECTION).items()
    ]


def _group(channel: str) -> str:
    return _GROUPS.get(channel.partition(":")[0], "others")


def requests(op: str, channels: Sequence[str]) -> Iterator[str]:
    """Return the messages that subscribe to channels, or unsubscribe from them."""
    for start in range(0, len(channels), _AT_ONCE):
        yield message(op=op, args=list(channels[start : start + _AT_ONCE]))


def notice(payload: bytes) -> Notice | None:
    """Read a refused request: `{"status": 400, "error": …, "meta": …, "request": …}`."""
    received = parsed(payload)
    if received is None or "error" not in received:
        return None
    error = words(received["error"]) or "an error without a word"
    if received.get("status") == 429:
        meta = received.get("meta")
        wait = seconds(meta.get("retryAfter")) if isinstance(meta, dict) else None
        return Notice(error, verdict=Verdict(f"rate limited: {error}", wait=wait or 60.0))
    channel = _meant(error, received.get("request"))
    if (
        channel is not None and "already subscribed" not in error
    ):  # the link subscribes again when it is mute
        return Notice(f"channel refused: {channel}: {error}", refused_channel=channel)
    return Notice(f"the service reports: {error}")


def _meant(error: str, request: object) -> str | None:
    """Return the channel of a refused request; None if it could be one of several."""
    asked = request.get("args") if isinstance(request, dict) else None
    args = asked if isinstance(asked, list) else [asked]
    channels = [channel for channel in map(words, args) if channel]
    if len(channels) > 1:
        names = set(re.findall(r"[\w.:]+", error))
        channels = [
            channel for channel in channels if names & {channel, *channel.split(":")[:2]} - {""}
        ]
    return channels[0] if len(channels) == 1 else None


# -- instruments


class _ActiveInstrument(msgspec.Struct):
    """An instrument of the venue's list, with the fields that are read here."""

    symbol: str
    state: str
    typ: str = ""
    underlying: str | None = None
    quoteCurrency: str = ""
    settlCurrency: str | None = None
    tickSize: float | None = None
    lotSize: float | None = None
    isInverse: bool = False
    isQuanto: bool = False
    multiplier: float | None = None
    underlyingToPositionMultiplier: float | None = None
    underlyingToSettleMultiplier: float | None = None
    quoteToSettleMultiplier: float | None = None
    fundingInterval: str | None = None


#: The venue's codes of what it lists (CFI codes).
_KINDS = {"FFWCSX": "perpetual", "FFWCSF": "perpetual", "FFCCSX": "future", "IFXXXP": "spot"}

_LIST: msgspec.json.Decoder[list[_ActiveInstrument]] = msgspec.json.Decoder(list[_ActiveInstrument])


def read(body: bytes) -> tuple[list[Instrument], Ask | None]:
    """Read the open instruments of `/instrument/active`, which has no pages."""
    return [
        Instrument(
            symbol=listed.symbol,
            name=listed.symbol,
            contract_size=size,
            contract_unit=None if size is None else unit,
            funding_interval_hours=hours(listed.fundingInterval),
            base=listed.underlying or None,
            quote=listed.quoteCurrency or None,
            settle=listed.settlCurrency or None,
            kind=_KINDS.get(listed.typ),
            contract_type=_contract_type(listed),
            tick_size=positive(listed.tickSize),
            lot_size=positive(listed.lotSize),
            state=listed.state,
        )
        for listed in _LIST.decode(body)
        if listed.state == "Open"
        for size, unit in [_contract(listed)]
    ], None


def _contract_type(listed: _ActiveInstrument) -> str | None:
    if _KINDS.get(listed.typ) == "spot":
        return None
    if listed.isQuanto:
        return "quanto"
    return "inverse" if listed.isInverse else "linear"


def _contract(listed: _ActiveInstrument) -> tuple[float | None, str]:
    """Return size and unit of one contract; None if its value or price is in a third coin."""
    multiplier, base = listed.multiplier or 0.0, listed.underlyingToPositionMultiplier or 0.0
    if listed.isQuanto or listed.quoteCurrency not in _DOLLARS:
        return None, ""
    if listed.isInverse:
        settle = listed.underlyingToSettleMultiplier or 0.0
        return (multiplier / settle if multiplier and settle else None), "usd"
    value = multiplier / (listed.quoteToSettleMultiplier or float("inf"))
    size = 1 / base if base > 0 else value
    if size <= 0 or (value > 0 and abs(value / size - 1) > 1e-9):
        return None, ""  # the multipliers contradict each other
    return size, "base"


def hours(interval: str | None) -> float | None:
    """Return the hours of a span, which the venue writes as a time after 2000-01-01."""
    try:
        moment = datetime.fromisoformat((interval or "").replace("Z", "+00:00"))
        span = moment - datetime(2000, 1, 1, tzinfo=moment.tzinfo)
    except (ValueError, OverflowError):
        return None
    return span.total_seconds() / 3600 if span.total_seconds() > 0 else None


FEED = Feed(
    kind="bitmex",
    title="Liquidations, funding, prices, open interest and large trades (BitMEX)",
    endpoints=endpoints("bitmex"),
    plan=plan,
    channels={
        "liquidation": "liquidation orders, all symbols",
        "funding": "funding as it is exchanged, all symbols",
        "instrument:XBTUSD": "mark, index and last price, funding rates, open interest",
        "trade:XBTUSD": "trades of one symbol; those of whale_usd or more become whales",
    },
    default_channels=(
        "liquidation",
        "funding",
        "instrument:XBTUSD",
        "instrument:ETHUSD",
        "instrument:XBTUSDT",
        "instrument:ETHUSDT",
        "trade:XBTUSD",
        "trade:ETHUSD",
        "trade:XBTUSDT",
        "trade:ETHUSDT",
    ),
    tables=("liquidations", "funding", "prices", "open_interest", "whales", "latency"),
    retry=RetryPolicy(first=2.0, longest=120.0),
    control=re.compile(rb'^\s*\{\s*"(status|error)"'),
    notice=notice,
    answer=re.compile(rb"^pong$"),
    normalise="bitmex",
    catalogue=Catalogue((Ask(market("bitmex").lists[0]),), read),
    requests=requests,
    hosts=hosts("bitmex"),
)

"""Bitget v3: liquidations, funding, prices and trades of USDT and USDC contracts. No key.

A channel is the venue's topic, its type of instrument and, but for liquidations, a symbol, with
dots between them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import msgspec

from recorder.endpoints import endpoints, hosts, market
from recorder.feed import (
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

_CHANNEL = re.compile(
    r"liquidation\.(?:usdt|usdc)-futures|"
    r"(?!liquidation)[A-Za-z0-9]{1,30}\.(?:usdt|usdc)-futures\.[A-Za-z0-9_-]{1,40}"
)
_GROUPS = {"liquidation": "liquidations", "ticker": "prices", "publicTrade": "trades"}
_ARGS = 20  # in one message
_PER_CONNECTION = 50


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
    topic = channel.partition(".")[0]
    return _GROUPS.get(topic, topic)


def _plan(group: str, channels: Sequence[str], options: Options) -> Plan:
    return Plan(
        group=group,
        urls=(market("bitget", options.url).url("all", options.url),),
        channels=tuple(channels),
        headers=options.headers,
        hello=tuple(requests("subscribe", channels)),
        send_every=0.15,
        ping="ping",
        ping_every=20.0,  # the service closes a connection without a ping for two minutes
        silence=65.0,  # three pongs missed
        cadence=60.0 if group.startswith("prices") else None,
    )


def requests(op: str, channels: Sequence[str]) -> Iterator[str]:
    """Return the messages that subscribe to channels, or unsubscribe from them."""
    for start in range(0, len(channels), _ARGS):
        yield message(op=op, args=[_arg(one) for one in channels[start : start + _ARGS]])


def _arg(channel: str) -> dict[str, str]:
    topic, kind, *symbol = channel.split(".")
    arg = {"instType": kind, "topic": topic}
    return arg | {"symbol": symbol[0]} if symbol else arg


def notice(payload: bytes) -> Notice | None:
    """Read a refusal: `{"event": "error", "code": …, "msg": …, "arg": {…}}`."""
    received = parsed(payload)
    if received is None or received.get("event") != "error":
        return None
    text = f"{words(received.get('code'))} {words(received.get('msg'))}".strip()
    arg = received.get("arg")
    named = arg if isinstance(arg, dict) else {}
    parts = [words(named.get(key)) for key in ("topic", "instType", "symbol")]
    channel = ".".join(filter(None, parts))
    if not channel:
        return Notice(f"the service reports: {text}")
    return Notice(f"channel refused: {channel}: {text}", refused_channel=channel)


class _Listed(msgspec.Struct, rename="camel"):
    symbol: str
    base_coin: str
    quote_coin: str
    status: str
    type: str | None = None  # perpetual, delivery
    fund_interval: str | float | None = None  # hours
    price_multiplier: str | float | None = None
    quantity_multiplier: str | float | None = None


class _ContractList(msgspec.Struct):
    code: str
    data: list[_Listed]


_KINDS = {"perpetual": "perpetual", "delivery": "future"}
_TRADING = {"online", "limit_open", "limit_close"}


def read(body: bytes) -> tuple[list[Instrument], None]:
    """Read `/api/v3/market/instruments`, of USDT or USDC contracts."""
    answer = msgspec.json.decode(body, type=_ContractList)
    if answer.code != "00000" or not answer.data:
        raise ValueError(f"code {words(answer.code)!r}, {len(answer.data)} instruments")
    return [_instrument(one) for one in answer.data if one.status in _TRADING], None


def _instrument(listed: _Listed) -> Instrument:
    return Instrument(
        symbol=listed.symbol,
        name=listed.symbol,
        contract_size=1.0,
        contract_unit="base",
        funding_interval_hours=positive(listed.fund_interval),
        base=listed.base_coin,
        quote=listed.quote_coin,
        settle=listed.quote_coin,
        kind=_KINDS.get(listed.type or ""),
        contract_type="linear",
        tick_size=positive(listed.price_multiplier),
        lot_size=positive(listed.quantity_multiplier),
        state=listed.status,
    )


NAMES = Names(tardis=(("spot", None, "bitget"), (None, None, "bitget-futures")))

FEED = Feed(
    kind="bitget",
    title="Liquidations, funding, prices and large trades (Bitget)",
    endpoints=endpoints("bitget"),
    plan=plan,
    channels={
        "liquidation.usdt-futures": "the largest long and short liquidation per pair and second",
        "ticker.usdt-futures.BTCUSDT": "mark, index and last price, the funding rate",
        "publicTrade.usdt-futures.BTCUSDT": "trades; those of whale_usd or more become whales",
    },
    default_channels=(
        "liquidation.usdt-futures",
        "liquidation.usdc-futures",
        "ticker.usdt-futures.BTCUSDT",
        "ticker.usdt-futures.ETHUSDT",
        "publicTrade.usdt-futures.BTCUSDT",
        "publicTrade.usdt-futures.ETHUSDT",
    ),
    tables=("liquidations", "funding", "prices", "whales", "latency"),
    retry=RetryPolicy(first=1.0, longest=60.0),
    control=re.compile(rb'"event"\s*:\s*"error"'),
    notice=notice,
    answer=re.compile(rb"\Apong\Z"),
    normalise="bitget",
    catalogue=Catalogue(tuple(map(Ask, market("bitget").lists)), read),
    requests=requests,
    hosts=hosts("bitget"),
    names=NAMES,
)

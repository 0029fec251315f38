"""HTX: liquidations, funding and trades of linear contracts, trades of spot pairs. No key.

The service sends gzip. It pings every five seconds and closes a connection that does not repeat
the ping's number, with or without quotes: https://www.htx.com/en-us/opend/newApiPages/
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
    Verdict,
    grouped,
    message,
    parsed,
    positive,
    unused,
    words,
    wrong_channel,
)

# `liquidation_orders` and `funding_rate` alone are of every contract.
_ALL = {"liquidation_orders": "liquidations", "funding_rate": "funding"}
_TOPIC = re.compile(r"(?:market|public)\.[A-Za-z0-9_-]{1,40}(?:\.[a-z0-9_]{1,30}){1,3}")
_GROUPS = {"trade": "trades", **_ALL}
_PER_CONNECTION = 200
_PING = re.compile(rb'"ping"\s*:\s*("?-?\d{1,20}"?)\s*[,}]')
_OWN_TIME = re.compile(rb'"ts"\s*:\s*("?-?\d{1,20}"?)\s*[,}]')
_REPEATED = 2014  # subscribed already, by the topic of every contract


def plan(options: Options) -> list[Plan]:
    """Return separate connections for each data type, within the routes of the market."""
    unused(options, "subscribe", hint="its channels are the topics to record")
    channels = options.channels or FEED.default_channels
    for channel in channels:
        if channel not in _ALL and not _TOPIC.fullmatch(channel):
            raise wrong_channel(options, channel, "for example: " + ", ".join(FEED.channels))
    venue = market("htx", options.url)
    parts = grouped(channels, lambda channel: _group(venue.route(channel), channel))
    return [_plan(group, some, options) for group, some in parts.items()]


def _group(route: str, channel: str) -> str:
    kind = channel.split(".")[2] if "." in channel else channel
    return _GROUPS.get(kind, f"{route} {kind}")


def _plan(group: str, channels: Sequence[str], options: Options) -> Plan:
    venue = market("htx", options.url)
    return Plan(
        group=group,
        urls=(venue.url(venue.route(channels[0]), options.url),),
        channels=tuple(channels),
        headers=options.headers,
        hello=tuple(requests("subscribe", channels)),
        send_every=0.1,
        silence=30.0,  # six pings missed
    )


def requests(op: str, channels: Sequence[str]) -> Iterator[str]:
    """Return the messages that subscribe to channels, or unsubscribe from them."""
    verb = {"subscribe": "sub", "unsubscribe": "unsub"}[op]
    for channel in channels:
        if channel.startswith("market."):
            yield message(**{verb: channel, "id": channel})
        else:
            topic = f"public.*.{channel}" if channel in _ALL else channel
            yield message(op=verb, cid=channel, topic=topic)


def notice(payload: bytes) -> Notice | None:
    """Read a ping, a refusal, or the end that the service announces."""
    if ping := _PING.search(payload):
        return Notice(reply=f'{{"pong":{ping[1].decode()}}}')
    received = parsed(payload)
    if received is None:
        return None
    match received.get("op"):
        case "ping" if time := _OWN_TIME.search(payload):
            return Notice(reply=f'{{"op":"pong","ts":{time[1].decode()}}}')
        case "close" | "error":
            return Notice("the service closes the connection", verdict=Verdict("closed"))
    code = received.get("err-code")
    if code in (None, 0, _REPEATED):
        return None
    text = f"{words(code)} {words(received.get('err-msg'))}".strip()
    channel = words(received.get("id") or received.get("cid"))
    if not channel:
        return Notice(f"the service reports: {text}")
    return Notice(f"channel refused: {channel}: {text}", refused_channel=channel)


# -- the lists of instruments


class _Contract(msgspec.Struct):
    symbol: str
    contract_code: str
    contract_size: float | str
    price_tick: float | str
    contract_status: int
    contract_type: str | None = None
    trade_partition: str | None = None
    settlement_period: float | str | None = None  # hours


class _Pair(msgspec.Struct, rename="kebab"):
    symbol: str
    base_currency: str
    quote_currency: str
    state: str
    price_precision: int | None = None
    amount_precision: int | None = None


class _Answer(msgspec.Struct):
    status: str
    data: msgspec.Raw


#: 1: listed; 5 and 7: in settlement, for some seconds every few hours.
_STATES = {1: "listed", 5: "in settlement", 7: "settled"}


def read(body: bytes) -> tuple[list[Instrument], None]:
    """Read `/linear-swap-api/v1/swap_contract_info` or `/v1/common/symbols`."""
    answer = msgspec.json.decode(body, type=_Answer)
    if answer.status != "ok":
        raise ValueError(f"status {words(answer.status)!r}")
    listed = msgspec.json.decode(answer.data, type=list[dict[str, msgspec.Raw]])
    if not listed:
        raise ValueError("no instruments")
    if "contract_code" in listed[0]:
        contracts = msgspec.json.decode(answer.data, type=list[_Contract])
        return [_contract(one) for one in contracts if one.contract_status in _STATES], None
    pairs = msgspec.json.decode(answer.data, type=list[_Pair])
    return [_pair(one) for one in pairs if one.state == "online"], None


def _contract(listed: _Contract) -> Instrument:
    kinds = {"swap": "perpetual", None: None}
    return Instrument(
        symbol=listed.contract_code,
        name=listed.contract_code,
        contract_size=positive(listed.contract_size),
        contract_unit="base",
        funding_interval_hours=positive(listed.settlement_period),
        base=listed.symbol,
        quote=listed.trade_partition,
        settle=listed.trade_partition,
        kind=kinds.get(listed.contract_type, "future"),
        contract_type="linear",
        tick_size=positive(listed.price_tick),
        state=_STATES[listed.contract_status],
    )


def _pair(listed: _Pair) -> Instrument:
    price, amount = listed.price_precision, listed.amount_precision
    return Instrument(
        symbol=listed.symbol,
        name=listed.symbol,
        contract_size=1.0,
        contract_unit="base",
        base=listed.base_currency.upper(),
        quote=listed.quote_currency.upper(),
        kind="spot",
        tick_size=None if price is None else 10.0**-price,
        lot_size=None if amount is None else 10.0**-amount,
        state=listed.state,
    )


def choose(urls: Sequence[str], channels: Sequence[str]) -> tuple[Ask, ...]:
    """Return the list of the market that is subscribed to."""
    del channels
    return tuple(map(Ask, market("htx", urls[0] if urls else None).lists))


def takes(channel: str, name: str) -> bool:
    """Return False for a rate of funding of a dated contract (BTC-USDT-261225)."""
    return not channel.endswith(".funding_rate") or name.count("-") == 1


NAMES = Names(
    forms=(
        (r"^[^-]+-USDT$", "perpetual", "linear"),
        (r"^[^-]+-USD$", "perpetual", "inverse"),
        (r"^[^-]+-USDT-\d{6}$", "future", "linear"),
        (r"^[a-z0-9]+$", "spot", None),
    ),
    tardis=(
        ("spot", None, "huobi"),
        (None, "linear", "huobi-dm-linear-swap"),
        ("perpetual", "inverse", "huobi-dm-swap"),
        ("future", "inverse", "huobi-dm"),
    ),
)

FEED = Feed(
    kind="htx",
    title="Liquidations, funding, mark and index prices, large trades (HTX)",
    endpoints=endpoints("htx"),
    plan=plan,
    channels={
        "liquidation_orders": "liquidations of every linear contract",
        "funding_rate": "rates of every linear perpetual, each minute",
        "market.BTC-USDT.trade.detail": "trades; those of whale_usd or more become whales",
        "market.BTC-USDT.mark_price.1min": "the mark price (a candle; its close is the price now)",
        "market.BTC-USDT.index.1min": "the index price, in the same form",
    },
    default_channels=(
        "liquidation_orders",
        "funding_rate",
        "market.BTC-USDT.trade.detail",
        "market.ETH-USDT.trade.detail",
    ),
    tables=("liquidations", "funding", "prices", "whales", "latency"),
    retry=RetryPolicy(first=1.0, longest=60.0),
    control=re.compile(rb'"ping"|"err-code"|"op"\s*:\s*"(?:close|error)"'),
    notice=notice,
    answer=re.compile(rb'"ping"\s*[:,}]'),
    normalise="htx",
    catalogue=Catalogue(choose((), ()), read, choose, takes),
    requests=requests,
    hosts=hosts("htx"),
    coding="gzip",
    names=NAMES,
)

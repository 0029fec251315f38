"""Binance: liquidations, funding, mark prices and trades of futures; the spot market's trades.

Since the old URLs were retired (2026-04-23) futures have two routes: `/public` carries books and
single trades, `/market` everything else. A stream on the wrong route is silent, and so is an old
path: mark prices have a cadence. For the spot market set `url = "wss://stream.binance.com:9443"`.
No key is needed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import partial
from urllib.parse import quote, urlsplit, urlunsplit

import msgspec

from recorder.endpoints import VenueMarket, endpoints, hosts, market
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

#: Names of symbols may be Chinese.
_STREAM = re.compile(r"!\w+(@\w+)*|\w+(@\w+)+")
_GROUPS = {
    "forceOrder": "liquidations",
    "markPrice": "prices",
    "aggTrade": "trades",
    "trade": "single trades",
    "bookTicker": "books",
    "depth": "books",
    "contractInfo": "contracts",
}
#: The default market's routes to the hosts of coin-margined contracts.
_COINM = ("coinm", "coinm-public")

#: A channel of this name is polled: the venue grants the stream and sends nothing on it.
_POLLED = "@openInterest"
_POLL_EVERY = 60.0  # seconds
_POLLS_A_SECOND = 8.0

_MAX_AGE = 23.5 * 3600  # connections end at 24 h
_PER_CONNECTION = 1024
_AT_ONCE = 100  # streams in one message
_LONGEST_URL = 2000  # beyond it a server may refuse the handshake: subscribe by message


def plan(options: Options) -> list[Plan]:
    """Return separate connections for liquidations, prices, trades and the rest."""
    unused(options, "subscribe", hint="its channels are the streams to record")
    channels = options.channels or FEED.default_channels
    for channel in channels:
        if not _STREAM.fullmatch(channel):
            raise wrong_channel(options, channel, "for example: " + ", ".join(FEED.channels))
    venue = market("binance", options.url)
    polled = [channel for channel in channels if channel.endswith(_POLLED)]
    streams = [channel for channel in channels if channel not in polled]
    groups = grouped(streams, partial(_group, venue), _PER_CONNECTION)
    plans = [_plan(venue, group, named, options) for group, named in groups.items()]
    return plans + ([_polled(venue, polled, options)] if polled else [])


def _polled(venue: VenueMarket, channels: Sequence[str], options: Options) -> Plan:
    """Return the plan that asks for the open interest of symbols: it has no stream.

    One request has a weight of 1; an address may spend 2,400 a minute.
    """
    if not venue.polls:
        raise wrong_channel(options, channels[0], "this market has no open interest")
    return Plan(
        group="open interest",
        urls=tuple(_poll_url(venue, channel) for channel in channels),
        channels=tuple(channels),
        every=options.every or max(_POLL_EVERY, len(channels) / _POLLS_A_SECOND),
    )


def _poll_url(venue: VenueMarket, channel: str) -> str:
    symbol = channel.removesuffix(_POLLED).upper()
    coin_margined = re.search(r"USD_(PERP|\d{6})$", symbol) is not None
    base = venue.polls["coinm-openInterest" if coin_margined else "openInterest"]
    return f"{base}?symbol={quote(symbol)}"


def _group(venue: VenueMarket, channel: str) -> str:
    parts = channel.removeprefix("!").split("@")
    kind = parts[0] if channel.startswith("!") else parts[1]
    name = _GROUPS.get("depth" if kind.startswith("depth") else kind, "others")
    return f"coin-m {name}" if venue.route(channel) in _COINM else name


def _plan(venue: VenueMarket, group: str, channels: Sequence[str], options: Options) -> Plan:
    base = _base(venue, venue.route(channels[0]), options.url)
    asked = f"{base}{'&' if '?' in base else '?'}streams=" + quote("/".join(channels), safe="!@/")
    in_url = len(asked) <= _LONGEST_URL and not urlsplit(base).path.endswith("/ws")
    return Plan(
        group=group,
        urls=(asked if in_url else base,),
        channels=tuple(channels),
        headers=options.headers,
        hello=() if in_url else tuple(requests("subscribe", channels)),
        send_every=0.25,  # 5 (spot) or 10 messages a second, pings counted
        cadence=30.0 if group.removeprefix("coin-m ").startswith("prices") else None,
        max_age=_MAX_AGE,
    )


def _base(venue: VenueMarket, route: str, given: str | None) -> str:
    """Return the endpoint of a route, in the form that the user gave: combined streams, or bare."""
    parts = urlsplit(given or "")
    bare = parts.path.rstrip("/").endswith("/ws")
    if not bare:
        return venue.url(route, given)
    wrapped = parts._replace(path=parts.path.rstrip("/").removesuffix("/ws") + "/stream")
    routed = urlsplit(venue.url(route, urlunsplit(wrapped)))
    return urlunsplit(routed._replace(path=routed.path.removesuffix("/stream") + "/ws"))


def requests(op: str, channels: Sequence[str]) -> Iterator[str]:
    """Return the messages that subscribe to channels, or unsubscribe from them."""
    for number, start in enumerate(range(0, len(channels), _AT_ONCE), 1):
        params = list(channels[start : start + _AT_ONCE])
        yield message(method=op.upper(), params=params, id=number)


def notice(payload: bytes) -> Notice | None:
    """Read a refused request, `{"error": …}` or `{"code": …, "msg": …}`, or a shutdown."""
    received = parsed(payload)
    if received is None:
        return None
    if "error" in received or "msg" in received:
        return Notice(f"the service reports: {words(payload.decode('utf-8', 'replace'))}")
    inner = (received, received.get("data"), received.get("event"))
    if any(isinstance(event, dict) and event.get("e") == "serverShutdown" for event in inner):
        why = "the server is about to shut down"
        return Notice(why, ending=True)
    return None


def on_close(code: int | None, reason: str) -> Verdict | None:
    """Return a wait for a rate limit: the venue bans addresses that keep exceeding it."""
    if code == 1008 and re.search(r"too many|limit", reason, re.IGNORECASE):
        return Verdict(f"rate limited: {words(reason)}", wait=60.0)
    return None


# -- instruments


class _Filter(msgspec.Struct):
    """A rule of a symbol: PRICE_FILTER has `tickSize`, LOT_SIZE has `stepSize`."""

    filterType: str = ""
    tickSize: str | None = None
    stepSize: str | None = None


class _ListedSymbol(msgspec.Struct):
    """A symbol of a list: spot and USD-M have `status`, COIN-M `contractStatus`, `contractSize`."""

    symbol: str
    status: str | None = None
    contractStatus: str | None = None
    contractSize: float | None = None
    contractType: str | None = None  # not of spot
    baseAsset: str | None = None
    quoteAsset: str | None = None
    marginAsset: str | None = None
    filters: list[_Filter] = []


class _ExchangeInfo(msgspec.Struct):
    symbols: list[_ListedSymbol]


class _FundingInfo(msgspec.Struct):
    """A symbol of `fundingInfo`, which lists those whose interval was ever adjusted."""

    symbol: str
    fundingIntervalHours: float


_LIST: msgspec.json.Decoder[_ExchangeInfo] = msgspec.json.Decoder(_ExchangeInfo)
_INTERVALS: msgspec.json.Decoder[list[_FundingInfo]] = msgspec.json.Decoder(list[_FundingInfo])


def read(body: bytes) -> tuple[list[Instrument], Ask | None]:
    """Read the trading symbols of an `exchangeInfo` (spot, USD-M or COIN-M): one page.

    For a `fundingInfo` read the funding intervals of some symbols.
    """
    if body.lstrip().startswith(b"["):
        return [
            Instrument(
                symbol=listed.symbol,
                name=listed.symbol.lower(),
                funding_interval_hours=listed.fundingIntervalHours,
            )
            for listed in _INTERVALS.decode(body)
            if listed.fundingIntervalHours > 0
        ], None
    return [
        _instrument(listed)
        for listed in _LIST.decode(body).symbols
        if "TRADING" in (listed.status, listed.contractStatus)
    ], None


def choose(urls: Sequence[str], channels: Sequence[str]) -> tuple[Ask, ...]:
    """Return the lists of the market at the user's URL: of futures, or of spot pairs."""
    del channels
    venue = market("binance", urls[0] if urls else None)
    completing = (Ask(url, completes=True) for url in venue.completing)
    return (*map(Ask, venue.lists), *completing)


def _instrument(listed: _ListedSymbol) -> Instrument:
    # Sizes are in the coin, but COIN-M has contracts of `contractSize` dollars.
    coin_margined = listed.contractStatus is not None
    return Instrument(
        symbol=listed.symbol,
        name=listed.symbol.lower(),
        contract_size=positive(listed.contractSize) if coin_margined else 1.0,
        contract_unit="usd" if coin_margined else "base",
        base=listed.baseAsset or None,
        quote=listed.quoteAsset or None,
        settle=listed.marginAsset or None,
        kind=_kind(listed.contractType),
        contract_type=_contract_type(listed),
        tick_size=_step(listed, "PRICE_FILTER"),
        lot_size=_step(listed, "LOT_SIZE"),
        state=listed.contractStatus or listed.status,
    )


def _kind(contract_type: str | None) -> str:
    if contract_type is None:
        return "spot"
    return "perpetual" if "PERPETUAL" in contract_type else "future"


def _contract_type(listed: _ListedSymbol) -> str | None:
    if listed.contractStatus is not None:
        return "inverse"
    return None if listed.contractType is None else "linear"


def _step(listed: _ListedSymbol, name: str) -> float | None:
    found = [rule for rule in listed.filters if rule.filterType == name]
    return positive(found[0].tickSize or found[0].stepSize) if found else None


# -- names elsewhere


def nautilus_symbol(symbol: str, kind: str | None, contract_type: str | None) -> str | None:
    """Return nautilus_trader's symbol: perpetuals end in -PERP, as no pair does."""
    del contract_type
    if kind == "perpetual":
        return symbol.removesuffix("_PERP") + "-PERP"
    return None if kind in {None, "contract"} else symbol


#: https://docs.tardis.dev/historical-data-details has Tardis's names, here and for other venues.
NAMES = Names(
    forms=(
        (r"USD_PERP$", "perpetual", "inverse"),
        (r"USD_\d{6}$", "future", "inverse"),
        (r"_\d{6}$", "future", "linear"),
        (r"-\d{6}-\d+(\.\d+)?-[CP]$", "option", None),
    ),
    tardis=(
        ("spot", None, "binance"),
        ("option", None, "binance-european-options"),
        (None, "inverse", "binance-delivery"),
        (None, None, "binance-futures"),
    ),
    nautilus=nautilus_symbol,
    streams=("@trade$", "@aggTrade$"),
)


FEED = Feed(
    kind="binance",
    title="Liquidations, funding, mark prices and large trades (Binance futures; spot)",
    endpoints=endpoints("binance"),
    hosts=hosts("binance"),
    plan=plan,
    channels={
        "!forceOrder@arr": "the largest liquidation per symbol and second, all symbols",
        "!markPrice@arr": "mark price and funding of all symbols, every 3 s (@1s: every second)",
        "btcusdt@aggTrade": "trades of one symbol; those of whale_usd or more become whales",
        "btcusdt@trade": "the same, single",
        "btcusdt@openInterest": "open interest of one symbol, polled every 60 s",
        "!contractInfo": "contracts listed, settled, changed: the early sign of a listing",
    },
    default_channels=("!forceOrder@arr", "!markPrice@arr", "btcusdt@aggTrade", "ethusdt@aggTrade"),
    tables=("liquidations", "funding", "prices", "open_interest", "whales", "latency"),
    retry=RetryPolicy(first=1.0, longest=60.0),
    on_close=on_close,
    control=re.compile(rb'^\s*\{\s*"(error|code|msg)"|"e"\s*:\s*"serverShutdown"'),
    notice=notice,
    normalise="binance",
    # The spot market stamps the time of sending on each connection's copy. It stays where it is the
    # event's only time: mark prices, liquidations.
    stamped=re.compile(
        rb'("e"\s*:\s*"(?:trade|aggTrade|depthUpdate|kline|avgPrice|(?:24hr|\d+[hd])(?:Mini)?Ticker)"'
        rb'\s*,\s*)"E"\s*:\s*\d+'
    ),
    catalogue=Catalogue(choose((), ()), read, choose),
    requests=requests,
    names=NAMES,
)

"""Bybit V5 public streams: liquidations, tickers (prices, funding, open interest), trades. No key.

The endpoint says the market: `/linear` (USDT and USDC contracts), or, by the setting `url`,
`/inverse` or `/spot`. One wrong topic makes the service refuse a whole subscription; it names that
topic and repeats `req_id`, so `req_id` lists the topics, and the answer asks for the others again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from urllib.parse import quote, urlsplit

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
    Refusal,
    RetryPolicy,
    Verdict,
    grouped,
    message,
    parsed,
    positive,
    refused,
    seconds,
    unused,
    words,
    wrong_channel,
)

_TOPIC = re.compile(r"(?=.{1,64}$)[A-Za-z][A-Za-z-]*(\.[A-Za-z0-9_-]+)+", re.ASCII)
_NAMED = re.compile(r"topic:\s*(\S+)")
_TOO_FAST = re.compile(r"too (many|frequent)|rate.?limit", re.IGNORECASE)

_ARGS = 10  # topics in one message: what /spot takes, the other markets take more
_COIN = re.compile(r"\.([A-Z0-9]+)(?:-[^.]*)?$")  # of an option's topic
_CHANNELS = 300  # of 64 characters with quotes and comma: below 21,000 on one connection
_GROUPS = {"allLiquidation": "liquidations", "tickers": "prices", "publicTrade": "trades"}


def plan(options: Options) -> list[Plan]:
    """Return separate connections for liquidations, tickers and trades, within their limits."""
    unused(options, "subscribe", hint="its channels are the topics to record")
    channels = options.channels or FEED.default_channels
    for channel in channels:
        if not _TOPIC.fullmatch(channel):
            raise wrong_channel(options, channel, "for example: " + ", ".join(FEED.channels))
    parts = grouped(channels, _group, _CHANNELS)
    return [_plan(group, topics, options) for group, topics in parts.items()]


def _group(channel: str) -> str:
    kind = channel.partition(".")[0]
    return _GROUPS.get(kind, kind)


def _plan(group: str, channels: Sequence[str], options: Options) -> Plan:
    url = market("bybit", options.url).url("all", options.url)
    # A contract's mark price moves all the time; a rare coin's spot ticker may not.
    moving = group.startswith("prices") and not urlsplit(url).path.endswith(("/spot", "/option"))
    return Plan(
        group=group,
        urls=(url,),
        channels=tuple(channels),
        headers=options.headers,
        hello=tuple(requests("subscribe", channels)),
        send_every=0.1,
        ping=message(op="ping"),
        ping_every=20.0,
        silence=65.0,  # three pongs missed
        cadence=60.0 if moving else None,
    )


def requests(op: str, channels: Sequence[str]) -> Iterator[str]:
    """Return the messages that subscribe to channels, or unsubscribe from them."""
    for start in range(0, len(channels), _ARGS):
        topics = list(channels[start : start + _ARGS])
        yield message(op=op, args=topics, req_id=",".join(topics))


def notice(payload: bytes) -> Notice | None:
    """Read a refusal: `{"success": false, "ret_msg": "error:…,topic:…", "req_id": …, "op": …}`."""
    received = parsed(payload)
    if received is None or received.get("success") is not False:
        return None
    why = words(received.get("ret_msg"))
    if _TOO_FAST.search(why):
        return Notice(why, verdict=Verdict(f"rate limited: {why}", wait=60.0))
    if received.get("op") != "subscribe":
        return Notice(f"the service refuses: {why}")
    asked = _asked(received.get("req_id"))
    topic = _topic(received.get("ret_msg")) or ("".join(asked) if len(asked) == 1 else "")
    # Each reply is shorter than what it answers, so this ends.
    others = [channel for channel in asked if channel != topic] if topic in asked else []
    reply = next(requests("subscribe", others), None)
    if "already subscribed" in why:
        return Notice(reply=reply)
    if not topic:
        return Notice(f"subscription refused: {why}: {words(received.get('req_id'))}")
    return Notice(f"channel refused: {topic}: {why}", refused_channel=topic, reply=reply)


def _asked(req_id: object) -> list[str]:
    """Return the topics of the subscription that the service answers; empty if it is not ours."""
    topics = req_id.split(",") if isinstance(req_id, str) and len(req_id) <= 65 * _ARGS else []
    ours = 0 < len(topics) <= _ARGS and all(map(_TOPIC.fullmatch, topics))
    return topics if ours else []


def _topic(why: object) -> str:
    """Return the topic that a refusal names; empty if it names none."""
    found = _NAMED.search(why) if isinstance(why, str) else None
    return words(found[1]) if found else ""


def on_refused(refusal: Refusal) -> Verdict:
    """Read a 403, which blames a rate limit or the country."""
    if refusal.status == 403 and "too frequent" in refusal.body:
        wait = seconds(refusal.headers.get("retry-after"))
        reason = "rate limited (HTTP 403: access too frequent)"
        return Verdict(reason, wait=wait or 600.0, limited=True)
    if refusal.status == 403 and "your country" in refusal.body:  # it can pass: with the route
        return Verdict("not served in this country (HTTP 403)", patient=True)
    return refused(refusal)


# -- the list of instruments

#: The unit of sizes, documented per category.
_UNITS = {"linear": "base", "inverse": "usd", "spot": "base", "option": "base"}


class _PriceFilter(msgspec.Struct, rename="camel", frozen=True):
    tick_size: str | None = None


class _LotSizeFilter(msgspec.Struct, rename="camel", frozen=True):
    qty_step: str | None = None  # of contracts
    base_precision: str | None = None  # of spot


class _InstrumentInfo(msgspec.Struct, rename="camel"):
    symbol: str
    status: str
    quote_coin: str
    base_coin: str | None = None
    settle_coin: str | None = None
    contract_type: str | None = None  # LinearPerpetual, InverseFutures, …; not of spot and options
    funding_interval: int | None = None  # minutes
    price_filter: _PriceFilter = _PriceFilter()
    lot_size_filter: _LotSizeFilter = _LotSizeFilter()


class _InfoPage(msgspec.Struct, rename="camel"):
    category: str
    instruments: tuple[_InstrumentInfo, ...] = msgspec.field(name="list")
    next_page_cursor: str = ""


class _InfoAnswer(msgspec.Struct, rename="camel"):
    ret_code: int
    result: _InfoPage


def read(body: bytes) -> tuple[list[Instrument], Ask | None]:
    """Read a page of `/v5/market/instruments-info`."""
    answer = msgspec.json.decode(body, type=_InfoAnswer)
    page = answer.result
    if answer.ret_code != 0 or page.category not in _UNITS:
        raise ValueError(f"code {answer.ret_code}, category {words(page.category)!r}")
    found = [_instrument(one, page.category) for one in page.instruments if one.status == "Trading"]
    # The cursor is percent-encoded already: return it unchanged.
    asked = f"{_list_of(page.category)}&{_option_of(page)}"
    more = f"{asked.rstrip('&')}&cursor={quote(page.next_page_cursor, safe='%')}"
    return found, Ask(more) if page.next_page_cursor and page.instruments else None


def _instrument(listed: _InstrumentInfo, category: str) -> Instrument:
    minutes = listed.funding_interval
    lots = listed.lot_size_filter
    return Instrument(
        symbol=listed.symbol,
        name=listed.symbol,
        contract_size=1.0,
        contract_unit=_UNITS[category],
        funding_interval_hours=minutes / 60 if minutes and minutes > 0 else None,
        base=listed.base_coin or None,
        quote=listed.quote_coin or None,
        settle=listed.settle_coin or None,
        kind=_kind(category, listed.contract_type),
        contract_type=category if category in {"linear", "inverse"} else None,
        tick_size=positive(listed.price_filter.tick_size),
        lot_size=positive(lots.qty_step or lots.base_precision),
        state=listed.status,
    )


def choose(urls: Sequence[str], channels: Sequence[str]) -> tuple[Ask, ...]:
    """Return the list of the market that is subscribed to: of options, for each coin named."""
    lists = market("bybit", urls[0] if urls else None).lists
    if "category=option" not in lists[0]:
        return tuple(map(Ask, lists))
    coins = sorted({found[1] for name in channels if (found := _COIN.search(name))} or {"BTC"})
    return tuple(Ask(f"{url}&baseCoin={coin}") for url in lists for coin in coins)


def _list_of(category: str) -> str:
    return market("bybit", f"wss://stream.bybit.com/v5/public/{category}").lists[0]


def _option_of(page: _InfoPage) -> str:
    """Return the parameter that the next page of a coin's options needs; empty for others."""
    coin = page.instruments[0].base_coin if page.category == "option" and page.instruments else None
    return f"baseCoin={coin}" if coin else ""


def _kind(category: str, contract_type: str | None) -> str | None:
    if category in {"spot", "option"}:
        return category
    if contract_type is None:
        return None
    return "perpetual" if contract_type.endswith("Perpetual") else "future"


# -- names elsewhere


def nautilus_symbol(symbol: str, kind: str | None, contract_type: str | None) -> str | None:
    """Return nautilus_trader's symbol, which ends in the market."""
    if kind in {"spot", "margin", "option"}:
        return f"{symbol}-{'OPTION' if kind == 'option' else 'SPOT'}"
    return f"{symbol}-{contract_type.upper()}" if kind and contract_type else None


NAMES = Names(
    forms=(
        (r"-[CP](-[A-Z]+)?$", "option", None),
        (r"PERP$", "perpetual", "linear"),
        (r"(?<!RL)(?<!PY)(?<!FD)USD$", "perpetual", "inverse"),
        (r"USD[FGHJKMNQUVXZ]\d{2}$", "future", "inverse"),
        (r"-\d{1,2}[A-Z]{3}\d{2}$", "future", "linear"),
    ),
    tardis=(
        ("spot", None, "bybit-spot"),
        ("option", None, "bybit-options"),
        (None, None, "bybit"),
    ),
    nautilus=nautilus_symbol,
)


FEED = Feed(
    kind="bybit",
    title="Liquidations, funding, prices, open interest and large trades (Bybit)",
    endpoints=endpoints("bybit"),
    plan=plan,
    channels={
        "allLiquidation.BTCUSDT": "every liquidation of one symbol, twice a second",
        "tickers.BTCUSDT": "mark, index and last price, funding, open interest, ten times a second",
        "publicTrade.BTCUSDT": "trades of one symbol; those of whale_usd or more become whales",
    },
    default_channels=(
        "allLiquidation.BTCUSDT",
        "allLiquidation.ETHUSDT",
        "allLiquidation.SOLUSDT",
        "tickers.BTCUSDT",
        "tickers.ETHUSDT",
        "publicTrade.BTCUSDT",
        "publicTrade.ETHUSDT",
    ),
    tables=("liquidations", "funding", "prices", "open_interest", "whales", "latency"),
    retry=RetryPolicy(first=1.0, longest=60.0, spacing=0.7),  # at most 500 connections in 5 minutes
    on_refused=on_refused,
    control=re.compile(rb'"success"\s*:\s*false'),
    notice=notice,
    answer=re.compile(rb'"op"\s*:\s*"p[io]ng"|"ret_msg"\s*:\s*"pong"'),
    normalise="bybit",
    # The time of the frame, not of its trades and liquidations, which have their own.
    stamped=re.compile(
        rb'("topic"\s*:\s*"(?:publicTrade|allLiquidation|liquidation)\.[^"]*"'
        rb'(?:\s*,\s*"type"\s*:\s*"[a-z]*")?\s*,\s*)"ts"\s*:\s*\d+'
    ),
    catalogue=Catalogue(choose((), ()), read, choose),
    requests=requests,
    hosts=hosts("bybit"),
    names=NAMES,
)

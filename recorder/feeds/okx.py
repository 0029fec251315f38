"""OKX V5 public streams: liquidations, funding, prices, open interest, trades. No key.

A channel is the venue's name of it, a colon, and its subject: an instrument
(`trades:BTC-USDT-SWAP`) or a type of instruments (`liquidation-orders:SWAP`, the whole market).
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

_CHANNEL = re.compile(r"([A-Za-z0-9-]{1,40}):([A-Za-z0-9_-]{1,40})", re.ASCII)
_TYPES = frozenset({"SPOT", "MARGIN", "SWAP", "FUTURES", "OPTION", "ANY"})
_NAMED = re.compile(r"channel:\s*([\w-]+)\s*,\s*inst(?:Id|Type|Family):\s*([\w-]+)")

_ARGS = 100  # channels in one message: 480 messages an hour, 64 KB
_CHANNELS = 500  # of at most 110 bytes: below 64 KB on one connection
_VENUE = market("okx")
_GROUPS = {
    "liquidation-orders": "liquidations",
    "funding-rate": "funding",
    "mark-price": "prices",
    "index-tickers": "prices",
    "tickers": "prices",
    "open-interest": "open interest",
    "trades": "trades",
    "trades-all": "trades",
}
#: Seconds without data that mean a mute connection: mark prices come every 10 s at least,
#: funding rates every 90 s.
_CADENCES = {"mark-price": 60.0, "funding-rate": 300.0}


def plan(options: Options) -> list[Plan]:
    """Return separate connections for each data type, within the venue's limits."""
    unused(options, "subscribe", hint="its channels are what is subscribed to")
    channels = options.channels or FEED.default_channels
    for channel in channels:
        if not _valid(channel):
            raise wrong_channel(options, channel, "for example: " + ", ".join(FEED.channels))
    parts = grouped(channels, _group, _CHANNELS)
    return [_plan(group, some, options) for group, some in parts.items()]


def _valid(channel: str) -> bool:
    found = _CHANNEL.fullmatch(channel)
    # Liquidations are of a whole market: the venue refuses an instrument, or ignores it silently.
    return found is not None and (found[1] != "liquidation-orders" or found[2] in _TYPES)


def _group(channel: str) -> str:
    name = channel.partition(":")[0]
    route = _VENUE.route(channel)
    return f"{'' if route == 'public' else f'{route} '}{_GROUPS.get(name, name)}"


def _plan(group: str, channels: Sequence[str], options: Options) -> Plan:
    cadences = [_CADENCES.get(channel.partition(":")[0]) for channel in channels]
    return Plan(
        group=group,
        urls=(_VENUE.url(_VENUE.route(channels[0]), options.url),),
        channels=tuple(channels),
        headers=options.headers,
        hello=tuple(requests("subscribe", channels)),
        send_every=0.35,  # requests at most three times a second
        ping="ping",
        ping_every=20.0,  # the service closes a connection that is silent for 30 s
        silence=65.0,  # three pongs missed
        cadence=min((cadence for cadence in cadences if cadence is not None), default=None),
    )


def requests(op: str, channels: Sequence[str]) -> Iterator[str]:
    """Return the messages that subscribe to channels, or unsubscribe from them."""
    for start in range(0, len(channels), _ARGS):
        yield message(op=op, args=[_arg(channel) for channel in channels[start : start + _ARGS]])


def _arg(channel: str) -> dict[str, str]:
    name, _, subject = channel.partition(":")
    return {"channel": name, "instType" if subject in _TYPES else "instId": subject}


def notice(payload: bytes) -> Notice | None:
    """Read an error or a notice: `{"event": "error" | "notice", "code": …, "msg": …}`.

    The message names a refused channel. The others of its request count as accepted, as the
    service acknowledges each by itself (this is not documented).
    """
    received = parsed(payload)
    if received is None or received.get("event") not in (
        "error",
        "notice",
        "channel-conn-count-error",
    ):
        return None
    code, said = words(received.get("code")), received.get("msg")
    text = f"{code} {words(said)}".strip()
    if code == "64008":  # the service closes the connection in 60 s
        return Notice(text, ending=True)
    if code == "60014":
        return Notice(text, verdict=Verdict(f"rate limited: {text}", wait=60.0))
    found = _NAMED.search(said) if isinstance(said, str) else None
    if found and received["event"] == "error":
        channel = words(f"{found[1]}:{found[2]}")
        return Notice(f"channel refused: {channel}: {text}", refused_channel=channel)
    return Notice(f"the service reports: {text}")


# -- the list of instruments

#: An option: family, date, strike, right.
_OPTION = re.compile(r":([A-Z0-9_]+-[A-Z0-9_]+)-\d{6}-\d+-[CP]$")
_OPTIONS = _VENUE.lists[0].partition("?")[0] + "?instType=OPTION&instFamily="


class _PublicInstrument(msgspec.Struct, rename="camel"):
    inst_id: str
    state: str
    inst_type: str = ""
    uly: str = ""  # base and quote of a contract, such as BTC-USDT
    base_ccy: str = ""  # of a pair
    quote_ccy: str = ""
    settle_ccy: str = ""
    ct_type: str = ""  # linear, inverse
    ct_val: str = ""
    ct_mult: str = ""
    ct_val_ccy: str = ""
    tick_sz: str = ""
    lot_sz: str = ""


class _PublicInstruments(msgspec.Struct):
    code: str
    data: tuple[_PublicInstrument, ...]


def read(body: bytes) -> tuple[list[Instrument], Ask | None]:
    """Read the answer of `/api/v5/public/instruments`, which has one page."""
    answer = msgspec.json.decode(body, type=_PublicInstruments)
    if answer.code != "0":
        raise ValueError(f"code {words(answer.code)!r}")
    return [_instrument(one) for one in answer.data if one.state == "live"], None


_KINDS = {
    "SWAP": "perpetual",
    "FUTURES": "future",
    "SPOT": "spot",
    "MARGIN": "margin",
    "OPTION": "option",
}


def _instrument(listed: _PublicInstrument) -> Instrument:
    base, _, quote = listed.uly.partition("-")
    base, quote = listed.base_ccy or base, listed.quote_ccy or quote
    size, unit = _size(listed), None
    if listed.inst_type in {"SPOT", "MARGIN"}:
        size, unit = 1.0, "base"
    elif listed.ct_val_ccy and listed.ct_val_ccy == base:
        unit = "base"
    elif listed.ct_val_ccy.startswith("USD"):
        unit = "usd"
    return Instrument(
        symbol=listed.inst_id,
        name=listed.inst_id,
        contract_size=size,
        contract_unit=unit,
        base=base or None,
        quote=quote or None,
        settle=listed.settle_ccy or None,
        kind=_KINDS.get(listed.inst_type),
        contract_type=listed.ct_type or None,
        tick_size=positive(listed.tick_sz),
        lot_size=positive(listed.lot_sz),
        state=listed.state,
    )


def _size(listed: _PublicInstrument) -> float | None:
    """Return the size of one contract in `ctValCcy`; None if the venue does not give it."""
    value, multiplier = positive(listed.ct_val), positive(listed.ct_mult)
    return positive(value * multiplier) if value and multiplier else None


#: Channels that exist for contracts only, or for perpetual ones.
_OF_CONTRACTS = ("open-interest", "price-limit", "estimated-price")
_OF_PERPETUALS = ("funding-rate",)


def choose(urls: Sequence[str], channels: Sequence[str]) -> tuple[Ask, ...]:
    """Return the list of each type of instruments; of options those that a channel names."""
    del urls
    families = {found[1] for channel in channels if (found := _OPTION.search(channel))}
    if "liquidation-orders:OPTION" in channels:
        families |= {"BTC-USD", "ETH-USD"}
    options = (f"{_OPTIONS}{family}" for family in sorted(families))
    return tuple(map(Ask, (*_VENUE.lists, *options)))


def takes(channel: str, name: str) -> bool:
    """Return False where the venue has no such channel for an instrument."""
    kind = channel.partition(":")[0]
    if kind in _OF_PERPETUALS:
        return name.endswith("-SWAP") or "_XPERP-" in name
    return kind not in _OF_CONTRACTS or name.count("-") > 1


NAMES = Names(
    forms=(
        (r"-SWAP$", "perpetual", None),
        (r"-[CP]$", "option", None),
        (r"-\d{6}$", "future", None),
        (r"^[^-]+-[^-]+$", "spot", None),
    ),
    tardis=(
        ("spot", None, "okex"),
        ("option", None, "okex-options"),
        ("future", None, "okex-futures"),
        ("perpetual", None, "okex-swap"),
    ),
    streams=("^trades-all:", "^trades:"),
)


FEED = Feed(
    kind="okx",
    title="Liquidations, funding, mark prices, open interest and large trades (OKX)",
    endpoints=endpoints("okx"),
    plan=plan,
    channels={
        "liquidation-orders:SWAP": "liquidations of all perpetual swaps (the venue: not every one)",
        "funding-rate:BTC-USDT-SWAP": "funding rate, every 30 to 90 s",
        "mark-price:BTC-USDT-SWAP": "mark price, up to five times a second",
        "open-interest:BTC-USDT-SWAP": "open interest, every 3 s",
        "trades:BTC-USDT-SWAP": "trades of one symbol; those of whale_usd or more become whales",
        "index-tickers:BTC-USDT": "index price",
        "tickers:BTC-USDT-SWAP": "last price",
        "trades-all:BTC-USDT-SWAP": "trades one by one, on the venue's other route",
    },
    default_channels=(
        "liquidation-orders:SWAP",
        "funding-rate:BTC-USDT-SWAP",
        "funding-rate:ETH-USDT-SWAP",
        "mark-price:BTC-USDT-SWAP",
        "mark-price:ETH-USDT-SWAP",
        "open-interest:BTC-USDT-SWAP",
        "open-interest:ETH-USDT-SWAP",
        "trades:BTC-USDT-SWAP",
        "trades:ETH-USDT-SWAP",
    ),
    tables=("liquidations", "funding", "prices", "open_interest", "whales", "latency"),
    retry=RetryPolicy(first=1.0, longest=60.0, spacing=0.35),  # three connections a second
    control=re.compile(rb'"event"\s*:\s*"(error|notice|channel-conn-count-error)"'),
    notice=notice,
    answer=re.compile(rb"^pong$"),
    normalise="okx",
    catalogue=Catalogue(choose((), ()), read, choose, takes),
    requests=requests,
    hosts=hosts("okx"),
    names=NAMES,
)

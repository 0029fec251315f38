"""Hyperliquid: trades with their buyer and seller, funding, prices, open interest. No key.

Channels are `<type>:<coin>`. `allDexsAssetCtxs`, all coins in one frame, is not offered: its
contexts are lists, and the frame does not name the coins of their elements.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import msgspec

from recorder.endpoints import endpoints, hosts, market
from recorder.errors import ConfigError
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
    unused,
    words,
    wrong_channel,
)

_GROUPS = {
    "activeAssetCtx": "prices",
    "trades": "trades",
    "bbo": "books",
    "l2Book": "books",
    "l2Book.fast": "books",
}
# BTC, kPEPE, xyz:GOLD (a builder's market), PURR/USDC and @107 (spot), #0 (an outcome)
_COIN = re.compile(r"[A-Za-z0-9@#][A-Za-z0-9:/_.-]{0,59}")
# The venue's limits, per address: 1,000 subscriptions, 10 connections, 2,000 messages a minute.
_DEX = re.compile(r"[A-Za-z0-9_-]{1,30}")
_SUBSCRIPTIONS = 1_000
_PER_CONNECTION = 500
_SEND_EVERY = 0.1  # three connections that subscribe at a time stay below the limit


def plan(options: Options) -> list[Plan]:
    """Return separate connections for contexts, trades and books."""
    unused(options, "subscribe", hint="its channels are what is subscribed to")
    channels = tuple(dict.fromkeys(options.channels or FEED.default_channels))
    for channel in channels:
        kind, _, coin = channel.partition(":")
        if kind not in _GROUPS or not _COIN.fullmatch(coin):
            raise wrong_channel(options, channel, "for example: " + ", ".join(FEED.channels))
    if len(channels) > _SUBSCRIPTIONS:
        raise ConfigError(
            f"{len(channels)} channels, but the service takes {_SUBSCRIPTIONS} from one address",
            where=f"feeds.{options.name}.channels",
            hint="name fewer coins, or fewer types for each",
        )
    groups = grouped(channels, lambda channel: _GROUPS[channel.partition(":")[0]], _PER_CONNECTION)
    return [_plan(group, named, options) for group, named in groups.items()]


def _plan(group: str, channels: Sequence[str], options: Options) -> Plan:
    return Plan(
        group=group,
        urls=(options.url,) if options.url else FEED.endpoints,
        channels=tuple(channels),
        headers=options.headers,
        hello=tuple(requests("subscribe", channels)),
        send_every=_SEND_EVERY,
        ping=message(method="ping"),
        ping_every=25.0,  # the server ends connections on which it sent nothing for 60 s
        silence=60.0,
        cadence=60.0 if group.startswith("prices") else None,
    )


def requests(op: str, channels: Sequence[str]) -> Iterator[str]:
    """Return the messages that subscribe to channels, or unsubscribe from them."""
    for channel in channels:
        kind, _, coin = channel.partition(":")
        name, fast, _ = kind.partition(".fast")
        more = {"fast": True} if fast else {}
        yield message(method=op, subscription={"type": name, "coin": coin, **more})


def notice(payload: bytes) -> Notice | None:
    """Read an error that quotes the request: `{"channel": "error", "data": "Invalid … {…}"}`."""
    received = parsed(payload)
    if received is None or received.get("channel") != "error":
        return None
    data = received.get("data")
    said = data if isinstance(data, str) else ""
    text = words(said) or "an error without a text"
    if "messages per minute" in said:  # what was sent beyond the limit is lost
        return Notice(text, verdict=Verdict(f"rate limited: {text}", wait=60.0))
    channel = _quoted(said)
    if channel and not said.startswith("Already"):  # subscribed already: not a refusal
        return Notice(f"channel refused: {text}", refused_channel=channel)
    return Notice(f"the service reports: {text}")


def _quoted(text: str) -> str:
    """Return the channel that an error's text quotes as JSON; empty if it quotes none."""
    found = parsed(text[text.find("{") :]) if "{" in text else None
    inner = found.get("subscription", found) if found is not None else None
    if not isinstance(inner, dict):
        return ""
    kind = words(inner.get("type")) + (".fast" if inner.get("fast") is True else "")
    return ":".join(filter(None, (kind, words(inner.get("coin")))))


def read(body: bytes) -> tuple[list[Instrument], tuple[Ask, ...] | None]:
    """Read the perpetuals of one market; sizes are in coins, funding is hourly.

    For the list of builders' markets, `[null, {"name": "xyz"}]`, return what to ask for each.

    Raises:
        ValueError: the body is not such a list.
    """
    if body.lstrip().startswith(b"[null"):
        return [], tuple(map(_ask, _builders(body)))
    received = parsed(body)
    universe = received.get("universe") if received is not None else None
    if not isinstance(universe, list) or not universe:
        raise ValueError("no list of instruments under 'universe'")
    return [found for found in map(_instrument, universe) if found is not None], None


def _builders(body: bytes) -> list[str]:
    """Return the names of the builders' markets; the venue's own is null."""
    try:
        listed = msgspec.json.decode(body, type=list[dict[str, object] | None])
    except msgspec.MsgspecError as error:
        raise ValueError(str(error)) from None
    names = [one.get("name") for one in listed if one is not None]
    return [name for name in names if isinstance(name, str) and _DEX.fullmatch(name)]


def _ask(dex: str) -> Ask:
    return Ask(market("hyperliquid").lists[0], message(type="meta", dex=dex))


def _instrument(item: object) -> Instrument | None:
    name = item.get("name") if isinstance(item, dict) else None
    gone = item.get("isDelisted", False) if isinstance(item, dict) else None
    if not isinstance(name, str) or not _COIN.fullmatch(name) or not isinstance(gone, bool):
        raise ValueError("an instrument without a name, or of an unknown state")
    if gone:
        return None
    dex, _, coin = name.rpartition(":")
    digits = item.get("szDecimals") if isinstance(item, dict) else None
    return Instrument(
        symbol=name,
        name=name,
        contract_size=1.0,
        contract_unit="base",
        funding_interval_hours=1.0,
        base=coin,
        quote="USD",  # whatever dollar coin it is settled in
        kind="perpetual",
        contract_type="linear",
        lot_size=10.0**-digits if isinstance(digits, int) and 0 <= digits <= 18 else None,
        state="open",
        dex=dex or None,
    )


def nautilus_symbol(symbol: str, kind: str | None, contract_type: str | None) -> str | None:
    """Return nautilus_trader's symbol: in dollars, with the market."""
    del contract_type
    if kind == "perpetual":
        return f"{symbol}-USD-PERP"
    return f"{symbol.replace('/', '-')}-SPOT" if kind == "spot" else None


NAMES = Names(
    forms=((r"^@\d+$|/", "spot", None), (r"^[^#]+$", "perpetual", "linear")),
    nautilus=nautilus_symbol,
)


FEED = Feed(
    kind="hyperliquid",
    title="Trades with buyer and seller, funding, prices and open interest (Hyperliquid)",
    endpoints=endpoints("hyperliquid"),
    plan=plan,
    channels={
        "trades:BTC": "trades with both accounts; those of whale_usd or more become whales",
        "activeAssetCtx:BTC": "funding (hourly), mark, oracle and mid price, open interest",
        "bbo:BTC": "best bid and offer: kept raw, with their latency",
        "l2Book:BTC": "order book, 20 levels every 5 s: kept raw, with its latency",
        "l2Book.fast:BTC": "the same, 5 levels twice a second",
    },
    default_channels=(
        "trades:BTC", "trades:ETH", "trades:SOL", "trades:HYPE",
        "activeAssetCtx:BTC", "activeAssetCtx:ETH", "activeAssetCtx:SOL", "activeAssetCtx:HYPE",
    ),
    tables=("whales", "funding", "open_interest", "prices", "latency"),
    retry=RetryPolicy(first=1.0, longest=60.0),
    control=re.compile(rb'"channel"\s*:\s*"error"'),
    notice=notice,
    answer=re.compile(rb'"channel"\s*:\s*"pong"'),
    normalise="hyperliquid",
    catalogue=Catalogue(
        (
            Ask(market("hyperliquid").lists[0], message(type="meta")),
            Ask(market("hyperliquid").lists[0], message(type="perpDexs")),
        ),
        read,
    ),
    requests=requests,
    hosts=hosts("hyperliquid"),
    names=NAMES,
)  # fmt: skip

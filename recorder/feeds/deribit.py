"""Deribit: tickers with funding and open interest, trades with their liquidations. No key.

JSON-RPC 2.0. The answer to a subscription lists only the channels that were accepted, so the
request's id names what was asked for: the answer repeats it, and what is missing was refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

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

# Without an account there are aggregated channels only, no `raw` ones.
_CHANNEL = re.compile(
    r"(?:ticker|perpetual|trades|book)(?:\.[A-Za-z0-9_-]+)+\.(?:100ms|agg2)|quote\.[A-Za-z0-9_-]+"
)
_GROUPS = {"ticker": "prices", "perpetual": "prices", "trades": "trades"}
_NAME = re.compile(r"[A-Za-z0-9_-]{1,60}")
_HEARTBEAT = 30  # seconds; the service takes 10 or more
_SEND_EVERY = 0.35  # subscriptions at 3.3 a second
_PER_REQUEST = 20  # channels; the id repeats them, so that it stays short
_PER_CONNECTION = 200
_TOO_MANY = 10028
_OPTION = re.compile(r"-[CP](\.|$)|\.option\.")


def plan(options: Options) -> list[Plan]:
    """Return separate connections for tickers, trades and books."""
    unused(options, "subscribe", hint="its channels are what is subscribed to")
    channels = tuple(dict.fromkeys(options.channels or FEED.default_channels))
    for channel in channels:
        if not _CHANNEL.fullmatch(channel):
            hint = "for example: " + ", ".join(FEED.channels) + "; raw ones need an account"
            raise wrong_channel(options, channel, hint)
    groups = grouped(channels, _group, _PER_CONNECTION)
    return [_plan(group, named, options) for group, named in groups.items()]


def _group(channel: str) -> str:
    return _GROUPS.get(channel.partition(".")[0], "books")


def _plan(group: str, channels: Sequence[str], options: Options) -> Plan:
    return Plan(
        group=group,
        urls=(options.url,) if options.url else FEED.endpoints,
        channels=tuple(channels),
        headers=options.headers,
        hello=(
            _request("heartbeat", "public/set_heartbeat", interval=_HEARTBEAT),
            *requests("subscribe", channels),
        ),
        send_every=_SEND_EVERY,
        silence=2.5 * _HEARTBEAT,  # two missed heartbeats, and a margin
        cadence=60.0 if group.startswith("prices") else None,
    )


def requests(op: str, channels: Sequence[str]) -> Iterator[str]:
    """Return the messages that subscribe to channels, or unsubscribe from them."""
    for start in range(0, len(channels), _PER_REQUEST):
        some = channels[start : start + _PER_REQUEST]
        yield _request(" ".join((op, *some)), f"public/{op}", channels=some)


def _request(name: str, method: str, **params: object) -> str:
    return message(jsonrpc="2.0", id=name, method=method, params=params)


def notice(payload: bytes) -> Notice | None:
    """Read a heartbeat's test request, an error, or an answer that leaves out channels."""
    received = parsed(payload)
    if received is None:
        return None
    params, error, result = received.get("params"), received.get("error"), received.get("result")
    if received.get("method") == "heartbeat":
        asks = isinstance(params, dict) and params.get("type") == "test_request"
        return Notice(reply=_request("test", "public/test")) if asks else None
    asked = _asked(received.get("id"))
    if error is not None:
        return _failed(error if isinstance(error, dict) else {}, asked)
    if isinstance(result, list):
        return _refused("not among those accepted", [c for c in asked if c not in result])
    return None


def _asked(name: object) -> list[str]:
    """Return the channels that a request asked for, from its id."""
    what, *channels = name.split(" ") if isinstance(name, str) else ("",)
    return channels if what == "subscribe" else []


def _refused(why: str, channels: Sequence[str]) -> Notice | None:
    if not channels:
        return None
    first, *others = channels
    more = f" and {len(others)} more ({words(' '.join(others))})" if others else ""
    return Notice(f"channel refused: {words(first)}{more}: {why}", refused_channel=words(first))


def _failed(error: dict[str, object], asked: Sequence[str]) -> Notice:
    text = " ".join(filter(None, (words(error.get("code")), words(error.get("message")))))
    if error.get("code") == _TOO_MANY:
        return Notice(text, verdict=Verdict(f"rate limited: {text}", wait=30.0))
    return _refused(text, asked) or Notice(f"the service reports: {text}")


def read(body: bytes) -> tuple[list[Instrument], None]:
    """Read the futures and perpetuals that trade now.

    Raises:
        ValueError: the body is not such a list.
    """
    received = parsed(body)
    items = received.get("result") if received is not None else None
    if not isinstance(items, list) or not items:
        raise ValueError("no list of instruments under 'result'")
    return [found for found in map(_instrument, items) if found is not None], None


def _instrument(item: object) -> Instrument | None:
    listed = item if isinstance(item, dict) else {}
    name, active = listed.get("instrument_name"), listed.get("is_active")
    if not isinstance(name, str) or not _NAME.fullmatch(name) or not isinstance(active, bool):
        raise ValueError("an instrument without a name, or of an unknown state")
    if not active:
        return None
    unit, kind = _unit(listed), _kind(listed)
    types = {"linear": "linear", "reversed": "inverse"}
    return Instrument(
        symbol=name,
        name=name,
        contract_size=None if unit is None else 1.0,
        contract_unit=unit,
        funding_interval_hours=8.0 if kind == "perpetual" else None,
        base=_word(listed, "base_currency"),
        quote=_quoted(listed),
        settle=_word(listed, "settlement_currency"),
        kind=kind,
        contract_type=types.get(str(_margin(listed))) if kind != "spot" else None,
        tick_size=positive(listed.get("tick_size")),
        # The least amount of an inverse contract is in dollars, as its sizes are.
        lot_size=positive(listed.get("min_trade_amount")),
        state=_word(listed, "state") or "open",
    )


def _word(listed: dict[str, object], name: str) -> str | None:
    value = listed.get(name)
    return value if isinstance(value, str) and value else None


def _quoted(listed: dict[str, object]) -> str | None:
    """Return the currency of the prices: of an inverse option it is the coin itself."""
    return _word(listed, "quote_currency") or _word(listed, "counter_currency")


def _margin(listed: dict[str, object]) -> object:
    return listed.get("instrument_type") or listed.get("future_type")


def _kind(listed: dict[str, object]) -> str | None:
    kind = listed.get("kind", "future")
    if kind in {"option", "spot"}:
        return str(kind)
    if kind != "future":  # a combination of several
        return None
    return "perpetual" if listed.get("settlement_period") == "perpetual" else "future"


def _unit(listed: dict[str, object]) -> str | None:
    """Return the unit of sizes (`amount`, `open_interest`); it is not `contract_size`."""
    kind = _kind(listed)
    if kind in {"option", "spot"}:
        return "base"
    if kind is None:
        return None
    quoted = listed.get("counter_currency") or listed.get("quote_currency")
    match _margin(listed):
        case "reversed" if quoted == "USD":
            return "usd"
        case "linear":
            return "base"
        case _:
            return None


def choose(urls: Sequence[str], channels: Sequence[str]) -> tuple[Ask, ...]:
    """Return the lists of futures and spot pairs, and of options if one is subscribed to."""
    del urls
    lists = market("deribit").lists
    wanted = any(_OPTION.search(channel) for channel in channels)
    return tuple(Ask(url) for url in lists if wanted or "kind=option" not in url)


def takes(channel: str, name: str) -> bool:
    """Return False for `perpetual.…` with another instrument than a perpetual."""
    return not channel.startswith("perpetual.") or name.endswith("-PERPETUAL")


NAMES = Names(
    forms=(
        (r"-PERPETUAL$", "perpetual", None),
        (r"-[CP]$", "option", None),
        (r"-\d{1,2}[A-Z]{3}\d{2}$", "future", None),
        (r"^[^-_]+_[^-_]+$", "spot", None),
    ),
)


FEED = Feed(
    kind="deribit",
    title="Funding, prices, open interest, large trades and liquidations (Deribit)",
    endpoints=endpoints("deribit"),
    plan=plan,
    channels={
        "ticker.BTC-PERPETUAL.100ms": "mark, index and last price, funding, open interest",
        "trades.BTC-PERPETUAL.100ms": "trades; those of whale_usd or more, and liquidations",
        "trades.future.any.100ms": "the same of all futures and perpetuals",
        "perpetual.BTC-PERPETUAL.100ms": "the current interest and the index price",
        "quote.BTC-PERPETUAL": "best bid and offer: kept raw, with their latency",
    },
    default_channels=(
        "ticker.BTC-PERPETUAL.100ms",
        "ticker.ETH-PERPETUAL.100ms",
        "trades.BTC-PERPETUAL.100ms",
        "trades.ETH-PERPETUAL.100ms",
    ),
    tables=("whales", "liquidations", "funding", "open_interest", "prices", "latency"),
    retry=RetryPolicy(first=1.0, longest=60.0),
    control=re.compile(rb'"(?:error|result)"\s*:|"id"\s*:\s*"|"method"\s*:\s*"heartbeat"'),
    notice=notice,
    answer=re.compile(rb'"method"\s*:\s*"heartbeat"|"result"\s*:\s*\{\s*"version"'),
    normalise="deribit",
    stamped=re.compile(rb'()"us(?:In|Out|Diff)"\s*:\s*\d+\s*,?'),  # of the JSON-RPC envelope
    catalogue=Catalogue(choose((), ()), read, choose, takes),
    requests=requests,
    hosts=hosts("deribit"),
    names=NAMES,
)

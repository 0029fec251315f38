"""What a feed is: facts and small pure functions, no I/O. Each feed fills in one `Feed`."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from recorder.backoff import Backoff
from recorder.coding import CODINGS
from recorder.errors import ConfigError
from recorder.verdict import CREDENTIALS, Refusal, Verdict, parsed, refused, seconds, words

#: What a feed's file needs, here or from `recorder.verdict`.
__all__ = (
    "CREDENTIALS",
    "NOW",
    "WHALE_USD",
    "Ask",
    "Catalogue",
    "Feed",
    "Instrument",
    "Names",
    "Notice",
    "Options",
    "Plan",
    "Refusal",
    "RetryPolicy",
    "Verdict",
    "grouped",
    "message",
    "parsed",
    "refused",
    "seconds",
    "unused",
    "words",
    "wrong_channel",
)

#: US dollars: a trade of this value or more is a row of `whales`, where the settings name no other.
WHALE_USD = 100_000.0


@dataclass(frozen=True, slots=True)
class Options:
    """What the user set for one feed; None or empty means the feed's own facts."""

    name: str
    url: str | None = field(default=None, repr=False)
    channels: tuple[str, ...] = ()
    key: str | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    subscribe: tuple[str, ...] = field(default=(), repr=False)
    ping: str | None = field(default=None, repr=False)
    ping_every: float | None = None
    reply: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Patterns of messages that ask for an answer, each with its answer."""
    decode: str | None = None
    poll: tuple[str, ...] = field(default=(), repr=False)
    every: float | None = None


#: The value of a message field that holds the time of sending, in whole seconds since epoch.
NOW = "@now"


@dataclass(frozen=True, slots=True)
class Plan:
    """One connection to keep: what to open, send and expect. Times in seconds.

    A field of a message whose value is `NOW` is sent as a number.
    """

    group: str  # the data type that has this connection to itself
    urls: tuple[str, ...] = field(repr=False)  # one per line, used in turn
    channels: tuple[str, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    hello: tuple[str, ...] = field(default=(), repr=False)  # authentication, subscriptions
    send_every: float = 0.0  # least time between two messages of ours
    ping: str | None = None  # the service's own keep-alive message
    ping_every: float = 30.0
    control_ping_every: float | None = 20.0  # WebSocket pings; None where they may count against us
    silence: float = 60.0  # without a byte this long the connection is dead
    cadence: float | None = None  # without a data frame this long it is mute
    max_age: float | None = None  # the service ends connections at this age
    keyed: bool = False  # it shows a key: a refusal may mean the key
    sign: Callable[[str, int], str] | None = field(default=None, repr=False, compare=False)
    """Makes one attempt's URL from the endpoint and the wall clock (ns), where it is signed."""
    every: float | None = None
    """URLs to poll (http, https) instead of a WebSocket: each is asked once in this time.

    The feed's SQL gets their answers as frames of the kind `polled`.
    """
    own: bool = False  # polled URLs that the user named: not moved to `rest_url`

    def endpoint(self, line: int) -> str:
        """Return the URL of a line, counted from 0: lines use the endpoints in turn."""
        return self.urls[line % len(self.urls)]


@dataclass(frozen=True, slots=True)
class Notice:
    """A service's message about the connection: a refused channel, an error, a request."""

    text: str = ""  # for the log; empty: nothing worth a line
    refused_channel: str | None = None
    verdict: Verdict | None = None  # if given, the connection is closed with it
    reply: str | None = None  # if given, the message that the service asks for
    ending: bool = False  # the service will end the connection soon: another has to take over


@dataclass(frozen=True, slots=True)
class Instrument:
    """A venue's facts about one of its instruments, as the venue spells them; None is unknown."""

    symbol: str  # as frames spell it
    name: str  # as channels spell it
    contract_size: float | None = None  # one contract, or one unit of a frame's size, is this much
    contract_unit: str | None = None  # ... of this: base or usd
    funding_interval_hours: float | None = None
    base: str | None = None  # the coin, with the multiplier of its name: BTC, 1000PEPE, kPEPE
    quote: str | None = None  # the currency of its prices
    settle: str | None = None  # the currency that it is settled in
    kind: str | None = None  # perpetual, future, spot, margin or option
    contract_type: str | None = None  # linear, inverse or quanto; None for spot
    tick_size: float | None = None  # the least step of a price
    lot_size: float | None = None  # the least step of a frame's size
    state: str | None = None  # the venue's word for it
    dex: str | None = None  # the builder's exchange within the venue


@dataclass(frozen=True, slots=True)
class Ask:
    """One request to a venue's REST interface: GET, or POST where there is a JSON body."""

    url: str
    body: str | None = None
    completes: bool = False  # the answer adds fields to instruments that other answers list


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Where a venue lists its instruments.

    `read` takes an answer's body and gives the instruments that trade, and what to ask next
    (None: this was the last page). It raises ValueError for anything but such a list: never guess.
    `choose` returns what to ask for the user's URLs (empty: the feed's own) and channels, where
    that depends on them. `takes` returns False for a channel's pattern and the name of an
    instrument that the channel does not exist for, although the pattern matches.
    """

    asks: tuple[Ask, ...]
    read: Callable[[bytes], tuple[list[Instrument], Ask | Sequence[Ask] | None]]
    choose: Callable[[Sequence[str], Sequence[str]], Sequence[Ask]] | None = None
    takes: Callable[[str, str], bool] | None = None


@dataclass(frozen=True, slots=True)
class Names:
    """What the form of a symbol says of its market, and what other programs call the market.

    A market is a kind (perpetual, future, spot, margin, option) and a contract type (linear,
    inverse, quanto); None is unknown.
    """

    forms: Sequence[tuple[str, str, str | None]] = ()
    """Patterns of symbols with their kind and contract type; the first that fits counts."""
    tardis: Sequence[tuple[str | None, str | None, str]] = ()
    """Tardis's names of the exchange by kind and contract type (None: any); empty: it has ours."""
    nautilus: Callable[[str, str | None, str | None], str | None] | None = None
    """nautilus_trader's symbol by symbol, kind and contract type; None: the venue's own.

    It returns None where the symbol depends on a market that is unknown.
    """
    streams: Sequence[str] = ()
    """Patterns of channels that bring the same trades, the one to prefer first."""


#: Seconds to wait after a 401 or 403 that can pass: the first time 15 to 30, later up to 600.
PATIENCE = Backoff(first=30.0, most=600.0, least=0.5)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """When to reconnect: exponential back-off with full jitter, within a budget of attempts."""

    first: float = 1.0
    longest: float = 60.0
    patience: Backoff = PATIENCE  # after a 401 or 403 that can pass
    healthy: float = 30.0  # a connection that lived this long resets the back-off
    attempts_per_minute: int = 10
    spacing: float = 0.0  # least time between two attempts at one endpoint

    @property
    def backoff(self) -> Backoff:
        """The delay after failures in a row, where the service names none."""
        return Backoff(self.first, self.longest)


def plain_close(code: int | None, reason: str) -> Verdict | None:
    """Return None: a feed without rules for closes."""
    del code, reason
    return None


def no_notice(payload: bytes) -> Notice | None:
    """Return None: a feed whose frames need no look while recording."""
    del payload
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """One service's WebSocket endpoint and its rules.

    `plan` turns the user's options into connections and raises ConfigError on wrong ones.
    `control` finds the few frames that `notice` reads while recording, looking at no more than
    the first 200 bytes of each; None skips the look. `notice`, `on_close` and `on_refused` get
    whatever the service sent: read it with `parsed`, `words` and `seconds`.
    `answer` finds what merely answers a ping of ours, or asks us for one: proof of life, but no
    data (see `Plan.cadence`).
    `normalise` names the SQL file below `queries/normalise` (without `.sql`), or is the absolute
    path of a plug-in's own; None keeps raw frames only.
    `catalogue` is where the symbols come from that a `*` in a channel stands for, and the sizes of
    contracts.
    `requests(op, channels)` returns the messages that change the subscriptions of a living
    connection; `op` is "subscribe" or "unsubscribe". None where only a new connection can.
    `hosts` are patterns of the venue's hosts: a user's URL at one of them has its symbols.
    `whole` is true where a connection brings everything, whatever its channels: several hosts
    cannot share it out.
    `stamped` matches (RE2 syntax, no flags) what the service stamps on each connection's copy of a
    frame, such as the time of sending. Copies are frames that are equal without it; the first group
    of a match stays. The rest must distinguish two events. None: copies have equal bytes.
    `names` is what its markets are called elsewhere.
    `coding` names how the service packs the text of its frames (`recorder.coding`). Raw keeps the
    bytes as received; `control`, `answer`, `notice`, `stamped` and the SQL get the text.
    `fitted` returns the fields of the feed that the user's options change.
    """

    kind: str
    title: str
    endpoints: tuple[str, ...]
    plan: Callable[[Options], Sequence[Plan]]
    channels: Mapping[str, str] = field(default_factory=dict)  # pattern -> what it brings
    default_channels: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()
    key_help: str | None = None  # None: no key needed
    retry: RetryPolicy = RetryPolicy()
    on_close: Callable[[int | None, str], Verdict | None] = plain_close
    on_refused: Callable[[Refusal], Verdict] = refused
    control: re.Pattern[bytes] | None = None
    answer: re.Pattern[bytes] | None = None
    notice: Callable[[bytes], Notice | None] = no_notice
    normalise: str | Path | None = None
    catalogue: Catalogue | None = None
    requests: Callable[[str, Sequence[str]], Iterable[str]] | None = None
    hosts: tuple[str, ...] = ()
    whole: bool = False
    stamped: re.Pattern[bytes] | None = None
    coding: str | None = None
    fitted: Callable[[Options], Mapping[str, Any]] | None = None
    names: Names = Names()

    def __post_init__(self) -> None:
        if self.coding is not None and self.coding not in CODINGS:
            raise ValueError(f"no coding '{self.coding}': there are {', '.join(CODINGS)}")


# -- helpers for feeds


def key_of(payload: bytes, stamped: re.Pattern[bytes] | None) -> bytes:
    """Return the bytes by which two connections' copies of a frame are equal (`Feed.stamped`)."""
    return stamped.sub(rb"\1", payload) if stamped else payload


def positive(value: object) -> float | None:
    """Return a venue's number or text of a size; None unless it is above 0 and finite."""
    try:
        found = float(value) if isinstance(value, str | int | float) else math.nan
    except (ValueError, OverflowError):
        return None
    return found if 0 < found < 1e18 else None


def unused(options: Options, *settings: str, hint: str) -> None:
    """Refuse settings that mean nothing to this feed.

    Raises:
        ConfigError: one of them is set.
    """
    for name in settings:
        if getattr(options, name):
            where = f"feeds.{options.name}.{name}"
            raise ConfigError("means nothing to this feed", where=where, hint=hint)


def wrong_channel(options: Options, channel: str, hint: str) -> ConfigError:
    """Return the error for a channel that the service does not have."""
    return ConfigError(
        f"'{channel}' is not a channel of this service",
        where=f"feeds.{options.name}.channels",
        hint=hint,
    )


def grouped(
    channels: Sequence[str], group: Callable[[str], str], at_most: int = 1 << 30
) -> dict[str, list[str]]:
    """Return channels by data type, each once, in parts that one connection can take.

    The parts of a group `trades` are `trades`, `trades 2`, `trades 3`, ...
    """
    found: dict[str, list[str]] = {}
    parts: dict[str, int] = {}
    for channel in dict.fromkeys(channels):
        kind = group(channel)
        part = parts.setdefault(kind, 1)
        name = kind if part == 1 else f"{kind} {part}"
        found.setdefault(name, []).append(channel)
        if len(found[name]) == at_most:
            parts[kind] += 1
    return found


def timed(text: str, wall_ns: int) -> str:
    """Return a message to send at this wall-clock time, with the time where it has `NOW`."""
    return text.replace(f'"{NOW}"', str(wall_ns // 1_000_000_000))


def message(**fields: object) -> str:
    """Return a compact JSON message to send."""
    return json.dumps(fields, separators=(",", ":"))

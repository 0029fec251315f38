"""A service's treatment of its clients, as far as a replay imitates it. Facts, pure functions.

A client sees more of a service than its data frames: what the handshake must contain, how the
service answers messages, its heartbeat, and which channels carry a frame. `recorder/services` has
one `Service` for each feed that differs from the defaults.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Turn:
    """The effects of one message of a client; all empty where the message has none."""

    answers: tuple[str, ...] = ()
    subscribe: tuple[str, ...] = ()
    unsubscribe: tuple[str, ...] = ()
    key: str | None = None  # the key that the client shows


def silent(payload: bytes) -> Turn:
    """Answer nothing: the service takes no messages."""
    del payload
    return Turn()


def same(recorded: str, asked: str) -> bool:
    """Return True if a recorded channel is the one that a client asks for."""
    return recorded == asked


def as_recorded(path: str) -> str:
    """Return no form: clients get frames in the form in which they were recorded."""
    del path
    return ""


def nothing_asked(query: Mapping[str, str], path: str) -> tuple[str, ...]:
    """Return no channels: the service's URL names none."""
    del query, path
    return ()


def no_greeting(asked: Sequence[str], now_ns: int) -> tuple[str, ...]:
    """Return no messages: the service waits for the client to begin."""
    del asked, now_ns
    return ()


@dataclass(frozen=True, slots=True)
class Limit:
    """A client that sends more than `messages` in `seconds` is closed with this code and reason."""

    messages: int
    seconds: float
    code: int = 1008
    reason: str = "too many messages"


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One service towards its clients. By default every client gets everything that was recorded.

    `asked` returns the channels that a URL's query and path name. `greet` returns what the service
    says first, from these channels and the wall clock in ns. `turn` returns the effects of a
    client's message. `beat` returns the heartbeat, from the wall clock in ns.

    `channels` returns the names of all channels that carry a recorded frame: a client that asked
    for any of them gets it. A frame without a name goes to clients that asked for nothing.
    `serves` says if a recorded channel (the first name) has what a client asks for (the second).
    `refuse` returns the effects of a client's message where the record has none of the channels
    in the set: the service's own error for them. None: the message has its usual effects.
    `form` returns the form of frames that the client's path decides; empty: as recorded. `shape`
    returns what a client of that form, who asked for these channels (None: for all), gets for a
    recorded frame; None: the frame as it is.
    `own` matches (RE2 syntax) the recorded frames that answered the recorded session alone. The
    replay does not send them again; it answers each client itself.
    `stamped` is the feed's own (`Feed.stamped`): by it the replay finds two lines' copies. `coding`
    is the feed's own (`Feed.coding`): the replay packs what the service says; `channels`, `shape`
    and `own` get the text of recorded frames.
    `times` are the names of JSON fields that hold an event's time, as a number, as a number in
    quotes, or in ISO 8601 (for `--from-now`).
    """

    text: bool = True  # whether its messages are text, else binary
    by_message: bool = False  # clients subscribe by messages
    key_header: str | None = None  # a handshake without this header is refused: 401
    key_first: bool = False  # a client gets nothing before it has shown its key by message
    refused_key: tuple[str, int, str] = ("", 4001, "invalid api key")  # message; code, reason
    asked: Callable[[Mapping[str, str], str], tuple[str, ...]] = nothing_asked
    greet: Callable[[Sequence[str], int], tuple[str, ...]] = no_greeting
    turn: Callable[[bytes], Turn] = silent
    channels: Callable[[bytes], Sequence[str]] | None = None
    serves: Callable[[str, str], bool] = same
    refuse: Callable[[bytes, frozenset[str]], Turn] | None = None
    form: Callable[[str], str] = as_recorded
    shape: Callable[[bytes, str, set[str] | None], Sequence[bytes] | None] | None = None
    own: str | None = None
    beat: Callable[[int], str] | None = None
    beat_seconds: float = 30.0
    stamped: re.Pattern[bytes] | None = None
    coding: str | None = None
    times: tuple[str, ...] = ()
    too_slow: tuple[int, str] = (1008, "too_slow")
    limit: Limit = Limit(1000, 1.0)
    longest: int = 1 << 20  # bytes of a client's message; a longer one is closed with 1009


def field_of(name: str) -> re.Pattern[bytes]:
    """Return a pattern that finds a JSON string by its field's name, without parsing the frame.

    It finds no value with escapes; names of channels and symbols have none.
    """
    return re.compile(rb'"%s"\s*:\s*"([^"\\]*)"' % name.encode())


def value_in(pattern: re.Pattern[bytes], payload: bytes) -> str:
    """Return the value that a pattern of `field_of` finds in a frame; empty if there is none."""
    match = pattern.search(payload)
    return match[1].decode("utf-8", "replace") if match else ""


def texts(value: object) -> tuple[str, ...]:
    """Return the strings in what a client sent: of a list, or a single one."""
    if isinstance(value, str):
        return (value,)
    if isinstance(value, list):
        return tuple(item for item in value if isinstance(item, str))
    return ()

"""How a service treats its clients, as far as a replay has to do the same. Facts, pure functions.

What a client sees of a service beside the recorded frames: what its handshake must bring, what its
messages ask for and how they are answered, the heartbeat, and which channels bring a frame.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Turn:
    """What one message of a client brings about; nothing at all where it means nothing."""

    answers: tuple[str, ...] = ()
    subscribe: tuple[str, ...] = ()
    unsubscribe: tuple[str, ...] = ()
    key: str | None = None  # the client shows its key


def silent(payload: bytes) -> Turn:
    """A service that takes no messages."""
    del payload
    return Turn()


def nothing_asked(query: Mapping[str, str], path: str) -> tuple[str, ...]:
    """A service whose URL names no channels."""
    del query, path
    return ()


def no_greeting(asked: Sequence[str], now_ns: int) -> tuple[str, ...]:
    """A service that says nothing first."""
    del asked, now_ns
    return ()


@dataclass(frozen=True, slots=True)
class Limit:
    """More than `messages` of a client's in `seconds` end its connection."""

    messages: int
    seconds: float
    code: int = 1008
    reason: str = "too many messages"


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One service towards its clients. The defaults: everything recorded goes to whoever connects.

    `channels` gives the names of all channels that bring a recorded frame, any of which a client
    may have asked for; none: it goes to everybody. `own` finds (RE2 syntax) the recorded frames
    that answered the recorded session alone: they are not sent again, but said anew in time.
    `times` are the names of JSON fields that hold an event's time, as a number, as a number in
    quotes, or in ISO 8601 (for `--from-now`). `beat` makes the heartbeat from the wall clock.
    """

    text: bool = True  # the opcode of what it says itself
    by_message: bool = False  # clients subscribe by messages
    key_header: str | None = None  # a handshake without this header is refused: 401
    key_first: bool = False  # a client gets nothing before a message that shows its key
    refused_key: tuple[str, int, str] = ("", 4001, "invalid api key")  # what it says; the close
    asked: Callable[[Mapping[str, str], str], tuple[str, ...]] = nothing_asked  # by the URL
    greet: Callable[[Sequence[str], int], tuple[str, ...]] = no_greeting
    turn: Callable[[bytes], Turn] = silent
    channels: Callable[[bytes], Sequence[str]] | None = None
    own: str | None = None
    beat: Callable[[int], str] | None = None
    beat_seconds: float = 30.0
    times: tuple[str, ...] = ()
    too_slow: tuple[int, str] = (1008, "too_slow")
    limit: Limit = Limit(1000, 1.0)
    longest: int = 1 << 20  # bytes of a client's message; 1009 beyond


def field_of(name: str) -> re.Pattern[bytes]:
    """Finds a string in JSON by its field's name, for a look at a frame without reading it whole.

    The value may hold no escapes: names of channels and symbols do not.
    """
    return re.compile(rb'"%s"\s*:\s*"([^"\\]*)"' % name.encode())


def found(pattern: re.Pattern[bytes], payload: bytes) -> str:
    """What a pattern of `field_of` finds in a frame; empty if nothing."""
    match = pattern.search(payload)
    return match[1].decode("utf-8", "replace") if match else ""


def texts(value: object) -> tuple[str, ...]:
    """The strings of a list that a client sent, or the one that stands in its place."""
    if isinstance(value, str):
        return (value,)
    if isinstance(value, list):
        return tuple(item for item in value if isinstance(item, str))
    return ()

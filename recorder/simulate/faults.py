"""Faults that a simulated service makes on purpose: pure decisions, without sockets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import msgspec

__all__ = ["CloseFault", "Fault", "Faults"]


@dataclass(frozen=True, slots=True)
class CloseFault:
    """A close of the connection with this code and reason."""

    code: int
    reason: str


Fault = CloseFault | Literal["reset", "silence"]
"""A fault of a connection: an orderly close, a TCP reset, or lasting silence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """The faults that a service makes; by default none.

    Frames are counted per connection from 1, including welcomes and answers. `garbage_every` counts
    only events, so that a client can still set up its session. With `connections=1`, only the first
    connection is faulty, and the client's next attempt finds a healthy service.
    """

    refuse: int | None = None
    """The HTTP status that answers the handshake instead of an upgrade."""
    accept_then_close: bool = False
    """True to upgrade, then close with 1001 before any frame."""
    close_after: tuple[int, int, str] | None = None
    """The number of frames before a close, its code and its reason."""
    reset_after: int | None = None
    """The number of frames before a TCP reset without a close frame."""
    go_silent_after: int | None = None
    """The number of frames before lasting silence: connected, but no heartbeat and no pong."""
    garbage_every: int | None = None
    """N to send garbage instead of every Nth event."""
    connections: int | None = None
    """The number of connections (or refused handshakes) that are faulty; None for all."""

    def affects(self, connection: int) -> bool:
        """Return True if the connection with this number, counted from 0, is faulty."""
        return self.connections is None or connection < self.connections

    def after(self, frames: int) -> Fault | None:
        """Return the fault that follows the frame with this number, if any."""
        if self.close_after is not None and frames == self.close_after[0]:
            return CloseFault(*self.close_after[1:])
        if frames == self.reset_after:
            return "reset"
        if frames == self.go_silent_after:
            return "silence"
        return None

    def corrupted(self, payload: bytes, event: int, *, text: bool) -> bytes:
        """Return the payload to send for the event with this number, from 1: itself or garbage."""
        if not self.garbage_every or event % self.garbage_every:
            return payload
        return garbage(payload, event // self.garbage_every - 1, text=text)


def garbage(payload: bytes, number: int, *, text: bool) -> bytes:
    """Return the garbage with this number, counted from 0, of each kind in turn.

    Text frames stay valid UTF-8: anything else would be a protocol error, not a bad payload.
    """
    kinds = [
        payload[: len(payload) // 2].decode(errors="ignore").encode(),
        b"[1, 2, 3]",
        b"",
        b'{"type": 7, "channel": {}, "payload": "none"}',
        b"null",
        _mistyped(payload),
        b'"a string"',
        b"[" * 2000 + b"]" * 2000,
        b'{"type": "announcement", "type": null, "n": 1e999}',
    ]
    if not text:
        kinds.append(b"\xff\xfe\x00" + payload)
    return kinds[number % len(kinds)]


def _mistyped(payload: bytes) -> bytes:
    """Return the JSON object with every value but `type` replaced by a list that holds it."""
    try:
        fields = msgspec.json.decode(payload, type=dict[str, object])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return b"{}"
    wrong = {name: value if name == "type" else [value] for name, value in fields.items()}
    return msgspec.json.encode(wrong)

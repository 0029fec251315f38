"""Faults that a simulated service commits on purpose: facts and pure decisions, no sockets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import msgspec

__all__ = ["Fault", "Faults", "OrderlyClose"]


@dataclass(frozen=True, slots=True)
class OrderlyClose:
    """Close the connection with this code and reason."""

    code: int
    reason: str


Fault = OrderlyClose | Literal["reset", "silence"]
"""What befalls a connection: an orderly close, a TCP reset, or lasting silence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """What goes wrong, and when; the default is nothing.

    Frames are counted per connection from 1, welcomes and answers included; garbage counts only
    events, so that a session can still be set up. `connections` limits the faults to the first so
    many connections: with `connections=1` the client's next attempt finds a healthy service.
    """

    refuse: int | None = None
    """HTTP status that answers the handshake in place of an upgrade."""
    accept_then_close: bool = False
    """Upgrade, then close with 1001 before any frame."""
    close_after: tuple[int, int, str] | None = None
    """After so many frames, close with this code and reason."""
    reset_after: int | None = None
    """After so many frames, reset the TCP connection without a close frame."""
    go_silent_after: int | None = None
    """After so many frames, stay connected and send nothing more: no heartbeat, no pong."""
    garbage_every: int | None = None
    """Every so many events, send garbage in the event's place."""
    connections: int | None = None
    """Only the first so many connections (or refused handshakes) are faulty."""

    def strike(self, connection: int) -> bool:
        """Whether the connection with this number, counted from 0, is faulty."""
        return self.connections is None or connection < self.connections

    def after(self, frames: int) -> Fault | None:
        """Say what happens once `frames` frames were sent."""
        if self.close_after is not None and frames == self.close_after[0]:
            return OrderlyClose(*self.close_after[1:])
        if frames == self.reset_after:
            return "reset"
        if frames == self.go_silent_after:
            return "silence"
        return None

    def spoil(self, payload: bytes, event: int, *, text: bool) -> bytes:
        """Return the payload to send for this event, counted from 1: itself, or garbage."""
        if not self.garbage_every or event % self.garbage_every:
            return payload
        return garbage(payload, event // self.garbage_every - 1, text=text)


def garbage(payload: bytes, number: int, *, text: bool) -> bytes:
    """Return the garbage with this number, counted from 0; kinds take turns.

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
    """Keep the field names and turn every value into a list that holds it."""
    try:
        fields = msgspec.json.decode(payload, type=dict[str, object])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return b"{}"
    wrong = {name: value if name == "type" else [value] for name, value in fields.items()}
    return msgspec.json.encode(wrong)

"""Bounds on what a peer can make this process hold in memory, per connection and in total.

`max_size` of websockets bounds the payload of a message. These bound the rest: the duration and the
number of fragments of a message, our answers that the peer does not read, and the peer's rate of
control frames. All decisions are pure: the connection reports what it reads, and closes itself.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from recorder.clock import NS


@dataclass(frozen=True, slots=True)
class Bounds:
    """The limits of one connection; `partial_bytes` is the limit of all connections together."""

    unsent_bytes: int = 1 << 20
    """Pongs and replies in the send buffer, which the peer has not read."""
    fragments: int = 1 << 17
    """Frames of one message."""
    message_seconds: float = 120.0
    """From a message's first byte to its last."""
    controls_per_second: int = 1000
    """Pings and pongs from the peer."""
    partial_bytes: int = 256 << 20
    """Incomplete messages of all connections of this process."""


@dataclass(slots=True)
class Intake:
    """The bytes of incomplete messages, for all connections that share this object."""

    held: dict[int, int] = field(default_factory=dict)

    def hold(self, connection: int, size: int) -> int:
        """Record the bytes that a connection holds now; return the bytes of all connections."""
        if size:
            self.held[connection] = size
        else:
            self.held.pop(connection, None)
        return sum(self.held.values())


@dataclass(slots=True)
class Usage:
    """One connection's use of its bounds."""

    bounds: Bounds
    intake: Intake
    _since_ns: int | None = None
    _fragments: int = 0
    _controls: int = 0
    _second: int = 0

    def completed(self) -> None:
        """Reset the limits of a message: its last byte has arrived."""
        self._since_ns = None
        self._fragments = 0

    def fragment(self) -> str:
        """Count a fragment of a message; return the bound that it breaks, empty if none."""
        self._fragments += 1
        if self._fragments > self.bounds.fragments:
            return f"a message of more than {self.bounds.fragments} fragments"
        return ""

    def control(self, mono_ns: int) -> str:
        """Count a ping or pong; return the bound that it breaks, empty if none."""
        if mono_ns // NS != self._second:
            self._second, self._controls = mono_ns // NS, 0
        self._controls += 1
        if self._controls > self.bounds.controls_per_second:
            return f"more than {self.bounds.controls_per_second} control frames a second"
        return ""

    def read(self, mono_ns: int, partial: int, unsent: int, *, in_message: bool) -> str:
        """Check the bounds after one read from the socket; return the broken one, empty if none.

        `partial` is the size of incomplete messages, `unsent` that of the send buffer, in bytes.
        """
        if unsent > self.bounds.unsent_bytes:
            return f"the peer does not read: {unsent} bytes of our answers wait"
        together = self.intake.hold(id(self), partial)
        if together > self.bounds.partial_bytes and partial == max(self.intake.held.values()):
            return f"messages under way of all connections hold {together} bytes"
        if not partial and not in_message:
            self._since_ns = None
        elif self._since_ns is None:
            self._since_ns = mono_ns
        elif mono_ns - self._since_ns > self.bounds.message_seconds * NS:
            return f"a message took longer than {self.bounds.message_seconds:g} s"
        return ""

    def release(self) -> None:
        """Release the bytes of a closed connection."""
        self.intake.hold(id(self), 0)

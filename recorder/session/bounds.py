"""What a peer may make us hold in memory: bounds per connection, and one for all together.

`max_size` of websockets bounds the payload of a message. These bound the rest: how long and in how
many pieces a message may come, what we have to answer and the peer does not read, and how many
control frames it sends. All decisions are pure; the connection feeds them and ends itself.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from recorder.clock import NS


@dataclass(frozen=True, slots=True)
class Bounds:
    """The most that one connection may take; all of them together for `partial_bytes`."""

    unsent_bytes: int = 1 << 20
    """Our answers (pongs, replies) that the peer has not read."""
    fragments: int = 1 << 17
    """Frames of one message."""
    message_seconds: float = 120.0
    """From a message's first byte to its last."""
    controls_per_second: int = 1000
    """Pings and pongs that the peer sends."""
    partial_bytes: int = 256 << 20
    """Messages under way of all connections of this process."""


@dataclass(slots=True)
class Intake:
    """The messages under way of all connections that share it, in bytes."""

    held: dict[int, int] = field(default_factory=dict)

    def hold(self, connection: int, size: int) -> int:
        """Note what a connection holds now; return what all of them hold together."""
        if size:
            self.held[connection] = size
        else:
            self.held.pop(connection, None)
        return sum(self.held.values())


@dataclass(slots=True)
class Usage:
    """What one connection's peer has used of its bounds."""

    bounds: Bounds
    intake: Intake
    _since_ns: int | None = None
    _fragments: int = 0
    _controls: int = 0
    _second: int = 0

    def completed(self) -> None:
        """A message came to its end."""
        self._since_ns = None
        self._fragments = 0

    def fragment(self) -> str:
        """Count a fragment of a message; return what it breaks, empty if nothing."""
        self._fragments += 1
        if self._fragments > self.bounds.fragments:
            return f"a message of more than {self.bounds.fragments} fragments"
        return ""

    def control(self, mono_ns: int) -> str:
        """Count a ping or pong; return what it breaks, empty if nothing."""
        if mono_ns // NS != self._second:
            self._second, self._controls = mono_ns // NS, 0
        self._controls += 1
        if self._controls > self.bounds.controls_per_second:
            return f"more than {self.bounds.controls_per_second} control frames a second"
        return ""

    def read(self, mono_ns: int, partial: int, unsent: int, *, in_message: bool) -> str:
        """Take in the end of one read from the socket; return what it breaks, empty if nothing.

        `partial` counts the bytes of messages under way, `unsent` those of ours that wait.
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
        """Forget what the connection held: it is gone."""
        self.intake.hold(id(self), 0)

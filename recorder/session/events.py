"""What a line's machine hears and what it wants done. Times are monotonic seconds."""

from __future__ import annotations

from dataclasses import dataclass

from recorder.feed import Verdict


@dataclass(frozen=True, slots=True)
class Opened:
    """The handshake succeeded."""

    at: float


@dataclass(frozen=True, slots=True)
class Ended:
    """The attempt failed, or the connection is gone."""

    at: float
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Tick:
    """Time passed; `heard` is when the last byte came, `data` when the last data frame came."""

    at: float
    heard: float
    data: float


@dataclass(frozen=True, slots=True)
class Say:
    """A command for the service; kept until there is a connection to say it on."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Told:
    """The service said something that ends the connection, such as a refused key.

    It may come together with the handshake's answer, and so before `Opened`.
    """

    at: float
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Stop:
    """The user wants to end."""

    at: float


Event = Opened | Ended | Tick | Say | Told | Stop


@dataclass(frozen=True, slots=True)
class Connect:
    """Open the connection, after so many failures in a row."""

    attempt: int


@dataclass(frozen=True, slots=True)
class Send:
    """Send a text message."""

    text: str


@dataclass(frozen=True, slots=True)
class Ping:
    """Send a WebSocket ping."""


@dataclass(frozen=True, slots=True)
class Close:
    """End the connection: politely, or at once where the peer is believed dead."""

    reason: str
    abort: bool = False


@dataclass(frozen=True, slots=True)
class Finish:
    """This line is over; `code` is the exit code it asks for (0: the user stopped it)."""

    reason: str
    code: int


Action = Connect | Send | Ping | Close | Finish

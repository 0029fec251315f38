"""What a link's machine hears and what it wants done. Times are monotonic seconds."""

from __future__ import annotations

from dataclasses import dataclass

from recorder.feed import Plan, Verdict


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
class Reply:
    """What the service asks for, to be said on this very connection or never.

    It may come together with the handshake's answer, and so before `Opened`.
    """

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Ending:
    """The service said that it is about to end this connection: time to open another."""

    at: float
    reason: str


@dataclass(frozen=True, slots=True)
class Change:
    """The plan is another from now on; `messages` bring a living connection there."""

    at: float
    plan: Plan
    messages: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Stop:
    """The connection is to end, and none to follow it."""

    at: float
    reason: str = "stopping"


Event = Opened | Ended | Tick | Say | Told | Reply | Change | Ending | Stop


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
class Renew:
    """Another connection is to take over from this one, which goes on until then."""

    reason: str


@dataclass(frozen=True, slots=True)
class Finish:
    """No connection will follow; `code` is the exit code it asks for (0: it was stopped)."""

    reason: str
    code: int


Action = Connect | Send | Ping | Close | Renew | Finish

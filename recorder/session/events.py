"""The events that a link's machine takes, and the actions that it returns.

Times are monotonic seconds.
"""

from __future__ import annotations

from dataclasses import dataclass

from recorder.feed import Plan, Verdict


@dataclass(frozen=True, slots=True)
class Opened:
    """The handshake succeeded."""

    at: float


@dataclass(frozen=True, slots=True)
class Ended:
    """The attempt failed, or the connection was closed or lost."""

    at: float
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Tick:
    """Time passed; `heard` is when the last byte arrived, `data` when the last data frame did."""

    at: float
    heard: float
    data: float


@dataclass(frozen=True, slots=True)
class Rejected:
    """The service sent a message that ends the connection, such as a refused key.

    It can arrive in the same read as the handshake's response, and so before `Opened`.
    """

    at: float
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Reply:
    """The service asked for this message: send it on this connection or drop it.

    The request can arrive in the same read as the handshake's response, and so before `Opened`.
    """

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class EndAnnounced:
    """The service announced that it will close this connection: another has to replace it."""

    at: float
    reason: str


@dataclass(frozen=True, slots=True)
class Change:
    """The plan changed; `messages` change the subscriptions of a connection that is open."""

    at: float
    plan: Plan
    messages: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Stop:
    """Close the connection and open no other."""

    at: float
    reason: str = "stopping"


Event = Opened | Ended | Tick | Rejected | Reply | Change | EndAnnounced | Stop


@dataclass(frozen=True, slots=True)
class Connect:
    """Open the connection; `attempt` is the number of failures in a row before it."""

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
    """Close the connection: by a closing handshake, or at once (`abort`) if the peer is dead."""

    reason: str
    abort: bool = False


@dataclass(frozen=True, slots=True)
class Renew:
    """Open another connection to take over; this one stays open until then."""

    reason: str


@dataclass(frozen=True, slots=True)
class Finish:
    """Open no further connection; `code` is the exit code of the process (0: stopped)."""

    reason: str
    code: int


Action = Connect | Send | Ping | Close | Renew | Finish

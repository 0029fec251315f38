"""How cryptolisting.ws treats clients in a replay: binary frames, a welcome, a heartbeat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from recorder.feed import message, parsed
from recorder.service import Limit, Service, Turn, field_of, value_in

_PUBLISHER = field_of("publisher")


def turn(payload: bytes) -> Turn:
    """Answer a request for a test announcement; leave every other message unanswered."""
    request = parsed(payload)
    if request is None or request.get("type") != "test":
        return Turn()
    test = message(
        type="test_announcement",
        title="Test Exchange Will List DUMMYTOKEN (DUMMYTOKEN)",
        ticker="DUMMYTOKEN",
        publisher="binance",
        listingType="spot_listing",
    )
    return Turn((test,))


def asked(query: Mapping[str, str], path: str) -> tuple[str, ...]:
    """Return the exchanges of `?cex=binance,upbit`, in lower case."""
    del path
    return tuple(filter(None, (name.strip().lower() for name in query.get("cex", "").split(","))))


def greet(names: Sequence[str], now_ns: int) -> tuple[str, ...]:
    """Return the welcome, in the form of the newer documents."""
    del now_ns
    welcome = message(
        type="welcome",
        tier="premium",
        maxDistinctIps=5,
        maxConnectionsPerIp=5,
        absoluteMaxConnections=20,
        allowedCex=",".join(names) or "*",
        expiresInSecs=30 * 86_400,
    )
    return (welcome,)


def beat(now_ns: int) -> str:
    """Return the heartbeat, which the service sends every 30 s."""
    moment = datetime.fromtimestamp(now_ns // 1_000_000_000, UTC)
    time_utc = f"{moment:%Y-%m-%dT%H:%M:%S}.{now_ns // 1000 % 1_000_000:06}Z"
    return message(type="heartbeat", timestampNs=now_ns, timeUtc=time_utc)


def channels_of(payload: bytes) -> tuple[str, ...]:
    """Return the announcement's publisher in lower case, as `?cex=` names it."""
    publisher = value_in(_PUBLISHER, payload)
    return (publisher.lower(),) if publisher else ()


def serves(recorded: str, asked: str) -> bool:
    """Return True: which exchanges a connection brings is not in its channels."""
    del recorded, asked
    return True


SERVICE = Service(
    text=False,
    serves=serves,
    key_header="X-API-Key",
    asked=asked,
    greet=greet,
    turn=turn,
    channels=channels_of,
    own=r'"type"\s*:\s*"(welcome|heartbeat|test_announcement|error)"',
    beat=beat,
    times=("publishTimestampUs", "detectedTimestampUs", "dispatchTimestampUs"),
    limit=Limit(3, 60.0, 1008, "rate_limit_exceeded"),
    longest=1024,
)

"""How the Smart Money API treats clients in a replay: the key by message, then channels."""

from __future__ import annotations

from recorder.feed import message, parsed
from recorder.service import Service, Turn, field_of, value_in

_TYPE, _CHANNEL, _ASSET = field_of("type"), field_of("channel"), field_of("asset")

#: The channel of a frame that names none, by the frame's type.
_CHANNELS = {
    "funding_rate": "derivatives:funding",
    "liquidation": "derivatives:liquidations",
    "open_interest": "derivatives:openinterest",
    "exchange_flow": "onchain:flows",
    "signal": "signals:confirmation",
    "alert": "market:alerts",
    "system_status": "system:status",
    "status": "system:status",
}


def turn(payload: bytes) -> Turn:
    """Answer auth, subscribe, unsubscribe and ping. The form of the answers is not documented."""
    request = parsed(payload)
    if request is None:
        return Turn((message(type="error", message="messages are JSON objects"),))
    channel = request.get("channel")
    named = (channel,) if isinstance(channel, str) else ()
    match request.get("type"):
        case "auth":
            return Turn((message(type="authenticated"),), key=str(request.get("api_key") or ""))
        case "ping":
            return Turn((message(type="pong"),))
        case "subscribe":
            return Turn(tuple(message(type="subscribed", channel=c) for c in named), named)
        case "unsubscribe":
            answers = tuple(message(type="unsubscribed", channel=c) for c in named)
            return Turn(answers, unsubscribe=named)
    return Turn((message(type="error", message="type is auth, subscribe, unsubscribe or ping"),))


def channels_of(payload: bytes) -> tuple[str, ...]:
    """Return the channel that a frame names, else the one that its type belongs to."""
    named, kind = value_in(_CHANNEL, payload), value_in(_TYPE, payload)
    if named:
        return (named,)
    if kind == "whale_update":
        return (f"whales:{value_in(_ASSET, payload)}",)
    return (_CHANNELS[kind],) if kind in _CHANNELS else ()


SERVICE = Service(
    by_message=True,
    key_first=True,
    refused_key=(
        message(type="error", message="the API key is not valid"),
        4001,
        "invalid api key",
    ),
    turn=turn,
    channels=channels_of,
    own=r'"type"\s*:\s*"(authenticated|subscribed|unsubscribed|pong|error|auth_error)"',
    times=("timestamp",),
)

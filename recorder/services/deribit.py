"""How Deribit treats clients in a replay: JSON-RPC 2.0, and a heartbeat."""

from __future__ import annotations

from recorder.feed import message, parsed
from recorder.service import Service, Turn, field_of, texts, value_in

_NAMED = field_of("channel")


def turn(payload: bytes) -> Turn:
    """Answer every request under its id. `set_heartbeat` is accepted and changes nothing."""
    request = parsed(payload)
    if request is None or not isinstance(request.get("method"), str):
        error = {"code": -32600, "message": "request entity is not JSON-RPC"}
        return Turn((message(jsonrpc="2.0", error=error),))
    method, params = str(request["method"]).rpartition("/")[2], request.get("params")
    channels = texts(params.get("channels")) if isinstance(params, dict) else ()
    if method == "subscribe":
        return Turn((_answered(request, list(channels)),), channels)
    if method == "unsubscribe":
        return Turn((_answered(request, list(channels)),), unsubscribe=channels)
    if method == "test":
        return Turn((_answered(request, {"version": "1.2.26"}),))
    return Turn((_answered(request, "ok"),))


def refuse(payload: bytes, missing: frozenset[str]) -> Turn:
    """Answer a subscription with the channels that are there: the service leaves others out."""
    request = parsed(payload) or {}
    params = request.get("params")
    channels = texts(params.get("channels")) if isinstance(params, dict) else ()
    there = tuple(channel for channel in channels if channel not in missing)
    return Turn((_answered(request, list(there)),), there)


def _answered(request: dict[str, object], result: object) -> str:
    return message(jsonrpc="2.0", id=request.get("id"), result=result)


def beat(now_ns: int) -> str:
    """Return a heartbeat. Every client gets it, whether or not it called `set_heartbeat`."""
    del now_ns
    return message(jsonrpc="2.0", method="heartbeat", params={"type": "heartbeat"})


def channels_of(payload: bytes) -> tuple[str, ...]:
    """Return the channel that a subscription's frame names."""
    named = value_in(_NAMED, payload[:200])
    return (named,) if named else ()


SERVICE = Service(
    by_message=True,
    turn=turn,
    channels=channels_of,
    refuse=refuse,
    own=r'"(id|error)"\s*:|"method"\s*:\s*"heartbeat"',
    beat=beat,
    beat_seconds=30.0,
    times=("timestamp",),
)

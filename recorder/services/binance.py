"""How Binance treats clients in a replay: streams named in the URL, or asked for by message."""

from __future__ import annotations

from collections.abc import Mapping

from recorder.feed import message, parsed
from recorder.service import Limit, Service, Turn, field_of, texts, value_in

_NAMED, _EVENT, _SYMBOL = field_of("stream"), field_of("e"), field_of("s")
_EVENTS = {"markPriceUpdate": "markPrice", "depthUpdate": "depth", "24hrTicker": "ticker"}


def turn(payload: bytes) -> Turn:
    """Answer `{"method": "SUBSCRIBE", "params": […], "id": 1}` with `{"result": null, "id": 1}`."""
    request = parsed(payload)
    if request is None or not isinstance(request.get("method"), str):
        return Turn((message(error={"code": 2, "msg": "Invalid request"}),))
    number, streams = request.get("id"), texts(request.get("params"))
    answer = (message(result=None, id=number),)
    match request["method"]:
        case "SUBSCRIBE":
            return Turn(answer, streams)
        case "UNSUBSCRIBE":
            return Turn(answer, unsubscribe=streams)
    return Turn((message(error={"code": 2, "msg": "Invalid request"}, id=number),))


def asked(query: Mapping[str, str], path: str) -> tuple[str, ...]:
    """Return the streams of `/stream?streams=a/b` or `/ws/a/b`."""
    after = path.partition("/ws/")[2]
    return tuple(filter(None, (query.get("streams") or after).split("/")))


def channels_of(payload: bytes) -> tuple[str, ...]:
    """Return the stream that a combined frame names, else every stream that may carry its event."""
    named = value_in(_NAMED, payload[:200])
    if named:
        return (named,)
    event, symbol = value_in(_EVENT, payload), value_in(_SYMBOL, payload).lower()
    if not event:
        return ()
    kind = _EVENTS.get(event, event)
    ways = ("", "@1s") if kind == "markPrice" else ("", "@100ms", "@250ms", "@500ms")
    return (*(f"{symbol}@{kind}{way}" for way in ways), *(f"!{kind}@arr{way}" for way in ways))


SERVICE = Service(
    by_message=True,
    turn=turn,
    asked=asked,
    channels=channels_of,
    own=r'^\s*\{\s*"(result|error|code)"|"id"\s*:\s*\d+\s*\}$',
    times=("E", "T"),
    too_slow=(1008, "Pong timeout"),
    limit=Limit(10, 1.0, 1008, "Too many requests"),
)

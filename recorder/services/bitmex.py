"""How BitMEX treats clients in a replay: a welcome, acknowledged subscriptions, text pongs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from recorder.feed import message, parsed, words
from recorder.service import Service, Turn, field_of, texts, value_in

_TABLE, _SYMBOL = field_of("table"), field_of("symbol")


def turn(payload: bytes) -> Turn:
    """Answer `{"op": "subscribe", "args": […]}` and unsubscribe; answer text `ping` with `pong`."""
    if payload.strip() == b"ping":
        return Turn(("pong",))
    request = parsed(payload) or {}
    op, named = words(request.get("op")), texts(request.get("args"))
    answers = tuple(message(success=True, **{op: name}, request=request) for name in named)
    if op == "subscribe":
        return Turn(answers, named)
    if op == "unsubscribe":
        return Turn(answers, unsubscribe=named)
    return Turn((message(status=400, error="Unrecognized request", meta={}, request=request),))


def asked(query: Mapping[str, str], path: str) -> tuple[str, ...]:
    """Return the channels of `?subscribe=funding,liquidation`."""
    del path
    return tuple(filter(None, query.get("subscribe", "").split(",")))


def greet(names: Sequence[str], now_ns: int) -> tuple[str, ...]:
    """Return the welcome, then one acknowledgement for each channel of the URL."""
    welcome = message(
        info="Welcome to the BitMEX Realtime API.",
        version="2.0.0",
        timestamp=datetime.fromtimestamp(now_ns / 1e9, UTC).isoformat(timespec="milliseconds"),
        docs="https://www.bitmex.com/app/wsAPI",
        limit={"remaining": 720},
    )
    return (welcome, *(message(success=True, subscribe=name) for name in names))


def channels_of(payload: bytes) -> tuple[str, ...]:
    """Return the frame's table, and the table with the first row's symbol."""
    table, symbol = value_in(_TABLE, payload[:200]), value_in(_SYMBOL, payload)
    return (table, f"{table}:{symbol}") if symbol else (table,) if table else ()


SERVICE = Service(
    by_message=True,
    turn=turn,
    asked=asked,
    greet=greet,
    channels=channels_of,
    own=r'^pong$|^\s*\{\s*"(success|status|error|info)"\s*:',
    times=("timestamp",),
)

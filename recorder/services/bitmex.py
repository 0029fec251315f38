"""How BitMEX treats clients in a replay: a welcome, acknowledged subscriptions, text pongs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import msgspec

from recorder.feed import message, parsed, words
from recorder.service import Service, Turn, field_of, texts, value_in

_TABLE, _SYMBOL = field_of("table"), field_of("symbol")
_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ROWS = msgspec.json.Decoder(list[msgspec.Raw])


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
    """Return the frame's table, and the table with the symbol of each row."""
    table = value_in(_TABLE, payload[:200])
    if not table:
        return ()
    symbols = dict.fromkeys(found.decode("utf-8", "replace") for found in _SYMBOL.findall(payload))
    return (table, *(f"{table}:{symbol}" for symbol in symbols))


def shape(payload: bytes, form: str, wanted: set[str] | None) -> list[bytes] | None:
    """Return the frame with the rows of the symbols that a client asked for alone."""
    del form
    names = channels_of(payload)
    if wanted is None or not names or names[0] in wanted or wanted.issuperset(names[1:]):
        return None
    try:
        fields = _FIELDS.decode(payload)
        rows = _ROWS.decode(fields["data"])
    except (msgspec.MsgspecError, KeyError):  # of another form
        return None
    kept = [row for row in rows if f"{names[0]}:{value_in(_SYMBOL, bytes(row))}" in wanted]
    return [msgspec.json.encode({**fields, "data": kept})]


def serves(recorded: str, asked: str) -> bool:
    """Return True if a recorded channel has what a client asks for: a table has every symbol."""
    return recorded == asked or recorded == asked.partition(":")[0]


def refuse(payload: bytes, missing: frozenset[str]) -> Turn:
    """Answer a subscription as usual if one of its channels is there, else with errors."""
    request = parsed(payload) or {}
    named = texts(request.get("args"))
    if not missing.issuperset(named):
        return turn(payload)
    errors = (
        message(status=400, error=f"Unknown table: {name}", meta={}, request=request)
        for name in named
    )
    return Turn(tuple(errors))


SERVICE = Service(
    by_message=True,
    turn=turn,
    asked=asked,
    greet=greet,
    channels=channels_of,
    serves=serves,
    refuse=refuse,
    shape=shape,
    own=r'^pong$|^\s*\{\s*"(success|status|error|info)"\s*:',
    times=("timestamp",),
)

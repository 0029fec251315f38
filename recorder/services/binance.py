"""How Binance treats clients in a replay: streams named in the URL, or asked for by message.

The path decides the form: bare events at `/ws`, `{"stream": …, "data": …}` at `/stream`. A stream
of one symbol has objects, one of all symbols arrays (of mark prices) or objects (of liquidations).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import msgspec

from recorder.feed import message, parsed
from recorder.service import Limit, Service, Turn, field_of, texts, value_in

_EVENT, _SYMBOL = field_of("e"), field_of("s")
_EVENTS = {
    "markPriceUpdate": "markPrice",
    "depthUpdate": "depth",
    "24hrTicker": "ticker",
    "24hrMiniTicker": "miniTicker",
}
#: How often a stream speaks, at the end of its name: the same events.
_PACE = re.compile(r"@(1s|3s|0ms|100ms|250ms|500ms)$")
_PACES = {"markPrice": ("", "@1s", "@3s"), "depth": ("", "@0ms", "@100ms", "@250ms", "@500ms")}
#: Streams of all symbols without `@arr`, and those whose events come in arrays.
_PLAIN = {"bookTicker", "contractInfo"}
_ARRAYS = {"markPrice", "ticker", "miniTicker"}
WRAPPED, BARE = "wrapped", "bare"


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
    """Return the streams of `/stream?streams=a/b` or `/ws/a/b`.

    Other names are keys of accounts, or made up by clients that subscribe later.
    """
    names = (query.get("streams") or path.partition("/ws/")[2]).split("/")
    return tuple(name for name in names if "@" in name or name.startswith("!"))


def form(path: str) -> str:
    """Return the form of the path's frames; empty where it names neither."""
    parts = path.split("/")
    return WRAPPED if "stream" in parts else BARE if "ws" in parts else ""


# -- frames


class _Read(msgspec.Struct, frozen=True):
    """A recorded frame: its stream if it names one, its data, and the events in it."""

    stream: str
    data: bytes
    events: tuple[bytes, ...]

    @property
    def names(self) -> list[str]:
        """Every stream that may carry the frame."""
        known = [self.stream] if self.stream else []
        if self.stream and not self.stream.startswith("!"):
            return list(dict.fromkeys([*known, *_at_any_pace(self.stream)]))
        event = value_in(_EVENT, self.events[0]) if self.events else ""
        if not event:
            return known
        kind = _kind_of(self.stream) if self.stream else _EVENTS.get(event, event)
        symbols = {value_in(_SYMBOL, one).lower() for one in self.events}
        of_symbols = (n for s in sorted(filter(None, symbols)) for n in _at_any_pace(f"{s}@{kind}"))
        return list(dict.fromkeys([*known, *of_symbols, *_at_any_pace(_all(kind))]))

    def of(self, name: str) -> Iterator[bytes]:
        """Yield the data of the frame as a stream sends it: whole, or one symbol's events."""
        array = self.data.startswith(b"[")
        if name.startswith("!"):
            lone = not array and _kind_of(name) in _ARRAYS
            yield b"[" + self.data + b"]" if lone else self.data
        elif array:
            subject = name.partition("@")[0]
            yield from (one for one in self.events if value_in(_SYMBOL, one).lower() == subject)
        else:
            yield self.data


def _all(kind: str) -> str:
    return f"!{kind}" if kind in _PLAIN else f"!{kind}@arr"


def _kind_of(stream: str) -> str:
    """Return the kind of a stream's events, without its pace."""
    name = _PACE.sub("", stream)
    return name[1:].removesuffix("@arr") if name.startswith("!") else name.partition("@")[2]


def _at_any_pace(stream: str) -> list[str]:
    plain = _PACE.sub("", stream)
    kind = "depth" if "@depth" in plain else _kind_of(plain)
    return [plain + pace for pace in _PACES.get(kind, ("",))]


class _Combined(msgspec.Struct):
    stream: str
    data: msgspec.Raw


_COMBINED = msgspec.json.Decoder(_Combined)
_ITEMS = msgspec.json.Decoder(list[msgspec.Raw])


def _read(payload: bytes) -> _Read:
    stream, data = "", payload.strip()
    try:
        if b'"stream"' in data[:200]:
            combined = _COMBINED.decode(data)
            stream, data = combined.stream, bytes(combined.data).strip()
        events = tuple(map(bytes, _ITEMS.decode(data))) if data.startswith(b"[") else (data,)
    except msgspec.MsgspecError:  # of another form: it is nobody's
        return _Read("", payload, ())
    return _Read(stream, data, events)


def channels_of(payload: bytes) -> list[str]:
    """Return every stream that carries the frame's events: of all symbols, and of each one."""
    return _read(payload).names


def shape(payload: bytes, form: str, wanted: set[str] | None) -> list[bytes] | None:
    """Return the messages that the service sends for a frame's events, one for each stream."""
    frame = _read(payload)
    if not frame.events or (wanted is None and not form):
        return None
    hits = frame.names[:1] if wanted is None else [name for name in frame.names if name in wanted]
    wrapped = form == WRAPPED or (not form and bool(frame.stream))
    if wrapped == bool(frame.stream) and hits == [frame.stream]:
        return None
    if wanted is None:
        return [_wrapped(hits[0], frame.data) if wrapped and hits else frame.data]
    pieces = ((name, data) for name in hits for data in frame.of(name))
    return [_wrapped(name, data) if wrapped else data for name, data in pieces]


def _wrapped(stream: str, data: bytes) -> bytes:
    return b'{"stream":%s,"data":%s}' % (msgspec.json.encode(stream), data)


def serves(recorded: str, asked: str) -> bool:
    """Return True if a recorded stream has the events of another: of all symbols, or the same."""
    same = _PACE.sub("", recorded) == _PACE.sub("", asked)
    return same or (recorded.startswith("!") and _kind_of(recorded) == _kind_of(asked))


SERVICE = Service(
    by_message=True,
    turn=turn,
    asked=asked,
    channels=channels_of,
    serves=serves,
    form=form,
    shape=shape,
    own=r'^\s*\{\s*"(result|error|code)"|"id"\s*:\s*\d+\s*\}$',
    times=("E", "T"),
    too_slow=(1008, "Pong timeout"),
    limit=Limit(10, 1.0, 1008, "Too many requests"),
)

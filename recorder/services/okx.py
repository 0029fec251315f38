"""How OKX treats clients in a replay: acknowledged subscriptions and text pongs."""

from __future__ import annotations

from recorder.feed import message, parsed, words
from recorder.service import Limit, Service, Turn, field_of, value_in

_ARG_CHANNEL, _ARG_ID, _ARG_TYPE = field_of("channel"), field_of("instId"), field_of("instType")


def turn(payload: bytes) -> Turn:
    """Answer `{"op": "subscribe", "args": [{"channel": …, "instId": …}]}`, unsubscribe, `ping`."""
    if payload.strip() == b"ping":
        return Turn(("pong",))
    request = parsed(payload)
    op, args = (words(request.get("op")), request.get("args")) if request else ("", None)
    if op not in {"subscribe", "unsubscribe"} or not isinstance(args, list):
        return Turn((message(event="error", code="60012", msg="Invalid request", connId="replay"),))
    known = [arg for arg in args if isinstance(arg, dict)]
    answers = tuple(message(event=op, arg=arg, connId="replay") for arg in known)
    named = tuple(_name(arg) for arg in known)
    return Turn(answers, named) if op == "subscribe" else Turn(answers, unsubscribe=named)


def _name(arg: dict[str, object]) -> str:
    return f"{words(arg.get('channel'))}:{words(arg.get('instId') or arg.get('instType'))}"


def channels_of(payload: bytes) -> tuple[str, ...]:
    """Return the channel of the frame's `arg`, with its instrument or type of instruments."""
    head = payload[:200].partition(b'"data"')[0]
    named = value_in(_ARG_CHANNEL, head)
    subject = value_in(_ARG_ID, head) or value_in(_ARG_TYPE, head)
    return (f"{named}:{subject}",) if named else ()


SERVICE = Service(
    by_message=True,
    turn=turn,
    channels=channels_of,
    own=r'^pong$|"event"\s*:\s*"(subscribe|unsubscribe|error|notice|channel-conn-count)',
    times=("ts",),
    limit=Limit(480, 3600.0, 4001, "too many requests"),
)

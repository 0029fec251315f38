"""How OKX treats clients in a replay: acknowledged subscriptions and text pongs."""

from __future__ import annotations

from recorder.feed import message, parsed, words
from recorder.service import Limit, Service, Turn, field_of, value_in

#: Channels of a whole type of instruments: an instrument in the request changes nothing.
_WHOLE = {"liquidation-orders"}
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
    kind, one, whole = (words(arg.get(key)) for key in ("channel", "instId", "instType"))
    return f"{kind}:{whole if kind in _WHOLE and whole else one or whole}"


def refuse(payload: bytes, missing: frozenset[str]) -> Turn:
    """Answer a subscription as usual if one of its channels is there, else with error 60018.

    Some clients give up all channels of a request over one error.
    """
    request = parsed(payload) or {}
    args = request.get("args")
    known = [arg for arg in args if isinstance(arg, dict)] if isinstance(args, list) else []
    if any(_name(arg) not in missing for arg in known):
        return turn(payload)
    errors = (
        message(event="error", code="60018", msg=_unknown(arg), connId="replay") for arg in known
    )
    return Turn(tuple(errors))


def _unknown(arg: dict[str, object]) -> str:
    said = ",".join(f"{name}:{words(value)}" for name, value in arg.items())
    return (
        f"Wrong URL or {said} doesn't exist. Please use the correct URL, channel and parameters "
        "referring to API document."
    )


def channels_of(payload: bytes) -> tuple[str, ...]:
    """Return the channel of the frame's `arg`, with its instrument or type of instruments."""
    head = payload[:200].partition(b'"data"')[0]
    named = value_in(_ARG_CHANNEL, head)
    whole = value_in(_ARG_TYPE, head)
    subject = whole if named in _WHOLE and whole else value_in(_ARG_ID, head) or whole
    return (f"{named}:{subject}",) if named else ()


SERVICE = Service(
    by_message=True,
    turn=turn,
    channels=channels_of,
    refuse=refuse,
    own=r'^pong$|"event"\s*:\s*"(subscribe|unsubscribe|error|notice|channel-conn-count)',
    times=("ts",),
    limit=Limit(480, 3600.0, 4001, "too many requests"),
)

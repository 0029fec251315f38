"""How Bybit treats clients in a replay: acknowledged subscriptions and pongs."""

from __future__ import annotations

from recorder.feed import message, parsed, words
from recorder.service import Service, Turn, field_of, texts, value_in

_TOPIC = field_of("topic")


def turn(payload: bytes) -> Turn:
    """Answer `{"op": "subscribe", "args": […], "req_id": …}`, unsubscribe and ping."""
    request = parsed(payload) or {}
    op, topics = words(request.get("op")), texts(request.get("args"))
    answer = {
        "success": True,
        "ret_msg": "",
        "conn_id": "replay",
        "req_id": request.get("req_id", ""),
    }
    match op:
        case "ping":
            return Turn((message(**answer | {"ret_msg": "pong", "op": "ping"}),))
        case "subscribe":
            return Turn((message(**answer, op=op),), topics)
        case "unsubscribe":
            return Turn((message(**answer, op=op),), unsubscribe=topics)
    wrong = {"success": False, "ret_msg": "error:unknown op"}
    return Turn((message(**answer | wrong, op=op),))


def refuse(payload: bytes, missing: frozenset[str]) -> Turn:
    """Answer a subscription as usual if one of its topics is there, else refuse it."""
    request = parsed(payload) or {}
    topics = texts(request.get("args"))
    if not missing.issuperset(topics):
        return turn(payload)
    why = f"error:handler not found,topic:{','.join(topics)}"
    number = request.get("req_id", "")
    answer = message(success=False, ret_msg=why, conn_id="replay", req_id=number, op="subscribe")
    return Turn((answer,))


def channels_of(payload: bytes) -> tuple[str, ...]:
    """Return the topic, which every data frame names."""
    named = value_in(_TOPIC, payload)
    return (named,) if named else ()


SERVICE = Service(
    by_message=True,
    turn=turn,
    channels=channels_of,
    refuse=refuse,
    own=r'"op"\s*:\s*"|"ret_msg"\s*:',
    times=("ts", "cts", "T"),
)

"""How Hyperliquid treats clients in a replay: acknowledged subscriptions and pongs."""

from __future__ import annotations

from recorder.feed import message, parsed, words
from recorder.service import Limit, Service, Turn, field_of, value_in

_NAMED, _OF_COIN = field_of("channel"), field_of("coin")


def turn(payload: bytes) -> Turn:
    """Answer `{"method": "subscribe", "subscription": {…}}`, unsubscribe and ping."""
    request = parsed(payload) or {}
    wanted = request.get("subscription")
    if request.get("method") == "ping":
        return Turn((message(channel="pong"),))
    if request.get("method") not in ("subscribe", "unsubscribe") or not isinstance(wanted, dict):
        text = words(payload.decode("utf-8", "replace"))
        return Turn(
            (message(channel="error", data=f"Error parsing JSON into valid request: {text}"),)
        )
    data = {"method": request["method"], "subscription": wanted}
    answers = (message(channel="subscriptionResponse", data=data),)
    named = (":".join(filter(None, (words(wanted.get("type")), words(wanted.get("coin"))))),)
    if request["method"] == "subscribe":
        return Turn(answers, named)
    return Turn(answers, unsubscribe=named)


def channels_of(payload: bytes) -> tuple[str, ...]:
    """Return the frame's channel with its first coin."""
    named, coin = value_in(_NAMED, payload), value_in(_OF_COIN, payload)
    return (f"{named}:{coin}" if coin else named,) if named else ()


SERVICE = Service(
    by_message=True,
    turn=turn,
    channels=channels_of,
    own=r'"channel"\s*:\s*"(pong|subscriptionResponse|error)"',
    times=("time",),
    limit=Limit(2000, 60.0),
)

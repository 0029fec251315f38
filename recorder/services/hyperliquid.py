"""How Hyperliquid treats clients in a replay: acknowledged subscriptions and pongs."""

from __future__ import annotations

from recorder.feed import message, parsed, words
from recorder.service import Limit, Service, Turn, field_of, value_in

_NAMED, _OF_COIN = field_of("channel"), field_of("coin")
_CANDLE_COIN, _INTERVAL = field_of("s"), field_of("i")
#: Frames that are not called as the subscription that brings them.
_ASKED = {"activeSpotAssetCtx": "activeAssetCtx", "user": "userEvents"}


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
    named = (_name(wanted),)
    if request["method"] == "subscribe":
        return Turn(answers, named)
    return Turn(answers, unsubscribe=named)


def _name(wanted: dict[str, object]) -> str:
    """Return the channel of a subscription: type, coin and, of candles, the interval."""
    kind = words(wanted.get("type")) + (".fast" if wanted.get("fast") is True else "")
    return ":".join(filter(None, (kind, words(wanted.get("coin")), words(wanted.get("interval")))))


def refuse(payload: bytes, missing: frozenset[str]) -> Turn:
    """Answer a subscription that the record does not have as the service does one it never had."""
    del missing  # a message has one subscription
    wanted = (parsed(payload) or {}).get("subscription")
    text = message(**wanted) if isinstance(wanted, dict) else ""
    return Turn((message(channel="error", data=f"Invalid subscription {text}"),))


def channels_of(payload: bytes) -> tuple[str, ...]:
    """Return the frame's channel with its coin; a book may be a plain or a fast one."""
    named, coin = value_in(_NAMED, payload), value_in(_OF_COIN, payload)
    if not named:
        return ()
    if named == "candle":
        return (f"{named}:{value_in(_CANDLE_COIN, payload)}:{value_in(_INTERVAL, payload)}",)
    kind = _ASKED.get(named, named)
    name = f"{kind}:{coin}" if coin else kind
    return (name, f"l2Book.fast:{coin}") if kind == "l2Book" else (name,)


def serves(recorded: str, asked: str) -> bool:
    """Return True if a recorded channel is what a client asks for; fast books count as books."""
    return recorded.replace(".fast:", ":") == asked.replace(".fast:", ":")


SERVICE = Service(
    by_message=True,
    turn=turn,
    channels=channels_of,
    serves=serves,
    refuse=refuse,
    own=r'"channel"\s*:\s*"(pong|subscriptionResponse|error)"',
    times=("time",),
    limit=Limit(2000, 60.0),
)

"""Frames that resemble a feed's own, or nothing at all."""

from __future__ import annotations

import copy
import json
from random import Random
from typing import Any

from kit.servers import Message

from recorder.feeds import feed as feed_of

_US, _MS = 1_790_000_000_000_000, 1_790_000_000_000


def _wrapped(stream: str, data: object) -> dict[str, object]:
    return {"stream": stream, "data": data}


_MARK = {"e": "markPriceUpdate", "E": _MS, "s": "ETHUSDT", "p": "1.5", "r": "0.0001", "T": _MS}
_ORDER = {"s": "BTCUSDT", "S": "SELL", "q": "1", "p": "9", "ap": "9.1", "z": "1", "T": _MS}
_TRADE = {"e": "aggTrade", "E": _MS, "s": "BTCUSDT", "a": 1, "p": "60000", "q": "9", "T": _MS}
_SEEDS: dict[str, list[Any]] = {
    "binance": [
        _wrapped("btcusdt@aggTrade", _TRADE | {"m": True}),
        _wrapped("!markPrice@arr", [_MARK, _MARK | {"s": "X"}]),
        _wrapped("!forceOrder@arr", {"e": "forceOrder", "E": _MS, "o": _ORDER}),
        {"result": None, "id": 1},
        [],
    ],
    "cryptolisting": [
        {
            **{"type": "announcement", "title": "Will list A (A)", "ticker": "A,B"},
            **{"publisher": "Binance", "listingType": "spot", "url": "https://example.org/a"},
            **{"publishTimestampUs": _US, "detectedTimestampUs": _US + 9},
            **{"dispatchTimestampUs": _US + 20, "abnormalDetectionLatency": False},
        },
        {"type": "heartbeat", "timestampUs": _US},
        {"type": "welcome", "tier": "pro"},
    ],
    "smartmoney": [
        {"type": "whale_update", "wallet": "0xa", "asset": "BTC", "size_usd": "1e6", "time": _MS},
        {"type": "funding_rate", "channel": "c", "payload": {"symbol": "B", "rate": "0.1"}},
        {"type": "liquidation", "symbol": "B", "side": "long", "price": 1.5, "quantity": "2"},
        {"type": "exchange_flow", "asset": "ETH", "direction": "in", "amount": "5"},
        {"type": "alert", "title": "é", "severity": "high"},
        {"type": "pong"},
    ],
}
_ODD: list[Any] = [
    *(None, True, 0, -1, 1e308, 10**40, "", "\x00", "\ud800", "💥" * 50, "NaN", [], {}, [[]]),
    *({"a": 1}, "9" * 400, "-0", "1e999", "null", {"": {"": [None]}}, "2026-01-01", "'; DROP --"),
]
_ODDER = [b"", b"null", b"[" * 2_000, b"\xff\xfe", b'{"type":', b"NaN", b"{}", b"\x00", b"123"]


def fuzzed(feed: str, dice: Random) -> Message:
    """A frame that resembles the feed's own, or nothing at all."""
    if dice.random() < 0.02:
        payload = dice.choice((dice.choice(_ODDER), dice.randbytes(dice.randrange(200))))
    else:
        payload = _mutated(dice.choice(_SEEDS[feed]), dice)
    if dice.random() < 0.4:
        payload = _torn(bytearray(payload), dice)
    try:
        payload.decode()
    except UnicodeDecodeError:
        return "binary", payload  # as text it would break the protocol
    return ("binary" if dice.random() < 0.02 else "text"), payload


def _mutated(told: Any, dice: Random) -> bytes:
    told = json.loads(json.dumps(told))
    for _ in range(dice.randrange(3)):
        place = told
        while isinstance(place, (dict, list)) and place:
            key = dice.choice(list(place) if isinstance(place, dict) else range(len(place)))
            if not isinstance(place[key], (dict, list)) or dice.random() < 0.2:
                _spoil(place, key, dice)
                break
            place = place[key]
    text = json.dumps(told, ensure_ascii=dice.random() < 0.5, separators=(",", ":"))
    return text.encode(errors="surrogatepass")


def _spoil(place: Any, key: Any, dice: Random) -> None:
    change = dice.randrange(4)
    if change == 0 and isinstance(place, dict):
        del place[key]
    elif change == 1 and isinstance(place, dict):
        new = dice.choice(("type", "e", "data", "payload", "ticker", key * 2))
        place[new] = copy.deepcopy(place[key])
    else:
        place[key] = copy.deepcopy(dice.choice(_ODD))


def _torn(payload: bytearray, dice: Random) -> bytes:
    for _ in range(dice.randrange(3)):
        at = dice.randrange(len(payload) + 1)
        change = dice.randrange(4)
        if change == 0:
            del payload[at:]
        elif change == 1:
            payload[at:at] = bytes([dice.choice(b'{}[]",:0\\ \n\xc3')])
        elif change == 2:
            payload[at : at + 1] = bytes([dice.randrange(256)])
        else:
            payload[at:at] = payload[dice.randrange(len(payload) + 1) :][:40]
    return bytes(payload)


def ends_the_feed(feed: str, payload: bytes) -> bool:
    """A service may end its feed by its own words: such a frame is none for this test."""
    facts = feed_of(feed)
    if facts.control is None or not facts.control.search(payload[:200]):
        return False
    notice = facts.notice(payload)
    return notice is not None and notice.verdict is not None

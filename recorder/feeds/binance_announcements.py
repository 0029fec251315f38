"""Binance's own announcements: a signed WebSocket that needs a free API key and its secret.

The URL contains the topics. Each attempt signs it again (HMAC-SHA256 over the sorted query), and
it is valid for `recvWindow` ms of the machine's clock. The client has to send PING frames: a
connection without one for a minute is closed. It ends after 24 h.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from functools import partial
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from recorder.endpoints import endpoints
from recorder.errors import ConfigError
from recorder.feed import (
    CREDENTIALS,
    Feed,
    Notice,
    Options,
    Plan,
    Refusal,
    RetryPolicy,
    Verdict,
    parsed,
    refused,
    unused,
    words,
    wrong_channel,
)

_TOPIC = re.compile(r"[A-Za-z]\w*")
_KEYS = re.compile(r"([^:]+):([^:]+)")
_RECV_WINDOW = 30_000  # ms
_BAD_KEY = {"-1022", "-2008", "-2014", "-2015"}  # wrong signature; unknown, malformed, refused key


def plan(options: Options) -> list[Plan]:
    """Return one connection for all topics."""
    unused(options, "subscribe", hint="its channels are the topics")
    topics = tuple(dict.fromkeys(options.channels or FEED.default_channels))
    for topic in topics:
        if not _TOPIC.fullmatch(topic):
            raise wrong_channel(options, topic, "for example: " + ", ".join(FEED.channels))
    keys = _KEYS.fullmatch(options.key or "")
    if keys is None:  # the message must not show its value
        where = f"feeds.{options.name}.key"
        raise ConfigError("is not of the form KEY:SECRET", where=where, hint=FEED.key_help or "")
    key, secret = keys.groups()
    return [
        Plan(
            group="announcements",
            urls=(options.url,) if options.url else FEED.endpoints,
            channels=topics,
            headers={"X-MBX-APIKEY": key, **options.headers},
            send_every=0.25,  # 5 messages a second, pings counted
            control_ping_every=20.0,  # due every 30 s
            silence=65.0,
            max_age=23.5 * 3600,
            sign=partial(_signed, topics, secret),
        )
    ]


def _signed(topics: tuple[str, ...], secret: str, url: str, wall_ns: int) -> str:
    """Return the endpoint's URL with time, nonce and signature; the nonce is the time in ns."""
    parts = urlsplit(url)
    query = urlencode(
        sorted(
            {
                **dict(parse_qsl(parts.query)),
                "random": f"{wall_ns:x}",
                "topic": "|".join(topics),
                "recvWindow": str(_RECV_WINDOW),
                "timestamp": str(wall_ns // 1_000_000),
            }.items()
        ),
        quote_via=quote,
    )
    signature = hmac.new(secret.encode(), query.encode(), hashlib.sha256).hexdigest()
    return urlunsplit(parts._replace(query=f"{query}&signature={signature}"))


def on_refused(refusal: Refusal) -> Verdict:
    """Read the JSON of a refused handshake, `{"code": -2015, "msg": …}`, if there is any."""
    received = parsed(refusal.body) or {}
    return _blamed_key(received) or refused(refusal)


def _blamed_key(received: dict[str, object]) -> Verdict | None:
    """Return a fatal verdict for codes that blame the key or its secret; None for others."""
    if words(received.get("code")) not in _BAD_KEY:
        return None
    why = f"the key was refused: {words(received.get('code'))} {words(received.get('msg'))}"
    return Verdict(why.strip(), True, None, CREDENTIALS)


def notice(payload: bytes) -> Notice | None:
    """Read the failure of a command or request: `{"type": "COMMAND", "data": "FAIL", …}`."""
    received = parsed(payload)
    if received is None or received.get("type") == "DATA":
        return None
    if verdict := _blamed_key(received):
        return Notice(verdict.reason, verdict=verdict)
    if received.get("type") == "COMMAND" and received.get("data") == "SUCCESS":
        return None
    text = " ".join(
        filter(
            None,
            (words(received.get(name)) for name in ("subType", "data", "code", "msg", "error")),
        )
    )
    return Notice(f"the service reports: {text}" if text else "the service reports an error")


FEED = Feed(
    kind="binance_announcements",
    title="Binance's announcements: listings, delistings and the rest (Binance)",
    endpoints=endpoints("binance_announcements"),
    plan=plan,
    channels={"com_announcement_en": "every announcement in English"},
    default_channels=("com_announcement_en",),
    tables=("listings", "latency"),
    key_help="an API key of Binance and its secret, as KEY:SECRET",
    retry=RetryPolicy(first=2.0, longest=120.0),
    on_refused=on_refused,
    control=re.compile(rb'"type"\s*:\s*"(?!DATA")|^\s*\{\s*"(error|code|msg)"'),
    notice=notice,
    normalise="binance_announcements",
)

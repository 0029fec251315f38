"""cryptolisting.ws: exchange announcements, every frame BINARY holding UTF-8 JSON.

There is no subscribe message: the key and `?cex=` decide what comes. The server pings every 15 s
and sends a JSON heartbeat every 30 s. It counts what a client sends (3 messages a minute), so we
send nothing but, where the channel `test` is asked for, one request for a test announcement.
"""

from __future__ import annotations

import re

from recorder.endpoints import endpoints
from recorder.feed import (
    CREDENTIALS,
    Feed,
    Notice,
    Options,
    Plan,
    Refusal,
    RetryPolicy,
    Verdict,
    message,
    parsed,
    refused,
    seconds,
    unused,
    words,
    wrong_channel,
)

_KEY_ENDS = {"key_expired", "key_invalidated", "key_revoked"}


def plan(options: Options) -> list[Plan]:
    """Return one connection per line: Tokyo first, then Seoul (Upbit only)."""
    hint = 'the key decides what comes, and so does query = { cex = "binance,upbit" }'
    unused(options, "subscribe", hint=hint)
    for channel in options.channels:
        if channel not in FEED.channels:
            raise wrong_channel(options, channel, hint)
    return [
        Plan(
            group="announcements",
            urls=(options.url,) if options.url else FEED.endpoints,
            headers={"X-API-Key": options.key or "", **options.headers},
            channels=tuple(dict.fromkeys(options.channels)),
            hello=(message(type="test"),) if "test" in options.channels else (),
            send_every=30.0,
            control_ping_every=None,
            silence=65.0,  # no recv() timeout under about 60 s, says the documentation
        )
    ]


def on_close(code: int | None, reason: str) -> Verdict | None:
    """Return the verdict on a documented close reason; a dead key has an old and a new name."""
    if reason in _KEY_ENDS:
        return Verdict(f"the key is no longer valid ({reason})", True, None, CREDENTIALS)
    if code == 1008 and reason == "too_slow":
        return Verdict("closed: too slow, more than 10 messages behind", wait=0.0)
    if code == 1008 and reason == "rate_limit_exceeded":
        return Verdict("closed: too many messages sent", wait=60.0)
    return None


def on_refused(refusal: Refusal) -> Verdict:
    """Read the JSON of a refused handshake: `{"error": …, "retry_after_s": …}`.

    A 401 (no key) and a 403 (bad key) of the service itself are documented to mean the key.
    """
    verdict = refused(refusal)
    if verdict.doubt:
        return Verdict(f"credentials refused (HTTP {refusal.status})", True, None, CREDENTIALS)
    if refusal.status != 429:
        return verdict
    received = parsed(refusal.body) or {}
    error, wait = (
        words(received.get("error")) or "rate limited",
        seconds(received.get("retry_after_s")),
    )
    return Verdict(f"refused: {error} (HTTP 429)", wait=wait or verdict.wait)


def notice(payload: bytes) -> Notice | None:
    """Read `{"type": "error", "code": …}`, which is logged and does not end the connection."""
    received = parsed(payload)
    if received is not None and received.get("type") == "error":
        return Notice(f"the service reports: {words(received.get('code')) or 'an error'}")
    return None


FEED = Feed(
    kind="cryptolisting",
    title="Exchange announcements: listings, delistings, airdrops (cryptolisting.ws)",
    endpoints=endpoints("cryptolisting"),
    plan=plan,
    channels={
        "announcements": "every announcement that the key and ?cex= allow",
        "test": "beside them, one test announcement on each connection: no row, but proof of life",
    },
    tables=("listings", "latency"),
    key_help="a key of the form dsk_<64 hex digits>",
    retry=RetryPolicy(first=1.0, longest=300.0, spacing=6.0),  # 5 s cooldown per key and address
    on_close=on_close,
    on_refused=on_refused,
    control=re.compile(rb'"type"\s*:\s*"error"'),
    notice=notice,
    normalise="cryptolisting",
    whole=True,
    # Tokyo and Seoul detect and dispatch by themselves.
    stamped=re.compile(
        rb'([{,]\s*)"(?:detectedTimestampUs|dispatchTimestampUs|abnormalDetectionLatency)"'
        rb'\s*:\s*(?:"?\d+"?|true|false|null)'
    ),
)

"""What the end of a connection means: verdicts on closes and on refused handshakes. Pure.

A refusal ends a feed only where a key is in use and the service says that the key is dead. An
edge (a content network, a firewall) answers 403 for a while to whom it does not like, and without
a key there is nothing that could be wrong for good: such a refusal is waited out.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from recorder.redact import safe_url

CREDENTIALS = 4

#: This many refusals in a row that may mean the key, without a connection between them, do mean it.
DOUBTS = 5


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the end of a connection means for the next attempt.

    `fatal` ends the line; `wait` is the seconds to wait (None: back-off decides).
    """

    reason: str
    fatal: bool = False
    wait: float | None = None
    exit_code: int = 1
    patient: bool = False  # the long back-off decides: to ask on makes it worse
    limited: bool = False  # the service limits this address: no line asks before `wait` is over
    doubt: bool = False  # the key may be dead: fatal after `DOUBTS` of these in a row


@dataclass(frozen=True, slots=True)
class Refusal:
    """A handshake that was answered with an HTTP status other than 101.

    The names of `headers` are lower-case; a date in `retry-after` was turned into seconds.
    """

    status: int
    headers: Mapping[str, str]
    body: str
    keyed: bool = False  # the handshake showed a key, or the first message would have


#: Pages for people, and the short texts of content networks. Services answer with JSON or a word.
_EDGE = re.compile(
    r"^\W{0,9}<|error code: 1\d{3}|request (was |has been )?blocked|by an edge|"
    r"cloudflare|cloudfront|akamai|reference #\d",
    re.IGNORECASE,
)
_KEY_BLAMED = re.compile(
    r"(api|access)?[\s_-]?key\b|credential|authenti|unauthori[sz]ed|signature|\btoken\b",
    re.IGNORECASE,
)
_LIMIT_BLAMED = re.compile(
    r"rate|limit|too (many|frequent|fast)|quota|cool.?down|exceeded|retry|later|banned",
    re.IGNORECASE,
)


def from_edge(refusal: Refusal) -> bool:
    """Return True if a content network or a firewall refused, and not the service itself."""
    if "html" in refusal.headers.get("content-type", "").lower() or "cf-mitigated" in (
        refusal.headers
    ):
        return True
    return _EDGE.search(refusal.body[:2000]) is not None


def blames_key(refusal: Refusal) -> bool:
    """Return True if the service says, by the status or in words, that the key is the reason."""
    if _LIMIT_BLAMED.search(refusal.body):
        return False
    return refusal.status == 401 or _KEY_BLAMED.search(refusal.body) is not None


def refused(refusal: Refusal) -> Verdict:
    """Return the verdict by the HTTP status; feeds with further rules call this last."""
    wait = seconds(refusal.headers.get("retry-after")) or None
    status = refusal.status
    if status in {401, 403}:
        return _forbidden(refusal, wait)
    if status in {418, 429}:
        return Verdict(f"rate limited (HTTP {status})", wait=wait or 60.0, limited=True)
    target = refusal.headers.get("location")
    if 300 <= status < 400 and target:
        where = words(_safe(target))
        return Verdict(f"refused (HTTP {status}: it points to {where})", wait=wait)
    return Verdict(f"refused (HTTP {status})", wait=wait)


def _forbidden(refusal: Refusal, wait: float | None) -> Verdict:
    """Return the verdict on a 401 or 403."""
    status = refusal.status
    if from_edge(refusal):
        return Verdict(f"refused by an edge (HTTP {status})", wait=wait, patient=True)
    if not refusal.keyed:
        return Verdict(f"refused (HTTP {status})", wait=wait, patient=True)
    if blames_key(refusal):
        return Verdict(f"credentials refused (HTTP {status})", fatal=True, exit_code=CREDENTIALS)
    return Verdict(f"refused (HTTP {status})", wait=wait, patient=True, doubt=True)


def key_doubted(verdict: Verdict) -> Verdict:
    """Return the fatal verdict that follows `DOUBTS` doubtful ones."""
    why = f"credentials refused: {verdict.reason}, {DOUBTS} times in a row"
    return Verdict(why, fatal=True, exit_code=CREDENTIALS)


def _safe(url: str) -> str:
    try:
        return safe_url(url)
    except ValueError:  # not a URL
        return "no URL"


# -- what a service said, whatever it was


def parsed(payload: bytes | str) -> dict[str, object] | None:
    """Return the JSON object that a service sent; None for anything else. Never raises."""
    try:
        value = msgspec.json.decode(payload)
    except (ValueError, RecursionError):  # not JSON, not UTF-8; nested too deeply
        return None
    return value if isinstance(value, dict) else None


def words(value: object, most: int = 100) -> str:
    """Return a service's word or number for a log line: printable, at most `most` characters."""
    if isinstance(value, int | float) and abs(value) < 1e15:
        value = str(value)
    if not isinstance(value, str):
        return ""
    return "".join(c if c.isprintable() else " " for c in value[:most]).strip()


def seconds(value: object) -> float | None:
    """Return the seconds that a service says to wait; None unless 0 to a million."""
    try:
        found = float(value) if isinstance(value, str | int | float) else math.nan
    except (ValueError, OverflowError):
        return None
    return found if 0 <= found <= 1e6 else None

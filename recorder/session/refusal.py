"""A refused handshake as feeds see it: names in lower case, times in seconds, no secret. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime

from websockets.http11 import Response

from recorder.verdict import Refusal


def refusal(
    response: Response, wall_s: float, hide: Callable[[str], str], *, keyed: bool
) -> Refusal:
    """Return what a service answered instead of a WebSocket.

    `wall_s` is the time in seconds since 1970; `hide` removes secrets from a text.
    """
    headers = {name.lower(): value for name, value in response.headers.raw_items()}
    return refused_request(
        response.status_code, headers, bytes(response.body or b""), wall_s, hide, keyed
    )


def refused_request(  # noqa: PLR0913, PLR0917
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    wall_s: float,
    hide: Callable[[str], str],
    keyed: bool,
) -> Refusal:
    """Return what a service answered instead of what was asked for; header names in lower case."""
    shown = {name: hide(value) for name, value in headers.items()}
    wait = retry_after(shown, wall_s)
    if wait is not None:
        shown["retry-after"] = str(wait)
    return Refusal(status, shown, hide(body.decode("utf-8", "replace")), keyed)


def retry_after(headers: dict[str, str], wall_s: float) -> float | None:
    """Return the seconds from now to the date of Retry-After; None if it holds no date.

    The service's own Date, where it sends one, is its now: its clock may differ from ours.
    """
    until = _date(headers.get("retry-after"))
    if until is None:
        return None
    now = _date(headers.get("date"))
    return max(until - (wall_s if now is None else now), 0.0)


def _date(text: str | None) -> float | None:
    """Return an HTTP date (RFC 9110: always UTC) in seconds since 1970; None for anything else."""
    try:
        moment = parsedate_to_datetime(text or "")
        return moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None

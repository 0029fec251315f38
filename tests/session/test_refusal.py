"""What a service answered instead of a WebSocket, as feeds see it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.datastructures import Headers
from websockets.http11 import Response

from recorder.session.refusal import refusal, retry_after

#: 2026-11-30 12:00:00 UTC.
NOON = 1_796_040_000.0


def test_names_are_lower_case_and_secrets_are_gone() -> None:
    response = Response(302, "Found", Headers(Location="wss://a/?k=dsk_1"), b"no dsk_1 \xff")
    answer = refusal(response, NOON, lambda text: text.replace("dsk_1", "***"), keyed=True)
    assert answer.headers == {"location": "wss://a/?k=***"}
    assert (answer.status, answer.body, answer.keyed) == (302, "no *** \ufffd", True)


@pytest.mark.parametrize(
    ("told", "date", "seconds"),
    [
        ("Mon, 30 Nov 2026 12:00:03 GMT", None, 3.0),
        ("Mon, 30 Nov 2026 12:00:03 GMT", "Mon, 30 Nov 2026 11:59:00 GMT", 63.0),  # theirs is slow
        ("Mon, 30 Nov 2026 11:00:00 GMT", None, 0.0),
        ("Monday, 30-Nov-26 12:00:03 GMT", None, 3.0),  # obsolete, but allowed
        ("Mon Nov 30 12:00:03 2026", None, 3.0),
        ("3", None, None),
        ("soon", None, None),
        (None, None, None),
    ],
)
def test_a_date_of_retry_after_becomes_seconds(
    told: str | None, date: str | None, seconds: float | None
) -> None:
    given = {"retry-after": told, "date": date}
    headers = {name: value for name, value in given.items() if value is not None}
    assert retry_after(headers, NOON) == seconds


@given(st.text(max_size=40), st.text(max_size=40))
def test_no_header_breaks_it(told: str, date: str) -> None:
    wait = retry_after({"retry-after": told, "date": date}, NOON)
    assert wait is None or wait >= 0

"""What each feed makes of closes, refused handshakes and the service's own messages."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.feed import CREDENTIALS, Notice, Refusal, Verdict, parsed, seconds, words
from recorder.feeds import KINDS, feed

ALL = pytest.mark.parametrize("kind", KINDS)


def closed(kind: str, code: int | None, reason: str = "") -> Verdict | None:
    return feed(kind).on_close(code, reason)


def refused(kind: str, status: int, body: Any = "", **headers: str) -> Verdict:
    text = body if isinstance(body, str) else json.dumps(body)
    return feed(kind).on_refused(Refusal(status, headers, text))


def noticed(kind: str, payload: Any) -> Notice | None:
    """What a line does with a frame: the cheap look first, then the notice."""
    data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    control = feed(kind).control
    if control is None or not control.search(data, 0, 200):
        return None
    return feed(kind).notice(data)


# -- closes


@pytest.mark.parametrize("reason", ["key_expired", "key_invalidated", "key_revoked"])
def test_cryptolisting_a_dead_key_is_fatal(reason: str) -> None:
    verdict = closed("cryptolisting", 1000, reason)
    assert verdict is not None
    assert verdict.fatal
    assert verdict.exit_code == CREDENTIALS == 4
    assert reason in verdict.reason


def test_cryptolisting_too_slow_reconnects_at_once() -> None:
    verdict = closed("cryptolisting", 1008, "too_slow")
    assert verdict is not None
    assert (verdict.fatal, verdict.wait) == (False, 0.0)


def test_cryptolisting_too_many_messages_waits_a_minute() -> None:
    verdict = closed("cryptolisting", 1008, "rate_limit_exceeded")
    assert verdict is not None
    assert (verdict.fatal, verdict.wait) == (False, 60.0)


@pytest.mark.parametrize(
    ("code", "reason"), [(4001, ""), (4003, ""), (1008, "invalid api key"), (1000, "Unauthorized")]
)
def test_smartmoney_a_close_that_blames_the_key_is_fatal(code: int, reason: str) -> None:
    verdict = closed("smartmoney", code, reason)
    assert verdict is not None
    assert verdict.fatal
    assert verdict.exit_code == CREDENTIALS


@ALL
@pytest.mark.parametrize(
    ("code", "reason"),
    [(1000, ""), (1001, "going away"), (1006, ""), (1011, "internal error"), (1012, "restart")],
)
def test_any_other_close_is_left_to_back_off(kind: str, code: int, reason: str) -> None:
    assert closed(kind, code, reason) is None


# -- refused handshakes


@ALL
@pytest.mark.parametrize("status", [401, 403])
def test_refused_credentials_are_fatal(kind: str, status: int) -> None:
    verdict = refused(kind, status, {"error": "invalid_api_key"})
    assert verdict.fatal
    assert verdict.exit_code == CREDENTIALS
    assert str(status) in verdict.reason


@ALL
@pytest.mark.parametrize("status", [418, 429])
def test_a_rate_limit_waits_as_told_or_a_minute(kind: str, status: int) -> None:
    assert refused(kind, status).wait == 60.0
    assert refused(kind, status, **{"retry-after": "7"}).wait == 7.0
    assert not refused(kind, status).fatal


@ALL
@pytest.mark.parametrize("status", [302, 404, 426, 500, 503])
def test_any_other_refusal_is_left_to_back_off(kind: str, status: int) -> None:
    verdict = refused(kind, status)
    assert (verdict.fatal, verdict.wait) == (False, None)
    assert refused(kind, status, **{"retry-after": "120"}).wait == 120.0


@ALL
@pytest.mark.parametrize("told", ["", "soon", "-5", "nan", "inf", "9" * 400, "Wed, 21 Oct 2026"])
def test_a_retry_after_that_is_no_number_of_seconds_is_ignored(kind: str, told: str) -> None:
    assert refused(kind, 429, **{"retry-after": told}).wait == 60.0
    assert refused(kind, 503, **{"retry-after": told}).wait is None


@pytest.mark.parametrize(
    "error",
    [
        "connection_rate_limit_exceeded",
        "per_ip_concurrent_limit_reached",
        "per_ip_connection_limit_reached",
        "max_distinct_ips_reached",
        "absolute_connection_cap_reached",
    ],
)
def test_cryptolisting_names_the_limit_that_was_reached(error: str) -> None:
    verdict = refused("cryptolisting", 429, {"error": error})
    assert error in verdict.reason
    assert (verdict.fatal, verdict.wait) == (False, 60.0)


def test_cryptolisting_waits_for_its_cooldown() -> None:
    body = {"error": "connection_cooldown", "retry_after_s": 5}
    assert refused("cryptolisting", 429, body).wait == 5.0
    assert refused("cryptolisting", 429, {"retry_after_s": 2.5}).wait == 2.5


@pytest.mark.parametrize("told", ["x", -1, [], None, {}, 10**400, 1e300, "nan"])
def test_cryptolisting_ignores_a_wait_that_is_none(told: Any) -> None:
    body = {"error": "connection_cooldown", "retry_after_s": told}
    assert refused("cryptolisting", 429, body).wait == 60.0


# -- notices


def test_cryptolisting_tells_of_errors() -> None:
    notice = noticed("cryptolisting", {"type": "error", "code": "test_rate_limited"})
    assert notice == Notice("the service reports: test_rate_limited")


@pytest.mark.parametrize(
    "frame",
    [
        {"type": "welcome", "tier": "premium"},
        {"type": "announcement", "title": 'has "type":"error" in it', "ticker": "T"},
        {"type": "heartbeat", "timestampNs": 1},
    ],
)
def test_cryptolisting_s_other_frames_are_no_notice(frame: dict[str, Any]) -> None:
    assert noticed("cryptolisting", frame) is None


@pytest.mark.parametrize(
    "frame",
    [
        {"type": "error", "code": "invalid_api_key", "message": "the API key is not valid"},
        {"type": "error", "error": "unauthorized"},
        {"type": "error", "message": "Authentication failed"},
        {"type": "auth_error", "message": "no"},
    ],
)
def test_smartmoney_a_refused_key_ends_the_feed(frame: dict[str, Any]) -> None:
    notice = noticed("smartmoney", frame)
    assert notice is not None
    assert notice.verdict is not None
    assert notice.verdict.fatal
    assert notice.verdict.exit_code == CREDENTIALS


def test_smartmoney_a_refused_channel_is_named_and_ends_nothing() -> None:
    frame = {"type": "error", "code": "unknown_channel", "channel": "a:b", "message": "no such"}
    notice = noticed("smartmoney", frame)
    assert notice == Notice("channel refused: a:b: unknown_channel no such", "a:b")


def test_smartmoney_tells_of_other_errors() -> None:
    notice = noticed("smartmoney", {"type": "error", "code": 500, "message": "try later"})
    assert notice == Notice("the service reports: 500 try later")


@pytest.mark.parametrize("kind", ["whale_update", "funding_rate", "pong", "subscribed", "status"])
def test_smartmoney_s_other_frames_are_no_notice(kind: str) -> None:
    assert noticed("smartmoney", {"type": kind, "message": 'says "type":"error"'}) is None


def test_binance_tells_of_a_refused_request() -> None:
    notice = noticed("binance", {"error": {"code": 2, "msg": "Invalid request"}, "id": 1})
    assert notice is not None
    assert "Invalid request" in notice.text


@pytest.mark.parametrize("frame", [{"result": None, "id": 1}, {"stream": "a@b", "data": {}}, []])
def test_binance_s_other_frames_are_no_notice(frame: Any) -> None:
    assert noticed("binance", frame) is None


# -- whatever a service may send

json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(), inner, max_size=3)
    ),
    max_leaves=8,
)
FIELDS = ("type", "code", "error", "message", "msg", "channel", "retry_after_s")
messages = st.dictionaries(
    st.sampled_from(FIELDS),
    st.one_of(json_values, st.sampled_from(["error", "auth_error", "api key", "whales:BTC"])),
).map(lambda message: json.dumps(message).encode())
deep = [
    b"[" * 100_000,
    b'{"type":"error","code":' + b"[" * 5000 + b"]" * 5000 + b"}",
    b'{"type":"error","code":' + b"[" * 900 + b"]" * 900 + b"}",
    b'{"error":' * 900 + b"1" + b"}" * 900,
]
odd = [
    b"",
    b"\xff\xfe",
    b'{"type":"error","code":"\\ud800"}',
    b'{"type":"error","code":"\xff"}',
    b'{"type":"error","code":' + b"9" * 10_000 + b"}",
    b'{"type":"error","code":NaN}',
    b'{"type":["error"]}',
    b'{"type":"error","type":"auth_error"}',
    b'{"type":"error","message":"\\u001b[2Jgone\\n"}',
]


def usable(notice: Notice | None) -> None:
    """A notice can be logged: printable, short, and UTF-8."""
    if notice is None:
        return
    verdict = notice.verdict
    for text in (notice.text, notice.refused_channel or "", verdict.reason if verdict else ""):
        assert text == "" or text.isprintable()
        assert len(text.encode()) < 2500


@ALL
@given(payload=st.one_of(st.binary(max_size=300), messages, st.sampled_from([*deep, *odd])))
def test_no_frame_breaks_a_notice(kind: str, payload: bytes) -> None:
    usable(feed(kind).notice(payload))
    noticed(kind, payload)


@ALL
@given(code=st.one_of(st.none(), st.integers(0, 65535)), reason=st.text(max_size=123))
def test_no_close_breaks_a_verdict(kind: str, code: int | None, reason: str) -> None:
    verdict = closed(kind, code, reason)
    assert verdict is None or (verdict.wait or 0) >= 0


@ALL
@given(
    status=st.integers(100, 599),
    body=st.one_of(st.text(max_size=200), messages.map(bytes.decode), st.sampled_from(
        [payload.decode("utf-8", "replace") for payload in [*deep, *odd]]
    )),
    after=st.text(max_size=20),
)  # fmt: skip
def test_no_refusal_breaks_a_verdict(kind: str, status: int, body: str, after: str) -> None:
    verdict = feed(kind).on_refused(Refusal(status, {"retry-after": after}, body))
    assert verdict.reason.isprintable()
    assert verdict.wait is None or 0 <= verdict.wait <= 1e6
    assert verdict.fatal == (status in {401, 403})


@given(json_values)
def test_the_pieces_take_any_value(value: Any) -> None:
    told = seconds(value)
    assert told is None or 0 <= told <= 1e6
    assert words(value).isprintable() or words(value) == ""
    assert len(words(value)) <= 100


@given(st.one_of(st.binary(max_size=100), st.text(max_size=100), messages))
def test_only_objects_are_parsed(payload: bytes | str) -> None:
    found = parsed(payload)
    assert found is None or isinstance(found, dict)

"""What a service says in a replay fits what its feed says to it, and fits real frames."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.errors import ConfigError
from recorder.feed import Options
from recorder.feeds import KINDS, feed
from recorder.player.ready import pattern_of, shifted
from recorder.service import Service
from recorder.services import service

FRAMES = Path(__file__).parents[2].parent / "shared" / "frames" / "captured_2026"

SUBSCRIBING = [kind for kind in KINDS if service(kind).by_message]


def test_the_feeds_with_subscriptions_are_these() -> None:
    known = {"smartmoney", "binance", "bybit", "okx", "hyperliquid", "deribit", "bitmex"}
    assert set(SUBSCRIBING) == known


@pytest.mark.parametrize("kind", ["treeofalpha", "generic", "unknown", "", "..binance", "__init__"])
def test_a_kind_without_a_file_of_its_own_has_the_defaults(kind: str) -> None:
    assert service(kind) == Service()


@pytest.mark.parametrize("kind", SUBSCRIBING)
def test_what_a_feed_says_subscribes_to_its_channels(kind: str) -> None:
    found = feed(kind)
    for url in (None, "wss://example.org/ws"):
        for plan in found.plan(Options(kind, url=url, key="secret")):
            asked: set[str] = set()
            for address in plan.urls:
                parts = urlsplit(address)
                asked |= set(service(kind).asked(dict(parse_qsl(parts.query)), parts.path))
            for message in plan.hello:
                turn = service(kind).turn(message.encode())
                assert turn.answers
                asked |= set(turn.subscribe)
            assert asked == set(plan.channels)


@pytest.mark.parametrize("kind", SUBSCRIBING)
def test_what_a_service_answers_is_taken_for_an_answer_not_for_data(kind: str) -> None:
    found, own = feed(kind), service(kind).own
    assert own is not None
    answers: list[str] = list(service(kind).greet((), 0))
    for plan in found.plan(Options(kind, url="wss://example.org/ws", key="secret")):
        for message in (*plan.hello, plan.ping, "nonsense"):
            answers += service(kind).turn((message or "").encode()).answers
    column = pa.array([answer.encode() for answer in answers], pa.binary())
    assert pc.all(pc.match_substring_regex(column, own)).as_py()


@pytest.mark.parametrize("kind", SUBSCRIBING)
def test_a_ping_is_answered_as_the_recorder_expects(kind: str) -> None:
    found = feed(kind)
    for plan in found.plan(Options(kind, key="secret")):
        if plan.ping is not None:
            [answer] = service(kind).turn(plan.ping.encode()).answers
            assert found.answer is not None
            assert found.answer.search(answer.encode())


@pytest.mark.parametrize(
    ("kind", "file"),
    [
        ("binance", "binance_usdm"),
        ("bybit", "bybit_linear"),
        ("okx", "okx"),
        ("hyperliquid", "hyperliquid"),
    ],
)
def test_real_frames_are_data_and_have_channels_that_can_be_asked_for(kind: str, file: str) -> None:
    path = FRAMES / f"{file}.jsonl"
    if not path.exists():
        pytest.skip(f"no recorded frames at {path}")
    own, channels = service(kind).own, service(kind).channels
    frames = path.read_bytes().splitlines()
    assert own is not None
    assert channels is not None
    answers = pc.match_substring_regex(pa.array(frames, pa.binary()), own).to_pylist()
    data = [frame for frame, answer in zip(frames, answers, strict=True) if not answer]
    assert len(data) >= 5
    for frame in data:
        names = channels(frame)
        assert any(_planned(kind, name) for name in names), (names, frame)
    control = feed(kind).control
    for frame, answer in zip(frames, answers, strict=True):
        assert answer or control is None or not control.search(frame[:200])


def _planned(kind: str, name: str) -> bool:
    """Whether the recorder itself would subscribe to a channel of this name."""
    try:
        return bool(feed(kind).plan(Options(kind, channels=(name,))))
    except ConfigError:
        return False


@pytest.mark.parametrize("kind", KINDS)
@given(st.one_of(st.binary(max_size=60), st.from_type(object).map(lambda o: repr(o).encode())))
def test_no_client_can_say_what_breaks_a_service(kind: str, payload: bytes) -> None:
    turn, channels = service(kind).turn(payload), service(kind).channels
    assert all(isinstance(answer, str) for answer in turn.answers)
    if channels is not None:
        assert all(isinstance(name, str) for name in channels(payload))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["op", "args", "method", "params", "type", "channel", "subscription"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)
VERBS = ["subscribe", "unsubscribe", "SUBSCRIBE", "ping", "auth", "public/subscribe"]


@pytest.mark.parametrize("kind", KINDS)
@given(json_values, st.sampled_from(VERBS))
def test_nor_can_a_command_with_odd_arguments(kind: str, value: object, word: str) -> None:
    for name in ("op", "method", "type"):
        message = {"args": value, "params": value, "channel": value, "subscription": value}
        turn = service(kind).turn(json.dumps({name: word, **message, "id": value}).encode())
        assert all(isinstance(named, str) for named in turn.subscribe)


def test_times_move_in_every_unit_and_nothing_else_does() -> None:
    frame = (
        b'{"a":1790000000000,"T":1790000000000,"ts":"1790000000000","us":1790000000000000,'
        b'"timestamp":"2026-09-21T14:13:20.000Z","ns":1790000000000000000,"s":1790000000,"T":12}'
    )
    moved = shifted(frame, pattern_of(("T", "ts", "us", "timestamp", "ns", "s")), 60 * 10**9)
    assert moved == (
        b'{"a":1790000000000,"T":1790000060000,"ts":"1790000060000","us":1790000060000000,'
        b'"timestamp":"2026-09-21T14:14:20.000Z","ns":1790000060000000000,"s":1790000060,"T":12}'
    )

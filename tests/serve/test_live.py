"""What a client of the live connection gets, through a real server over real journals."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from kit.frames import events
from kit.journals import Writer, seal_all
from kit.records import Published
from websockets.exceptions import ConnectionClosed

import recorder
from recorder.clock import Clock
from recorder.serve.live_event import TABLES, LiveEvent

from .serving import Live, Served, serving

pytestmark = pytest.mark.process

ALL = {"tables": list(TABLES)}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


@pytest.fixture
def served(data: Path) -> Iterator[Served]:
    with serving(data) as running:
        yield running


def now_ns() -> int:
    return Clock().wall_ns()


def recorded(root: Path) -> list[dict[str, Any]]:
    """What the tables say, as a client gets it, in one order."""
    return in_order(json.loads(LiveEvent(e).json) for e in recorder.events(TABLES, data_dir=root))


def in_order(found: Any) -> list[dict[str, Any]]:
    return sorted(found, key=lambda e: (e["connection"], e["seq"], e["item"], e["table"]))


def put(writer: Writer, stream: Any, number: int) -> None:
    writer.now = now_ns()
    writer.put(stream, *events(writer.feed, number))
    writer.beat()


def test_a_client_gets_what_the_tables_say_later(data: Path, served: Served) -> None:
    """Nothing is there at first; journals grow and are sealed, ingest publishes between."""
    record = Published(data)
    with served.live() as live:
        assert live.next("hello")["events"] == []
        live.say(filter=ALL)
        live.next("history")
        found: list[dict[str, Any]] = []
        writers = []
        for feed in ("binance", "cryptolisting"):
            writer = Writer(data, feed, now=now_ns())
            writers.append((writer, writer.open()))
        for number in range(6):
            for writer, stream in writers:
                put(writer, stream, number)
                found += live.events(1)
            if number in {2, 4}:
                for writer, _ in writers:
                    writer.finish()
                seal_all(record.layout)
                record.ingest()
        record.ingest()
        expected = recorded(data)
        while len(found) < len(expected):
            found += live.events(1)
    assert in_order(found) == expected
    assert len({event["table"] for event in found}) >= 4


def test_who_comes_later_is_greeted_with_the_newest_by_its_filter(
    data: Path, served: Served
) -> None:
    writer = Writer(data, "binance", now=now_ns())
    stream = writer.open()
    with served.live() as first:
        first.next("hello")
        for number in range(3):
            put(writer, stream, number)
            first.events(1)
    with served.live() as later:
        hello = later.next("hello")
        assert {event["table"] for event in hello["events"]} >= {"liquidations"}
        assert hello["exchanges"] == ["binance"]
        later.say(filter={"tables": ["prices"]})
        history = later.next("history")["events"]
        assert history and {event["table"] for event in history} == {"prices"}


def test_what_was_published_before_it_started_is_shown(sample: Path) -> None:
    with serving(sample) as served, served.live() as live:
        found = live.next("hello")["events"] or live.events(1)
        assert found


def test_filters_pause_and_watch(data: Path, served: Served) -> None:
    binance, news = (Writer(data, feed, now=now_ns()) for feed in ("binance", "cryptolisting"))
    streams = binance.open(), news.open()
    with served.live() as live:
        live.next("hello")
        live.say(filter={"tables": ["liquidations"], "symbol": "BTC*"}, watch=["listings"])
        live.next("history")
        put(binance, streams[0], 1)
        assert {event["table"] for event in live.events(1)} == {"liquidations"}
        live.say(paused=True)
        live.say(ping=7.5)
        pong = live.next("pong")
        assert pong["ping"] == 7.5 and int(pong["server_ns"]) > 0
        put(binance, streams[0], 2)
        put(news, streams[1], 1)
        message = live.until(lambda m: m["type"] in {"watched", "events"})
        assert message["type"] == "watched"
        assert {event["table"] for event in message["events"]} == {"listings"}


@pytest.mark.parametrize(
    "said",
    ["no JSON", "[]", '{"filter": {"tables": "whales"}}', '{"watch": ["nothing"]}', "[" * 9_000],
)
def test_nonsense_is_answered_and_the_connection_lives(sample_served: Served, said: str) -> None:
    with sample_served.live() as live:
        live.socket.send(said)
        assert live.next("error")["error"]
        live.say(ping=1)
        assert live.next("pong")["ping"] == 1


def test_who_talks_too_much_is_closed(sample_served: Served) -> None:
    with sample_served.live() as live, pytest.raises(ConnectionClosed):
        for _ in range(10_000):
            live.say(ping=1)
            live.next("pong")


@pytest.fixture(scope="module")
def sample_served(sample: Path) -> Iterator[Served]:
    with serving(sample) as running:
        yield running


def test_fifty_clients_get_the_same_and_the_server_answers_meanwhile(data: Path) -> None:
    with serving(data) as served, ExitStack() as stack:
        lives: list[Live] = [stack.enter_context(served.live()) for _ in range(50)]
        writer = Writer(data, "binance", now=now_ns())
        stream = writer.open()
        for live in lives:
            live.next("hello")
        put(writer, stream, 1)
        found = [live.events(1)[0]["recv_ns"] for live in lives]
        assert len(set(found)) == 1
        assert served.ask("/healthz").status == 200


def test_more_clients_than_are_allowed_are_refused(data: Path) -> None:
    from websockets.exceptions import InvalidStatus

    with serving(data) as served, ExitStack() as stack:
        for _ in range(64):
            stack.enter_context(served.live())
        with pytest.raises(InvalidStatus) as refused, served.live():
            pass
        assert refused.value.response.status_code == 503
        assert served.ask("/healthz").status == 200


def test_seconds_status_and_alerts_are_told(data: Path, served: Served) -> None:
    writer = Writer(data, "binance", now=now_ns())
    stream = writer.open()
    alert = {
        "kind": "alert",
        "at_ns": 1,
        "rule": "big",
        "severity": "warning",
        "title": "A",
        "text": "B",
    }
    with served.live() as live:
        live.next("hello")
        put(writer, stream, 1)
        second = live.until(
            lambda m: m["type"] == "second" and m["rates"].get("binance", {}).get("frames", 0) > 0
        )
        assert second["rates"]["binance"]["bytes"] > 0
        status = live.next("status")["status"]
        assert status["data_dir"] == str(data)
        (data / "work").mkdir(exist_ok=True)
        lines = [alert | {"kind": "delivery"}, alert]
        (data / "work" / "alerts.jsonl").write_text("".join(json.dumps(a) + "\n" for a in lines))
        assert live.next("alert")["alert"] == alert
    assert served.ask("/api/status").json["host"]
    told = served.ask("/api/series?what=rates&seconds=60").json
    assert ("binance", "frames") in {(one["feed"], one["name"]) for one in told["series"]}


def test_a_frame_is_found_in_the_journal_and_once_it_is_sealed(data: Path, served: Served) -> None:
    writer = Writer(data, "binance", now=now_ns())
    stream = writer.open()
    with served.live() as live:
        live.next("hello")
        put(writer, stream, 1)
        [event, *_] = live.events(1)
    query = "&".join(f"{n}={event[n]}" for n in ("feed", "connection", "seq", "recv_ns"))
    before = served.ask(f"/api/frame?{query}").json
    assert before["text"].encode() in events("binance", 1)
    assert before["recv_ns"] == event["recv_ns"]
    writer.finish()
    seal_all(Published(data).layout)
    assert served.ask(f"/api/frame?{query}").json == before
    raw = served.ask(f"/api/frame?{query}&download=1")
    assert raw.body == before["text"].encode()
    assert raw.headers["content-type"] == "application/octet-stream"
    assert raw.headers["content-disposition"].startswith("attachment")
    missing = served.ask(f"/api/frame?{query.replace('seq=', 'seq=99')}")
    assert missing.status == 404
    assert missing.json["next"] == "it may have been pruned"


def test_a_damaged_database_stops_questions_and_not_the_page(data: Path) -> None:
    record = Published(data)
    writer = Writer(data, "binance", now=now_ns())
    stream = writer.open()
    put(writer, stream, 1)
    record.ingest()
    record.layout.database.resolve().write_bytes(b"nonsense" * 1000)
    with serving(data) as served, served.live() as live:
        live.next("hello")
        refused = served.ask("/api/query/listings.json")
        assert refused.status == 503
        assert "recorder.duckdb" in refused.json["where"]
        put(writer, stream, 2)
        assert live.events(1)


def test_pruning_under_it_ends_nothing(data: Path, served: Served) -> None:
    writer = Writer(data, "binance", now=now_ns())
    stream = writer.open()
    with served.live() as live:
        live.next("hello")
        put(writer, stream, 1)
        live.events(1)
        writer.finish()
        seal_all(Published(data).layout)
        shutil.rmtree(data / "raw")
        put(writer, stream, 2)
        assert live.events(1)

"""Frames that a service packs become the rows of their texts; raw and rejects keep the bytes."""

from __future__ import annotations

import gzip
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from kit.frames import MS, RUN, T0, events, frames_of, marker
from kit.journals import Writer
from kit.records import Published, Record, assert_same, stamped
from lake import worlds

from recorder.clock import NS, Clock, ulid
from recorder.coding import CODINGS, LARGEST, encoded
from recorder.frame import Frame
from recorder.lake.place import Place
from recorder.stream import event
from recorder.stream.live import Follower, Pace
from recorder.tables import texts
from recorder.tables.rules import Rules

FEEDS = ("binance", "cryptolisting", "smartmoney")


def payloads(feed: str) -> list[bytes]:
    return [payload for number in range(4) for payload in events(feed, number)]


def opened(feed: str, packed: list[bytes], connection: str, line: str = "A") -> list[Frame]:
    """A connection's frames, a marker before them."""
    about = {"line": line, "group": "all", "url": "wss://example.org"}
    given: Any = {"first_seq": 1, "recv_ns": T0 + MS, "connection": connection, "kind": "binary"}
    return [marker(0, "open", T0, connection, **about), *frames_of(packed, **given)]


def rows_of(root: Path, coding: str | None) -> dict[str, Any]:
    """All rows but the bytes of rejects and their reasons, which name the coding."""
    record = Record(root)
    record.coding = coding
    for feed in FEEDS:
        packed = [encoded(coding, payload) for payload in payloads(feed)]
        record.seal(feed, opened(feed, packed, ulid(T0, bytes(10))))
    record.ingest()
    assert not record.warnings
    rows = record.everything()
    rows["rejects"] = record.sql("SELECT feed, seq, item, channel FROM rejects ORDER BY ALL")
    rows["connections"] = record.rows("connections", "feed", "frames")
    return {name: rows for name, rows in rows.items() if name not in {"ledger", "arrivals"}}


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return rows_of(tmp_path_factory.mktemp("plain"), None)


@pytest.mark.parametrize("coding", CODINGS)
def test_packed_frames_make_the_rows_of_plain_ones(
    coding: str, plain: dict[str, Any], tmp_path: Path
) -> None:
    assert_same(rows_of(tmp_path, coding), plain)


def test_a_batch_that_grows_is_taken_in_parts(
    plain: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(texts, "_PART_BYTES", 300)
    assert_same(rows_of(tmp_path, "gzip"), plain)


def test_what_cannot_be_decoded_is_rejected_with_its_reason(record: Record) -> None:
    record.coding = "gzip"
    good = events("binance", 1)[0]
    packed = gzip.compress(good)
    bad = {
        packed[:-3]: "gzip: cut short",
        packed + b"?": "gzip: other bytes follow the packed text",
        b"\x1f\x8b\x08": "gzip: cut short",
        gzip.compress(bytes(LARGEST + 1)): "gzip: grows to more than 16,777,216 bytes",
        gzip.compress(b"\xff"): "not UTF-8 text",
        b"\xff": "not UTF-8 text",
        gzip.compress(b""): "an empty frame",
        gzip.compress(b"no JSON"): "not JSON",
        gzip.compress(b"[" * 1_100_000): "more than 1,000,000 JSON objects and arrays",
    }
    record.take("binance", opened("binance", [*bad, packed], RUN))
    rejected = record.rows("rejects", "payload", "reason")
    assert dict(rejected) == bad
    assert len(record.rows("liquidations", "symbol")) == 1


def test_copies_are_equal_by_their_text(record: Record) -> None:
    """The lines' connections pack for themselves: with another level, and a time in the head."""
    record.coding = "gzip"
    mine = [gzip.compress(payload, 9, mtime=0) for payload in payloads("binance")]
    theirs = [gzip.compress(payload, 1, mtime=5) for payload in payloads("binance")]
    assert not {*mine} & {*theirs}
    one, two = ulid(T0, bytes(10)), ulid(T0, bytes([7] * 10))
    both = [*opened("binance", mine, one, "A"), *opened("binance", theirs, two, "B")]
    record.take("binance", sorted(both))
    assert record.sql("SELECT count(*), count(DISTINCT connection) FROM liquidations") == [(4, 1)]


def test_who_follows_gets_the_events_of_the_tables(tmp_path: Path) -> None:
    """Between markers the fast path has them, which decodes as ingest does."""
    writer = Writer(tmp_path, "binance")
    stream, rules = writer.open(), Rules("binance", coding="gzip")
    pace = Pace(poll=0.01, hold=0.0, share=1000.0)
    tables = tuple(event.CLASSES)
    found: list[Any] = []
    with closing(
        Follower.open(
            Published(tmp_path).layout, lambda feed: rules, tables, pace=pace,
            clock=Clock(lambda: T0),
        )
    ) as follower:  # fmt: skip
        for number in range(3):
            writer.now = T0 + number * NS
            writer.put(stream, *(gzip.compress(one) for one in events("binance", number)))
            writer.put(stream, gzip.compress(b"{}")[:-1])
            writer.beat()
            found += follower.ready(everything=True)
    kinds = [type(one).__name__ for one in found]
    assert kinds.count("Liquidation") == 3
    reasons = [one.reason for one in found if hasattr(one, "reason")]
    assert reasons.count("gzip: cut short") == 3


def test_a_lake_holds_the_same_rows(tmp_path: Path) -> None:
    record = Published(tmp_path)
    record.coding = "gzip"
    packed = [gzip.compress(payload) for payload in payloads("binance")]
    record.seal("binance", opened("binance", [*packed, packed[0][:-1]], RUN))
    record.ingest()
    rules = Rules("binance", coding="gzip", stamped=stamped("binance"))
    place = Place.of(str(tmp_path / "lake"))
    one = worlds.engine(tmp_path, tables=place, rules=lambda feed, kind: rules)
    worlds.take(one)
    lake = worlds.lake(one)
    assert len(lake["liquidations"]) == 4
    assert_same(lake, worlds.local(record))

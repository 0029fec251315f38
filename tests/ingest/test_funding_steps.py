"""The interval of a rate that no frame and no list names: what the time of funding moved by."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from kit.frames import MS, T0, frames_of, marker
from kit.records import Published, Record, assert_same
from kit.rows import Bench
from lake import worlds

from recorder.clock import ulid
from recorder.frame import Frame
from recorder.tables.rebuild.rebuild_scope import Scope
from recorder.tables.rebuild.run import rebuild
from recorder.tables.rules import Rules

HOUR = 3600 * 1_000_000_000
#: A moment of funding on every grid up to 8 hours.
NOON = T0 - T0 % (24 * HOUR) + 8 * HOUR


def binance(at: int, funded: int) -> str:
    return json.dumps({"e": "markPriceUpdate", "E": at // MS, "s": "NEWUSDT", "p": "1.0",
                       "i": "1.0", "r": "0.0001", "T": funded // MS})  # fmt: skip


def bybit(at: int, funded: int) -> str:
    data = {"symbol": "NEWUSDT", "fundingRate": "0.0001", "nextFundingTime": str(funded // MS)}
    return json.dumps(
        {"topic": "tickers.NEWUSDT", "type": "snapshot", "ts": at // MS, "data": data}
    )


def okx(at: int, funded: int) -> str:
    one = {"instId": "NEW-USDT-SWAP", "fundingRate": "0.0001", "fundingTime": str(funded // MS),
           "ts": str(at // MS)}  # fmt: skip
    return json.dumps(
        {"arg": {"channel": "funding-rate", "instId": "NEW-USDT-SWAP"}, "data": [one]}
    )


def bitmex(at: int, funded: int) -> str:
    def iso(ns: int) -> str:
        return datetime.fromtimestamp(ns / 1e9, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"

    one = {"symbol": "NEWUSDT", "fundingRate": 0.0001, "fundingTimestamp": iso(funded),
           "timestamp": iso(at)}  # fmt: skip
    return json.dumps({"table": "instrument", "action": "partial", "data": [one]})


VENUES: dict[str, Callable[[int, int], str]] = {
    "binance": binance, "bybit": bybit, "okx": okx, "bitmex": bitmex,
}  # fmt: skip

#: Hours after NOON: of the frame, of the funding that it announces; and the interval.
LIFE = (
    (-1.0, 0.0, None),  # the first moment that is known has none before it
    (0.01, 4.0, 4.0),
    (3.9, 4.0, 4.0),
    (4.01, 8.0, 4.0),
    (8.02, 16.0, 8.0),  # the venue changed it
    (15.0, 16.0, 8.0),
    (26.0, 32.0, None),  # the moment at 24 was not observed
    (32.1, 40.0, 8.0),
)


def lives(venue: str, split: int) -> list[list[Frame]]:
    """The frames as two connections' lives, of which the first has `split` frames."""
    made = []
    for number, part in enumerate((LIFE[:split], LIFE[split:])):
        if not part:
            continue
        times = [NOON + int(at * HOUR) for at, _, _ in part]
        connection = ulid(times[0], bytes([number] * 10))
        texts = [
            VENUES[venue](NOON + int(at * HOUR), NOON + int(funded * HOUR))
            for at, funded, _ in part
        ]
        about = {"line": "A", "group": "g", "url": "ws://x"}
        made.append([
            marker(0, "open", times[0] - 1, connection, **about),
            *frames_of(texts, first_seq=1, recv_ns=times, connection=connection),
            marker(len(texts) + 1, "closed", times[-1] + 1, connection, **about),
        ])  # fmt: skip
    return made


HOURS = [hours for _, _, hours in LIFE]


def hours_of(record: Record) -> list[float | None]:
    return [hours for (hours,) in record.sql("SELECT interval_hours FROM funding ORDER BY recv_ns")]


@pytest.mark.parametrize("venue", VENUES)
@pytest.mark.parametrize("split", [0, 2, 4])
def test_an_interval_is_what_the_time_of_funding_moved_by(
    tmp_path: Path, venue: str, split: int
) -> None:
    record = Record(tmp_path)
    for frames in lives(venue, split):
        record.take(venue, frames)  # each an ingest, and a connection that ends
    assert hours_of(record) == HOURS


def test_from_batch_to_batch_the_same(tmp_path: Path) -> None:
    [frames] = lives("binance", 0)
    record = Record(tmp_path)
    for frame in frames:
        record.take("binance", [frame])
    assert hours_of(record) == HOURS


def test_a_lake_has_the_same(tmp_path: Path) -> None:
    record = Published(tmp_path)
    one = worlds.engine(tmp_path)
    for frames in lives("binance", 2):
        record.take("binance", frames)
        worlds.take(one)
    assert_same(worlds.lake(one), record.everything())
    assert hours_of(record) == HOURS


def test_a_rebuild_of_a_part_has_the_same(tmp_path: Path) -> None:
    record = Record(tmp_path)
    for frames in lives("binance", 4):
        record.take("binance", frames)
    rebuild(record.layout, Rules, Scope(from_ns=NOON + 9 * HOUR))
    assert hours_of(record) == HOURS


Expected = tuple[float | None, bool]
LISTED = {"symbol": "NEWUSDT", "name": "NEWUSDT", "contract_size": 1.0, "contract_unit": "base"}


@pytest.mark.parametrize(
    ("listed", "at", "funded", "expected"),
    [
        ({}, 1.0, 8.0, (8.0, True)),  # the venue's default
        ({}, 1.0, 4.0, (None, False)),  # a time at which nobody is funded by default
        ({"funding_interval_hours": 4.0}, 1.0, 4.0, (4.0, False)),
        ({"funding_interval_hours": 4.0}, 1.0, 8.0, (4.0, False)),  # the list is the authority
        ({"kind": "future"}, 1.0, 8.0, (None, False)),
        (None, 1.0, 8.0, (None, False)),
    ],
)
def test_a_list_holds_and_a_default_where_the_frame_does_not_contradict(
    bench: Bench, listed: dict[str, object] | None, at: float, funded: float, expected: Expected
) -> None:  # fmt: skip
    hours, marked = expected
    frames = frames_of([binance(NOON + int(at * HOUR), NOON + int(funded * HOUR))], first_seq=1)
    told = [] if listed is None else [{**LISTED, **listed}]
    named = marker(0, "instruments", T0 - 2, "list", exchange="binance", instruments=told)
    bench.take("binance", [named, marker(0, "open", T0 - 1, line="A", group="g"), *frames])
    extra = '{"interval_hours": "default"}' if marked else None
    assert bench.rows("funding", "interval_hours", "extra") == [(hours, extra)]

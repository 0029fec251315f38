"""What a feed's SQL may ask for beyond one frame: events sent again, state, contracts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from kit.frames import CONNECTION, MS, T0, frames_of, marker
from kit.lives import TICKERS
from kit.records import Record

from recorder.clock import ulid
from recorder.errors import DataError
from recorder.frame import Frame
from recorder.tables.ingest import Ingest
from recorder.tables.normalise import parse

OTHER = ulid(T0, bytes([2] * 10))

MESSAGES = """
-- step: messages
SELECT *, 'event' AS class, NULL AS reason FROM frames;
"""

TRADES = (
    MESSAGES
    + """
-- table: whales once (symbol, tx)
SELECT
    id.*, 0 AS item, json_extract_string(json, '$.s') AS symbol,
    json_extract_string(json, '$.id') AS tx, num(json_extract_string(json, '$.n')) AS quantity
FROM messages;
"""
)

CONTRACTS = (
    MESSAGES
    + """
-- table: liquidations
SELECT
    id.*, 0 AS item, json_extract_string(json, '$.s') AS symbol,
    num(json_extract_string(json, '$.q')) AS quantity,
    notional(num(json_extract_string(json, '$.q')), num(json_extract_string(json, '$.p')),
             c.contract_size, c.contract_unit) AS notional_usd
FROM messages AS m
LEFT JOIN contracts AS c
    ON c.symbol = json_extract_string(m.json, '$.s')
    AND m.id.recv_ns >= c.from_ns AND m.id.recv_ns < c.to_ns;
"""
)


def sql(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "made.sql"
    path.write_text(text, "utf-8")
    return path


def ingest(tmp_path: Path, text: str, *segments: Sequence[Frame]) -> Record:
    """Segments taken in one after the other, each by an ingest of its own."""
    record = Record(tmp_path / "data")
    for frames in segments:
        record.seal("made", frames)
        assert record.ingest(sql=sql(tmp_path, text)) == len(frames), record.warnings
    return record


def opened(connection: str, at: int, line: str = "A") -> list[Frame]:
    return [marker(0, "open", at, connection, line=line, group="g", url="ws://x/")]


def trades(connection: str, at: int, *named: str) -> list[Frame]:
    payloads = [json.dumps({"s": "X", "id": name, "n": "1"}) for name in named]
    return [
        *opened(connection, at),
        *frames_of(payloads, first_seq=1, recv_ns=at + MS, connection=connection),
    ]


# -- sent again


def test_an_event_that_another_connection_brought_is_left_out(tmp_path: Path) -> None:
    first, again = trades(CONNECTION, T0, "1", "2"), trades(OTHER, T0 + 90_000 * MS, "2", "3")
    for record in (
        ingest(tmp_path / "apart", TRADES, first, again),
        ingest(tmp_path / "together", TRADES, [*first, *again]),
    ):
        assert record.sql("SELECT tx, connection FROM whales ORDER BY tx") == [
            ("1", CONNECTION),
            ("2", CONNECTION),
            ("3", OTHER),
        ]


def test_equal_events_on_one_connection_are_two(tmp_path: Path) -> None:
    record = ingest(
        tmp_path, TRADES, trades(CONNECTION, T0, "1", "1"), trades(OTHER, T0 + 90_000 * MS, "1")
    )
    assert record.sql("SELECT connection FROM whales") == [(CONNECTION,), (CONNECTION,)]


def test_events_without_the_key_are_all_kept(tmp_path: Path) -> None:
    nameless = frames_of(['{"s": "X", "n": "1"}'], first_seq=1, recv_ns=T0 + MS)
    other = frames_of(['{"s": "X", "n": "2"}'], first_seq=1, recv_ns=T0 + 5 * MS, connection=OTHER)
    record = ingest(
        tmp_path, TRADES, [*opened(CONNECTION, T0), *nameless, *opened(OTHER, T0 + MS), *other]
    )
    assert record.sql("SELECT count(*) FROM whales") == [(2,)]


@pytest.mark.parametrize(
    ("heading", "says"),
    [
        ("-- table: nothing once (symbol)", "a table that does not exist: nothing"),
        ("-- table: whales once (symbol, wallets)", "table whales has no column 'wallets'"),
    ],
)
def test_a_heading_that_names_what_is_not_there_is_refused(heading: str, says: str) -> None:
    with pytest.raises(DataError, match=says):
        parse("made", f"{MESSAGES}\n{heading}\nSELECT 1;")


# -- state

STEPS = [
    {"s": "X", "mark": "1", "rate": "0.1"},  # no whole state yet: what it says, and no more
    {"s": "X", "rate": "0.2", "whole": "true"},  # a whole state without a mark: unknown again
    {"s": "X", "mark": "5"},
    {"s": "Y", "rate": "0.7"},
    {"s": "X", "rate": "0.3"},
    {"s": "X", "rate": "0.4", "mark": "6", "whole": "true"},
    {"s": "X", "rate": "0.5"},
]
FUNDING = [
    ("X", 0.1, 1.0),
    ("X", 0.2, None),
    ("Y", 0.7, None),
    ("X", 0.3, 5.0),
    ("X", 0.4, 6.0),
    ("X", 0.5, 6.0),
]


@pytest.mark.parametrize("cut", range(len(STEPS) + 1))
def test_state_goes_on_wherever_a_segment_ends(tmp_path: Path, cut: int) -> None:
    frames = [*opened(CONNECTION, T0), *frames_of(list(map(json.dumps, STEPS)), first_seq=1)]
    segments = [part for part in (frames[: cut + 1], frames[cut + 1 :]) if part]
    record = ingest(tmp_path, TICKERS, *segments)
    found = record.sql("SELECT symbol, rate, mark_price FROM funding ORDER BY seq")
    assert found == FUNDING


def test_state_is_a_connection_s_own_and_ends_with_it(tmp_path: Path) -> None:
    whole = json.dumps({"s": "X", "rate": "0.1", "mark": "5", "whole": "true"})
    first = [*opened(CONNECTION, T0), *frames_of([whole], first_seq=1)]
    close = marker(2, "closed", T0 + 9 * MS, line="A", group="g", reason="x")
    later = T0 + 90_000 * MS
    delta = frames_of(
        ['{"s": "X", "rate": "0.2"}'], first_seq=1, recv_ns=later + MS, connection=OTHER
    )
    record = ingest(tmp_path, TICKERS, [*first, close], [*opened(OTHER, later), *delta])
    found = record.sql("SELECT rate, mark_price FROM funding ORDER BY recv_ns")
    assert found == [(0.1, 5.0), (0.2, None)]
    work = Ingest(record.layout, lambda feed: None)  # type: ignore[arg-type,return-value]
    try:
        kept = work._db.execute("SELECT connection FROM carried_state").fetchall()
    finally:
        work.close()
    assert kept == [(OTHER,)]


def test_a_second_line_punches_no_holes_into_the_state_of_the_first(tmp_path: Path) -> None:
    """Each frame counts once, whichever line it came on; each line's state has seen them all."""
    payloads = [
        json.dumps({"s": "X", "mark": "1", "rate": "0.1", "whole": "true"}),
        json.dumps({"s": "X", "mark": "2"}),
        json.dumps({"s": "X", "rate": "0.3"}),
    ]
    a = [T0 + 10 * MS, T0 + 30 * MS, T0 + 40 * MS]
    b = [T0 + 11 * MS, T0 + 29 * MS, T0 + 41 * MS]  # B is first with the mark, A with the rate
    frames = [
        *opened(CONNECTION, T0),
        *opened(OTHER, T0 + MS, "B"),
        *frames_of(payloads, first_seq=1, recv_ns=a),
        *frames_of(payloads, first_seq=1, recv_ns=b, connection=OTHER),
    ]
    frames.sort(key=lambda frame: frame.recv_ns)
    record = ingest(tmp_path, TICKERS, frames)
    found = record.sql("SELECT rate, mark_price FROM funding ORDER BY recv_ns")
    assert found == [(0.1, 1.0), (0.3, 2.0)]


# -- contracts


def listed(seq: int, at: int, *instruments: dict[str, object]) -> Frame:
    return marker(seq, "instruments", at, OTHER, exchange="venue", instruments=instruments)


def liquidation(seq: int, at: int, symbol: str = "X") -> Frame:
    [found] = frames_of(
        [json.dumps({"s": symbol, "q": "3", "p": "100"})], first_seq=seq, recv_ns=at
    )
    return found


def test_a_contract_is_worth_what_the_list_of_its_time_says(tmp_path: Path) -> None:
    x = {"symbol": "X", "contract_size": 0.01, "contract_unit": "base"}
    y = {"symbol": "Y", "contract_size": 100, "contract_unit": "usd"}
    z = {"symbol": "Z", "contract_size": None, "contract_unit": None}
    segments = [
        [
            *opened(CONNECTION, T0),
            liquidation(1, T0 + 1 * MS),  # before any list: unknown
            listed(0, T0 + 2 * MS, x, y, z),
            liquidation(2, T0 + 3 * MS),
            liquidation(3, T0 + 4 * MS, "Y"),
            liquidation(4, T0 + 5 * MS, "Z"),
        ],
        [
            listed(1, T0 + 6 * MS, x, y, z),
            liquidation(5, T0 + 7 * MS),
            listed(2, T0 + 8 * MS, {**x, "contract_size": 1.0}, y, z),
            liquidation(6, T0 + 9 * MS),
        ],
    ]
    for record in (
        ingest(tmp_path / "apart", CONTRACTS, *segments),
        ingest(tmp_path / "together", CONTRACTS, [*segments[0], *segments[1]]),
    ):
        found = record.sql("SELECT notional_usd FROM liquidations ORDER BY seq")
        assert [value for (value,) in found] == [None, 3.0, 300.0, None, 3.0, 300.0]
        lists = record.sql(
            "SELECT symbol, contract_size, exchange FROM instruments ORDER BY symbol, recv_ns"
        )
        assert lists == [
            ("X", 0.01, "venue"),
            ("X", 1.0, "venue"),
            ("Y", 100.0, "venue"),
            ("Z", None, "venue"),
        ]
        assert record.sql("SELECT count(*) FROM connections") == [(1,)]  # a list is none


def test_a_list_that_is_read_again_is_nothing_new(tmp_path: Path) -> None:
    """As after a failed sync, when capture writes what is in doubt into the next journal, too."""
    segments = []
    for size, seq in ((0.01, 0), (1.0, 1), (1.0, 1), (1.0, 1)):
        some = [
            {"symbol": f"S{n}", "contract_size": size, "contract_unit": "base"} for n in range(500)
        ]
        segments.append([listed(seq, T0 + seq * MS, *some)])
    record = ingest(tmp_path, CONTRACTS, *segments)
    found = record.sql("SELECT seq, count(*) FROM instruments GROUP BY seq ORDER BY seq")
    assert found == [(0, 500), (1, 500)]

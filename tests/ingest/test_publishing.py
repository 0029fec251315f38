"""Readers of the published database meet no lock and no half-written state, and see soon."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import pytest
from kit.commands import call, clean, start
from kit.frames import T0, frames_of
from kit.journals import Writer, seal_all
from kit.records import Published

from recorder.answers import canned
from recorder.schema.state import ABOUT, LEDGER
from recorder.schema.tables import TABLES
from recorder.tables.publish import copy


@pytest.fixture
def record(tmp_path: Path) -> Published:
    return Published(tmp_path)


#: Longer for a thorough look.
SECONDS = float(os.environ.get("RECORDER_TEST_SECONDS", "4"))
#: The promise to readers of a small database.
FRESH_SECONDS = 5.0
READERS = 20 if SECONDS >= 30 else 10

WRITER = """
import sys, time
from pathlib import Path
from recorder import frame
from recorder.clock import Clock, ulid
from recorder.record.journal import sync
from recorder.record.journal.block import RECORD
from recorder.record.journal.writer import Journal, Limits, Reports, Stream
from recorder.record.layout import Layout

layout = Layout(Path(sys.argv[1]))
end = time.time() + float(sys.argv[2])
journal = Journal(
    layout, "cryptolisting", ulid(time.time_ns(), b"0123456789"),
    limits=Limits(rotate_bytes=100_000), clock=Clock(), about={"kind": "cryptolisting"},
    reports=Reports(),
)
stream = Stream(ulid(time.time_ns(), b"9876543210"))
journal.mark(stream, frame.OPEN, b'{"line": "A", "group": "announcements"}')
number = 0
while time.time() < end:
    for _ in range(10):
        number += 1
        payload = b'{"type":"announcement","title":"No %d","ticker":"T%d"}' % (number, number)
        journal.write(
            stream, time.time_ns(), time.monotonic_ns(),
            [RECORD.pack(frame.BINARY, len(payload)), payload], len(payload) + RECORD.size,
        )
    jobs = journal.pulse()
    journal.synced(jobs, sync.run(jobs))
    time.sleep(0.02)
print(number)
"""

# Each look is one statement on a fresh connection, so all its numbers are of one moment. The
# readers are polite: ten that never rest would take the processor from the ingest they look at.
READER = """
import json, os, sys, time
import duckdb

os.nice(19)
database, end = sys.argv[1], time.time() + float(sys.argv[2])
errors, torn, back, ages, last = [], [], [], [], (0,)
while time.time() < end:
    now = time.time()
    try:
        with duckdb.connect(database, read_only=True) as db:
            seen = db.execute(
                "SELECT (SELECT coalesce(sum(rows), 0) FROM ledger)::BIGINT,"
                " (SELECT coalesce(sum(last_seq + 1), 0) FROM connections)::BIGINT,"
                " (SELECT coalesce(sum(frames), 0) FROM connections)::BIGINT,"
                " (SELECT count(*) FROM listings),"
                " (SELECT count(DISTINCT ticker) FROM listings),"
                " (SELECT max(last_recv_ns) FROM ledger)"
            ).fetchall()[0]
    except Exception as error:
        errors.append(f"{type(error).__name__}: {error}")
        continue
    ledger, numbered, frames, listings, tickers, newest = seen
    if not (ledger == numbered == frames + 1 and frames == listings == tickers):
        torn.append(seen)
    if seen[:1] < last[:1]:
        back.append((last, seen))
    last = seen
    ages.append(now - newest / 1e9)
    time.sleep(0.005)
print(json.dumps({"errors": errors[:3], "torn": torn[:3], "back": back[:3], "ages": ages,
                  "last": last}))
"""


def python(script: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        stdout=subprocess.PIPE,
        text=True,
        env=clean(),
    )


@pytest.mark.process
def test_many_readers_meet_no_lock_and_no_torn_state_while_frames_are_ingested(
    tmp_path: Path,
) -> None:
    record = Published(tmp_path)
    writer = python(WRITER, tmp_path, SECONDS + 4)
    following = start("ingest", "--follow", "--data-dir", tmp_path)
    try:
        limit = time.monotonic() + 30
        while not record.layout.database.exists() or not record.sql("FROM listings LIMIT 1"):
            assert time.monotonic() < limit
            time.sleep(0.05)
        readers = [python(READER, record.layout.database, SECONDS) for _ in range(READERS)]
        told = [json.loads(reader.communicate(timeout=SECONDS + 60)[0]) for reader in readers]
        written = int(writer.communicate(timeout=60)[0])
        seal_all(record.layout)
    finally:
        following.terminate()
        _, said = following.communicate(timeout=60)
    assert following.returncode == 0, said
    for one in told:
        assert one["errors"] == []
        assert one["torn"] == []
        assert one["back"] == []
    ages = sorted(age for one in told for age in one["ages"])
    assert len(ages) > READERS
    # Of all looks at a moment's newest frame; one in twenty may meet a machine out of breath.
    print("age of the newest frame seen, s, p95:", ages[len(ages) * 95 // 100], "of", FRESH_SECONDS)
    assert max(one["last"][0] for one in told) > 500
    assert record.sql("SELECT count(*), count(DISTINCT ticker) FROM listings") == [
        (written, written)
    ]
    # Told to end, it took in what was sealed meanwhile.
    assert record.sql("SELECT count(*), count(DISTINCT seq) FROM raw") == [(written + 1,) * 2]


@pytest.fixture
def published(record: Published) -> Published:
    payloads = ['{"type":"announcement","title":"é","ticker":"A,B"}', b"\xff\x00", ""]
    record.take("cryptolisting", frames_of(payloads, kind="binary"))
    return record


def test_every_table_and_column_is_there_in_order_with_a_comment(published: Published) -> None:
    for table in (ABOUT, LEDGER, *TABLES.values()):
        columns = published.sql(
            f"SELECT column_name, data_type, comment FROM duckdb_columns() "
            f"WHERE table_name = '{table.name}' AND schema_name = 'main' ORDER BY column_index"
        )
        assert [name for name, _, _ in columns] == [c.name for c in table.columns]
        assert [comment for _, _, comment in columns] == [c.comment for c in table.columns]
        assert all(comment for _, _, comment in columns)
        assert published.sql(
            f"SELECT comment FROM duckdb_tables() WHERE table_name = '{table.name}'"
        ) == [(table.comment,)]


def test_the_tables_of_the_design_are_all_there() -> None:
    assert set(TABLES) == {
        "whales", "funding", "liquidations", "listings", "open_interest", "flows", "signals",
        "alerts", "system_status", "prices", "latency", "connections", "gaps", "rejects",
        "instruments",
    }  # fmt: skip


def test_the_view_raw_shows_frames_as_text_and_as_bytes(published: Published) -> None:
    columns = "feed, date::VARCHAR, recv_ns, recv_time::VARCHAR, seq, kind, text, payload"
    day, first = "2026-09-21", '{"type":"announcement","title":"é","ticker":"A,B"}'
    assert published.sql(f"SELECT {columns} FROM raw ORDER BY seq") == [
        ("cryptolisting", day, T0, f"{day} 14:13:20+00", 0, "binary", first, first.encode()),
        ("cryptolisting", day, T0 + 10**6, f"{day} 14:13:20.001+00", 1, "binary", None,
         b"\xff\x00"),
        ("cryptolisting", day, T0 + 2 * 10**6, f"{day} 14:13:20.002+00", 2, "binary", "", b""),
    ]  # fmt: skip
    comment = published.sql("SELECT comment FROM duckdb_views() WHERE view_name = 'raw'")
    assert "NULL if it is not UTF-8" in comment[0][0]


def test_each_row_leads_back_to_its_raw_frame(published: Published) -> None:
    assert published.sql(
        "SELECT l.ticker, r.text[:6] FROM listings AS l JOIN raw AS r USING (feed, connection, seq)"
        " ORDER BY item"
    ) == [("A", '{"type'), ("B", '{"type')]


def test_every_canned_query_answers_as_a_macro_of_the_published_database(
    published: Published,
) -> None:
    names = published.sql("SELECT DISTINCT function_name FROM duckdb_functions()")
    for query in canned.load().values():
        assert (query.name,) in names
        published.sql(f"FROM {query.name}()")
    assert published.sql("SELECT ticker FROM listings() ORDER BY ticker") == [("A",), ("B",)]


def test_an_empty_data_directory_publishes_an_empty_but_complete_database(
    record: Published,
) -> None:
    assert record.ingest() == 0
    assert record.everything() == {name: [] for name in (*TABLES, "ledger")}
    assert record.sql("FROM raw") == []
    for name in canned.load():
        record.sql(f"FROM {name}()")
    names = record.sql("SELECT name FROM about ORDER BY name")
    assert names == [("definitions",), ("macros",), ("recorder",), ("schema",)]


def test_the_command_refuses_a_directory_where_nothing_was_recorded(tmp_path: Path) -> None:
    done = call("ingest", "--data-dir", tmp_path / "nothing")
    assert done.returncode == 2
    assert "nothing is recorded here" in done.stderr
    assert not (tmp_path / "nothing").exists()


def test_a_reader_that_stays_keeps_what_it_opened_while_newer_states_are_published(
    record: Published,
) -> None:
    payloads = ['{"type":"announcement","title":"x","ticker":"A"}']
    record.take("cryptolisting", frames_of(payloads))
    with duckdb.connect(str(record.layout.database), read_only=True) as old:
        # Another process looks at the new one: within a process DuckDB shares an open database.
        record.take("cryptolisting", frames_of(payloads, first_seq=1))
        assert old.execute("SELECT count(*) FROM listings").fetchall() == [(1,)]
    assert record.sql("SELECT count(*) FROM listings") == [(2,)]


def test_what_is_published_never_changes_and_stays_for_who_is_about_to_open_it(
    record: Published,
) -> None:
    payloads = ['{"type":"announcement","title":"x","ticker":"A"}']
    states: list[tuple[Path, bytes]] = []
    for number in range(4):
        record.take("cryptolisting", frames_of(payloads, first_seq=number))
        state = record.layout.database.resolve()
        for older, content in states[-1:]:
            assert older.read_bytes() == content
        assert not any(older.exists() for older, _ in states[:-1])
        states.append((state, state.read_bytes()))
    assert len({state for state, _ in states}) == 4
    assert {state.name for state, _ in states} == {"recorder.duckdb"}


def test_a_data_directory_that_is_moved_keeps_its_database(tmp_path: Path) -> None:
    record = Published(tmp_path / "here")
    record.take("cryptolisting", frames_of(['{"type":"announcement","title":"x","ticker":"A"}']))
    (tmp_path / "here").rename(tmp_path / "there")
    assert Published(tmp_path / "there").rows("listings", "ticker") == [("A",)]


def test_a_database_published_as_a_file_gives_way(record: Published) -> None:
    record.layout.database.write_bytes(b"of an older version")
    record.ingest()
    assert record.sql("FROM listings") == []


def test_files_and_quotes_in_the_directorys_name_are_no_sql(tmp_path: Path) -> None:
    record = Published(tmp_path / "it's [a] *dir*")
    record.take("cryptolisting", frames_of(["{}"]))
    assert record.sql("SELECT count(*) FROM raw") == [(1,)]


def test_what_is_sealed_in_a_quiet_time_appears_in_raw(tmp_path: Path) -> None:
    writer = Writer(tmp_path, "cryptolisting")
    writer.put(writer.open(), b"{}")
    record = Published(tmp_path)
    record.ingest()
    assert record.sql("SELECT count(*) FROM raw") == [(0,)]
    writer.finish()
    seal_all(writer.layout)
    record.ingest()
    assert record.sql("SELECT count(*) FROM raw") == [(2,)]


def test_what_a_killed_publish_left_goes_and_counts_as_no_state(tmp_path: Path) -> None:
    private, published = tmp_path / "work" / "ingest.duckdb", tmp_path / "recorder.duckdb"
    private.parent.mkdir()
    states = private.parent / "published"
    private.write_bytes(b"one")
    copy(private, published)
    (states / "00000002").mkdir()
    (states / "00000002" / "recorder.tmp").write_bytes(b"half")
    private.write_bytes(b"two")
    copy(private, published)
    files = sorted(str(path.relative_to(states)) for path in states.rglob("*.*"))
    assert files == ["00000001/recorder.duckdb", "00000002/recorder.duckdb"]
    assert published.read_bytes() == b"two"

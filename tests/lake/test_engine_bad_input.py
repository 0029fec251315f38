"""Files that are damaged, empty or of a newer recorder are left out and listed; others count."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from kit.effort import cases
from kit.records import Published, assert_same, stamped

from recorder.errors import DataError
from recorder.lake import delta
from recorder.lake.place import Place
from recorder.reporter import Reporter
from recorder.schema.raw import RAW
from recorder.tables.rules import Rules

from . import worlds

FEED = "cryptolisting"


@pytest.fixture(params=cases("okx", FEED))
def feed(request: pytest.FixtureRequest) -> str:
    """A feed whose files are taken one by one, and one whose files go together."""
    return str(request.param)


@pytest.fixture
def files(tmp_path: Path, feed: str) -> list[Path]:
    """Four files of a feed."""
    return worlds.cut(Published(tmp_path), feed, worlds.frames(feed), files=4)


def without(root: Path, bad: Path) -> worlds.Tables:
    """What one machine makes of the record without a file."""
    bad.rename(root / "aside")
    found = worlds.local(Published(root))
    (root / "aside").rename(bad)
    return found


@pytest.mark.parametrize("place", cases(2, 0, 3))
def test_a_damaged_file_is_left_out_and_listed(
    files: list[Path], place: int, tmp_path: Path
) -> None:
    bad = files[place]
    whole = bad.read_bytes()
    # A bit within a page: the file opens, and says how many frames it has.
    bad.write_bytes(whole[:300] + bytes([whole[300] ^ 1]) + whole[301:])
    one = worlds.engine(tmp_path)
    done = worlds.take(one)
    assert list(done.skipped) == [bad.stem] and done.files == 3
    assert_same(worlds.lake(one), without(tmp_path, bad))
    again = worlds.take(one)
    assert list(again.skipped) == [bad.stem] and again.files == 0


def test_half_a_file_is_left_out_until_it_is_whole(files: list[Path], tmp_path: Path) -> None:
    last, record = files[-1], Published(tmp_path)
    whole = last.read_bytes()
    last.write_bytes(whole[: len(whole) // 2])
    one = worlds.engine(tmp_path)
    assert list(worlds.take(one).skipped) == [last.stem]
    assert_same(worlds.lake(one), worlds.local(record))
    last.write_bytes(whole)
    assert worlds.take(one).files == 1
    assert_same(worlds.lake(one), worlds.local(record))


def test_a_file_of_a_newer_recorder_is_left_out(files: list[Path], tmp_path: Path) -> None:
    newer = files[-1]
    rows = pq.read_table(newer, partitioning=None).cast(RAW)
    pq.write_table(rows.replace_schema_metadata({"recorder.schema": "2"}), newer)
    one, said = worlds.engine(tmp_path), list[str]()
    one.reporter = Reporter(said.append)
    done = worlds.take(one)
    assert list(done.skipped) == [newer.stem]
    assert "another version (record schema 2" in said[0]
    assert_same(worlds.lake(one), without(tmp_path, newer))


def test_what_is_no_sealed_file_changes_nothing(files: list[Path], tmp_path: Path) -> None:
    expected = worlds.local(Published(tmp_path))
    beside = files[0].parent
    (beside / "notes.parquet").write_text("not ours")
    (beside / f"{files[0].stem}.parquet.1.tmp").write_bytes(b"half")
    empty = files[0].with_name(files[0].name.replace("000001", "000099"))
    pq.write_table(RAW.empty_table(), empty)
    other = files[0].with_name(files[0].name.replace("000001", "000098"))
    pq.write_table(RAW.empty_table().drop_columns("payload"), other)
    one = worlds.engine(tmp_path)
    assert list(worlds.take(one).skipped) == [other.stem]
    assert_same(worlds.lake(one), expected)


def test_a_feed_whose_sql_is_wrong_keeps_no_other_from_its_rows(tmp_path: Path) -> None:
    record = worlds.record(tmp_path, [FEED, "binance"])
    wrong = tmp_path / "wrong.sql"
    wrong.write_text(
        "-- step: messages\nSELECT *, 'event' AS class, NULL AS reason, nothing FROM frames;"
    )

    def rules(feed: str, kind: str) -> Rules:
        return Rules(wrong if feed == "binance" else feed, stamped=stamped(feed))

    one, said = worlds.engine(tmp_path, rules=rules), list[str]()
    one.reporter = Reporter(said.append)
    done = worlds.take(one)
    assert (done.files, len(done.skipped)) == (3, 3)
    assert any("the SQL that normalises 'binance'" in text for text in said)
    found = worlds.lake(one)
    assert {row[0] for row in found["ledger"]} == {FEED}
    one.rules = worlds.rules
    assert worlds.take(one).files == 3
    assert_same(worlds.lake(one), worlds.local(record))


def test_a_feed_without_sql_is_in_the_books_alone(tmp_path: Path) -> None:
    record = worlds.record(tmp_path, [FEED])
    one = worlds.engine(tmp_path, rules=lambda feed, kind: Rules(None, stamped=stamped(feed)))
    assert worlds.take(one).files == 3
    found = worlds.lake(one)
    assert found["connections"] == worlds.local(record)["connections"]
    assert not found["listings"]


def test_tables_of_another_version_are_refused_before_any_work(tmp_path: Path) -> None:
    import deltalake
    import pyarrow as pa

    place = Place.of(str(tmp_path))
    rows = {"name": ["schema", "versions"], "value": ["99", "{}"]}
    deltalake.write_deltalake((place / "about").uri, pa.table(rows))
    with pytest.raises(DataError, match="version 99"), delta.Writer(place):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["about"]

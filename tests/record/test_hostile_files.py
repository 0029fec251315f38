"""Files that are not the recorder's, in every place: each is named, and nothing stops."""

from __future__ import annotations

import resource
import shlex
import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from kit.frames import RUN, T0, frames_of, table
from kit.records import Published

from recorder.bucket.remote import layout_of
from recorder.cli import main
from recorder.clock import NS
from recorder.errors import DataError
from recorder.record import inflated
from recorder.record.layout import Layout, stem
from recorder.record.report import RecordVerdict, Report
from recorder.record.sealed import check, sealed_file
from recorder.record.verify import verify
from recorder.reporter import Reporter
from recorder.tables.ingest import Ingest
from recorder.tables.rules import RulesOf

FEED = "cryptolisting"
DAY = "2026-09-21"
OTHER = "01M81A0000" + "Z" * 16
PLACES = ("journal", f"journal/{FEED}", "raw", f"raw/feed={FEED}", f"raw/feed={FEED}/date={DAY}",
          "heads", f"heads/{FEED}", "work", "work/published", "instruments")  # fmt: skip
LITTER = (".DS_Store", ".nfs000000000001", "Thumbs.db", "a\x1b[31mred")


def other_stem(number: int) -> str:
    return stem(T0 + number * NS, OTHER, number)


def rows(payloads: list[bytes]) -> pa.Table:
    return table(frames_of(payloads, connection=OTHER))


def bomb(path: Path, column: str = "payload") -> None:
    """Write 90 values of 20 MiB that a dictionary holds once."""
    small = rows([b"{}"] * 90)
    value = b"\0" * (20 << 20)
    inside = pa.DictionaryArray.from_arrays(
        pa.array([0] * 90, pa.int32()), pa.array([value], pa.binary())
    )
    plain = small.schema.field(column).type
    at = small.schema.get_field_index(column)
    held = small.set_column(at, pa.field(column, pa.dictionary(pa.int32(), plain), nullable=False),
                            inside.cast(pa.dictionary(pa.int32(), plain)))  # fmt: skip
    # Without Arrow's own schema in the footer a reader sees the plain type.
    pq.write_table(held, path, compression="zstd", store_schema=False)
    assert path.stat().st_size < 20_000


def prefixes(path: Path) -> None:
    """Write 90 values of 20 MiB that have all but their last byte in common."""
    values = [b"\0" * (20 << 20) + bytes([number]) for number in range(3)]
    pq.write_table(
        rows(values), path, compression="zstd", use_dictionary=False,
        column_encoding={"payload": "DELTA_BYTE_ARRAY"},
    )  # fmt: skip


FILES: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: path.write_bytes(b""),
    "noise": lambda path: path.write_bytes(b"PAR1" + bytes(range(256)) * 9 + b"PAR1"),
    "a payload in a dictionary": bomb,
    "a connection in a dictionary": lambda path: bomb(path, "connection"),
    "payloads with a common beginning": prefixes,
    "other columns": lambda path: pq.write_table(pa.table({"a": [1], "b": ["x"]}), path),
    "other types": lambda path: pq.write_table(
        rows([b"{}"]).set_column(2, "seq", pa.array(["0"])), path
    ),
    "a column more": lambda path: pq.write_table(
        rows([b"{}"]).append_column("more", pa.array([1])), path
    ),
    "a column less": lambda path: pq.write_table(rows([b"{}"]).drop_columns(["kind"]), path),
    "a directory": lambda path: (path / "inside").mkdir(parents=True),
}


def put(raw: Path) -> dict[str, Path]:
    """Put a file of each kind under the name of a sealed one, and others under impossible names."""
    day = raw / f"feed={FEED}" / f"date={DAY}"
    day.mkdir(parents=True, exist_ok=True)
    made = {}
    for number, (name, write) in enumerate(FILES.items(), 1):
        made[name] = day / f"{other_stem(number)}.parquet"
        write(made[name])
    zeros = "0" * 26
    names = {
        "an impossible date": f"feed={FEED}/date=2026-99-99/20269999T999999Z-{zeros}-000001"
        ".parquet",
        "an impossible time": f"feed={FEED}/date={DAY}/20260921T256199Z-{zeros}-000001.parquet",
        "another shape": f"feed={FEED}/date={DAY}/part-0001.parquet",
        "another day": f"feed={FEED}/date=2026-09-22/{other_stem(99)}.parquet",
        "deeper": f"feed={FEED}/date={DAY}/more/{other_stem(98)}.parquet",
        "without a feed": "x.parquet",
    }
    for name, at in names.items():
        made[name] = raw / at
        made[name].parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(rows([b"{}"]), made[name])
    return made


def recorded(root: Path) -> Published:
    record = Published(root)
    for number in range(3):
        record.seal(FEED, frames_of([b"{}"] * 4, first_seq=4 * number, recv_ns=T0 + number * NS),
                    kind=FEED)  # fmt: skip
    return record


def litter(root: Path) -> None:
    """Put files that an operating system leaves behind into every directory."""
    for place in PLACES:
        (root / place).mkdir(parents=True, exist_ok=True)
        for name in LITTER:
            (root / place / name).write_bytes(b"\0litter")
    (root / "journal" / FEED / f"{other_stem(50)}.journal").mkdir()


def all_of(report: Report) -> str:
    return "\n".join(f"{one.where} {one.what}" for one in report.findings)


@pytest.fixture(scope="module")
def littered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A record with every foreign file, ingested."""
    record = recorded(tmp_path_factory.mktemp("littered"))
    put(record.layout.raw)
    litter(record.layout.root)
    record.ingest()
    return record.layout.root


def test_every_foreign_file_here_is_named_and_nothing_stops(tmp_path: Path) -> None:
    record = recorded(tmp_path)
    made = put(record.layout.raw)
    litter(tmp_path)
    assert record.ingest() == 12
    assert record.ingest() == 0
    assert record.sql("SELECT count(*) FROM raw") == [(12,)]
    assert record.sql("SELECT sum(frames) FROM connections") == [(12,)]
    told = "\n".join(record.warnings)
    for name in FILES:
        assert str(made[name]) in told or name == "a directory", name
    report = verify(record.layout)
    assert report.verdict is RecordVerdict.WRONG
    for name, path in made.items():
        assert str(path) in all_of(report), name
    for place in PLACES:
        if place.split("/")[0] in {"raw", "journal", "heads"}:
            assert str(tmp_path / place / "Thumbs.db") in all_of(report), place
            assert str(tmp_path / place / ".DS_Store") in all_of(report), place


def test_a_feed_of_an_impossible_name_is_no_feed(tmp_path: Path) -> None:
    record = recorded(tmp_path)
    for place in ("raw/feed=it's", "raw/feed=" + "x" * 65, "journal/a b", "heads/-x"):
        (tmp_path / place / f"date={DAY}").mkdir(parents=True)
        pq.write_table(rows([b"{}"]), tmp_path / place / f"date={DAY}" / f"{other_stem(1)}.parquet")
    (tmp_path / "raw" / "feed=a-file").write_bytes(b"")
    assert record.layout.feeds() == [FEED]
    assert record.ingest() == 12
    report = verify(record.layout)
    assert [feed.feed for feed in report.feeds] == [FEED]
    assert "feed=it's" in all_of(report) and "feed=a-file" in all_of(report)


@pytest.mark.parametrize("command", [
    "status", "health", "verify", "ingest", "ingest --rebuild", "query coverage",
    "replay --speed max", "sql 'SELECT count(*) FROM raw'", "prune --compact", "seal-day",
])  # fmt: skip
def test_no_command_ends_in_an_error_of_its_own(
    littered: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    shutil.copytree(littered, tmp_path, dirs_exist_ok=True, symlinks=True)
    with pytest.raises(SystemExit) as ending:
        main([*shlex.split(command), "--data-dir", str(tmp_path)])
    said = capsys.readouterr().err
    assert "where in the code" not in said
    assert "\x1b" not in said
    assert ending.value.code in {0, 1, 2, 10}


def test_compaction_leaves_what_is_not_the_recorder_s(littered: Path, tmp_path: Path) -> None:
    shutil.copytree(littered, tmp_path, dirs_exist_ok=True, symlinks=True)
    day = tmp_path / "raw" / f"feed={FEED}" / f"date={DAY}"
    before = {path.name for path in day.iterdir()}
    ours = set(Layout(tmp_path).sealed(FEED)) & {stem(T0 + n * NS, RUN, n + 1) for n in range(3)}
    with pytest.raises(SystemExit):
        main(["prune", "--compact", "--data-dir", str(tmp_path)])
    after = {path.name for path in day.iterdir()}
    merged, *others = sorted(f"{name}.parquet" for name in ours)
    assert len(others) == 2
    assert after == before - set(others) and merged in after
    assert (day / f"{other_stem(10)}.parquet" / "inside").is_dir()


def test_every_foreign_object_in_a_bucket_is_named_and_nothing_stops(tmp_path: Path) -> None:
    bucket, home = tmp_path / "bucket", tmp_path / "home"
    recorded(bucket)
    (bucket / "raw").rename(tmp_path / "objects")
    made = put(tmp_path / "objects")
    warnings: list[str] = []
    layout = layout_of(home, (tmp_path / "objects").as_uri(), reporter=Reporter(warnings.append))
    with closing(Ingest(layout, RulesOf(layout), Reporter(warnings.append))) as work:
        assert work.run() == 12
        work.publish()
    told = "\n".join(warnings)
    for name in FILES:
        assert made[name].stem in told or name == "a directory", name
    report = all_of(verify(layout))
    for name, path in made.items():
        assert path.name in report or name == "a directory", name


@pytest.mark.parametrize("column", ["payload", "connection", "kind"])
def test_a_file_that_would_fill_the_memory_is_refused_before_it_is_read(
    tmp_path: Path, column: str
) -> None:
    bomb(tmp_path / "x.parquet", column)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(DataError, match="1,800 MiB of memory; 512 MiB are read at most"):
        check(tmp_path / "x.parquet")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # KiB


def test_rows_that_would_fill_the_memory_are_counted_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.parquet"
    pq.write_table(pa.concat_tables([rows([b""])] * 40_000), path, store_schema=False)
    check(path)
    monkeypatch.setattr(inflated, "MOST_BYTES", 1 << 20)
    with pytest.raises(DataError, match="of memory"):
        check(path)


def test_a_dictionary_of_usual_payloads_is_read(tmp_path: Path) -> None:
    """Files that other programs write have dictionaries."""
    frames = rows([b'{"n":%d}' % (number % 7) * 3000 for number in range(5000)])
    pq.write_table(frames, tmp_path / "x.parquet", compression="zstd", store_schema=False)
    with sealed_file(tmp_path / "x.parquet") as file:
        assert file.read().equals(frames)

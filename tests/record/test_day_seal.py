"""Day seals: made of a record, held against it later, signed by a key that openssl made."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from recorder.cli import cli
from recorder.clock import DAY_NS, NS, day
from recorder.errors import DataError, UsageError
from recorder.record import day_seal, heads, seal
from recorder.record.layout import Layout
from recorder.tables import private, prune
from recorder.tables.prune import Choice

from .test_tampering import (
    FEED,
    OTHER,
    T0,
    column,
    compacted,
    ingest,
    made,
    path,
    rewritten,
    write,
)

pytest.importorskip("cryptography")
DAY = day(T0)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(one) for one in arguments])


def sealed(layout: Layout, *more: object) -> Path:
    """Seal the day of one feed and return a copy that the record's writer cannot reach."""
    done = run("seal-day", "--data-dir", layout.root, "--day", DAY, "--feed", FEED, *more)
    assert done.exit_code == 0, done.output
    [name] = done.stdout.split()
    return Path(shutil.copyfile(name, layout.root.parent / f"{FEED} {DAY}.json"))


def against(layout: Layout, file: Path, *more: object) -> int:
    return run("verify", "--data-dir", layout.root, "--against", file, *more).exit_code


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return made(tmp_path / "data")


def test_a_seal_says_what_the_day_holds(layout: Layout) -> None:
    told = json.loads(sealed(layout).read_bytes())
    body = told["body"]
    assert (body["feed"], body["day"]) == (FEED, DAY)
    assert (body["frames"], body["kinds"]) == (120, {"text": 120})
    assert [one[:2] for one in body["segments"]] == [[s, 20] for s in sorted(layout.sealed(FEED))]
    assert {one[0]: one[2] for one in body["segments"]} == {
        stem: heads.digest_of(layout, FEED, stem) for stem in layout.sealed(FEED)
    }
    # Another program finds the same root: the body as JSON with sorted keys and without spaces.
    text = json.dumps(body, sort_keys=True, separators=(",", ":"))
    assert hashlib.sha256(text.encode()).hexdigest() == told["root"]


def test_it_holds_for_the_record_merged_moved_and_pruned(layout: Layout, tmp_path: Path) -> None:
    file = sealed(layout)
    assert against(layout, file) == 0
    compacted(layout)
    assert against(layout, file) == 0
    shutil.copytree(layout.root, tmp_path / "elsewhere", symlinks=True)
    assert against(Layout(tmp_path / "elsewhere"), file) == 0
    with private.claimed(layout), closing(private.connect(layout)) as db:
        limit = T0 + 2 * DAY_NS
        prune.apply(db, prune.plan(db, layout, limit, Choice(raw_files=True)), limit)
    assert layout.sealed(FEED) == [] and against(layout, file) == 0
    for name in heads.runs(layout, FEED):
        heads.path_of(layout, FEED, name).unlink()
    assert against(layout, file) == 5  # pruned on purpose; but no head has the digests


CHANGES: dict[str, Callable[[Layout], object]] = {
    "a payload": lambda at: rewritten(path(at, 1), column("payload", 3, lambda _: b"{}")),
    "the last file removed": lambda at: path(at, -1).unlink(),
    "all removed": lambda at: shutil.rmtree(at.raw / f"feed={FEED}"),
    "frames added": lambda at: (write(at, FEED, T0 + 7200 * NS), seal.main([str(at.root)])),
}


@pytest.mark.parametrize("change", CHANGES)
def test_it_knows_better_than_a_writer_who_makes_everything_fit(
    change: str, layout: Layout
) -> None:
    """The record is changed and its heads are made again: by itself it is whole."""
    file = sealed(layout)
    CHANGES[change](layout)
    # What the heads of the changed record would be, had it been recorded like that.
    shutil.rmtree(layout.heads)
    for feed in (FEED, OTHER):
        for stem in layout.sealed(feed):
            forge(layout, feed, stem)
    layout.database.unlink()
    shutil.rmtree(layout.work)
    assert run("verify", "--data-dir", layout.root).exit_code == 0
    assert against(layout, file) == 1


def forge(layout: Layout, feed: str, stem: str) -> None:
    from recorder.record.digest import digests_in
    from recorder.record.footers import footer

    file = layout.parquet(feed, stem)
    known = footer(file)
    origin = heads.Origin(*(known.about.get(name, "") for name in heads.Origin._fields))
    for one, digest in digests_in(file).items():
        with heads.claimed(layout, feed):
            segment = heads.Segment(one, known.rows, digest)
            heads.note_sealed(layout, feed, segment, origin, lives=False)


def test_a_seal_beside_the_heads_is_compared_by_every_verification(layout: Layout) -> None:
    sealed(layout)
    assert run("verify", "--data-dir", layout.root).exit_code == 0
    write(layout, FEED, T0 + 7200 * NS)
    assert seal.main([str(layout.root)]) == 0
    assert run("verify", "--data-dir", layout.root).exit_code == 1
    again = run("seal-day", "--data-dir", layout.root, "--day", DAY, "--feed", FEED)
    assert isinstance(again.exception, DataError) and "other frames" in str(again.exception)


def openssl(*arguments: object) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


@pytest.mark.process
@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_a_signature_is_one_that_openssl_accepts_and_another_key_is_refused(
    layout: Layout, tmp_path: Path
) -> None:
    keys = [tmp_path / "a.key", tmp_path / "b.key"]
    for key in keys:
        openssl("genpkey", "-algorithm", "ed25519", "-out", key)
        openssl("pkey", "-in", key, "-pubout", "-out", key.with_suffix(".pub"))
    file = sealed(layout, "--sign", keys[0])
    told = json.loads(file.read_bytes())
    (tmp_path / "root").write_text(told["root"])
    (tmp_path / "signature").write_bytes(__import__("base64").b64decode(told["signature"]["value"]))
    openssl(
        "pkeyutl", "-verify", "-pubin", "-inkey", keys[0].with_suffix(".pub"), "-rawin",
        "-in", tmp_path / "root", "-sigfile", tmp_path / "signature",
    )  # fmt: skip
    assert against(layout, file, "--key", keys[0].with_suffix(".pub")) == 0
    assert against(layout, file, "--key", keys[1].with_suffix(".pub")) == 1
    told["body"]["frames"] += 1
    file.write_text(json.dumps(told))
    assert against(layout, file) == 1  # the root is not that of the body
    told["root"] = day_seal.load(file).body.root
    file.write_text(json.dumps(told))
    assert against(layout, file) == 1  # the signature is of another root
    del told["signature"]
    file.write_text(json.dumps(told))
    assert against(layout, file, "--key", keys[0].with_suffix(".pub")) == 1


def test_what_cannot_be_sealed_or_compared_is_an_error(layout: Layout, tmp_path: Path) -> None:
    def error(*arguments: object) -> str:
        done = run(*arguments, "--data-dir", layout.root)
        assert isinstance(done.exception, DataError | UsageError), done.output
        return str(done.exception)

    assert "nothing was recorded on" in error("seal-day", "--day", "2001-01-01")
    assert "did you mean 'mine'" in error("seal-day", "--day", DAY, "--feed", "mime")
    (tmp_path / "key").write_text("no key")
    assert "Ed25519" in error("seal-day", "--day", DAY, "--sign", tmp_path / "key")
    assert "is not a day seal" in error("verify", "--against", tmp_path / "key")
    assert "--key" in error("verify", "--key", tmp_path / "key")
    write(layout, FEED, T0 + 7200 * NS)
    assert "are not sealed yet" in error("seal-day", "--day", DAY, "--feed", FEED)
    ingest(layout)

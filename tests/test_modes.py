"""What a recorder creates is its owner's, or also its group's: no other user holds its locks."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from click.testing import CliRunner
from kit.journals import Writer, eventful

from recorder import durable
from recorder.cli import cli

FEED = "smartmoney"


@pytest.fixture(autouse=True)
def umask() -> Iterator[None]:
    """A user whose files everybody may read."""
    before = os.umask(0o022)
    yield
    os.umask(before)


def test_a_lock_that_others_may_not_open_cannot_be_held_by_them(tmp_path: Path) -> None:
    durable.keep_private(group_may_read=False)
    writer = Writer(tmp_path, FEED)
    writer.put(writer.open(), b"a frame")
    lock = writer.layout.journal_dir(FEED) / ".lock"
    os.close(durable.claim(lock, "a test"))
    files = [lock, *writer.layout.journal_dir(FEED).glob("*.journal")]
    assert len(files) == 2
    assert [path.stat().st_mode & 0o777 for path in files] == [0o600, 0o600]


@pytest.mark.parametrize(
    ("group_may_read", "others"),
    [(False, stat.S_IRWXG | stat.S_IRWXO), (True, stat.S_IWGRP | stat.S_IRWXO)],
)
def test_what_commands_create_is_not_readable_by_others(
    group_may_read: bool, others: int, tmp_path: Path
) -> None:
    data, config = tmp_path / "data", tmp_path / "recorder.toml"
    config.write_text(f"group_may_read = {str(group_may_read).lower()}\n")
    writer = Writer(data, FEED)
    eventful(writer, Random(1), 20)
    writer.finish()
    before = set(data.rglob("*"))
    for command in (["ingest"], ["prune", "--older-than", "1d", "--tables"]):
        done = CliRunner().invoke(cli, [*command, "--config", str(config), "--data-dir", str(data)])
        assert done.exit_code == 0, done.output
    made = [path for path in data.rglob("*") if path not in before and not path.is_symlink()]
    assert len(made) > 3
    for path in made:
        mode = path.stat().st_mode
        assert not mode & others, (path, oct(mode))
        assert group_may_read == bool(mode & stat.S_IRGRP), (path, oct(mode))

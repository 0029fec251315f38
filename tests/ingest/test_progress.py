"""Long work says how far it is: how much waits, how fast it goes, how long it still takes."""

from __future__ import annotations

import os
import pty
import subprocess
from pathlib import Path

import pytest
from kit.commands import clean, command
from kit.frames import T0, events, frames_of
from kit.records import Published

from recorder.cli.progress import line
from recorder.tables.backlog import recorded, rows, waiting

FRAMES = frames_of(events("binance") * 20)


@pytest.mark.parametrize(
    ("done", "total", "seconds", "said"),
    [
        (1_000_000, 10_000_000, 2.0, "1,000,000 of 10,000,000 frames, 500,000/s, 18s left"),
        (10, 1_000, 10.0, "10 of 1,000 frames, 1/s, 16m30s left"),
        (1, 10_000, 1.0, "1 of 10,000 frames, 1/s, 2h46m left"),
        (0, 5, 1.0, "0 frames, 0/s"),
        (5, 5, 1.0, "5 frames, 5/s"),
        (7, 5, 1.0, "7 frames, 7/s"),  # more came meanwhile
        (7, 0, 0.0, "7 frames, 7,000,000,000/s"),
    ],
)
def test_progress_in_words(done: int, total: int, seconds: float, said: str) -> None:
    assert line("ingest", done, total, seconds) == f"ingest: {said}"


def test_what_waits_is_what_the_tables_do_not_have(tmp_path: Path) -> None:
    record = Published(tmp_path)
    record.seal("binance", FRAMES)
    assert waiting(record.layout) == recorded(record.layout) == len(FRAMES)
    record.ingest()
    assert waiting(record.layout) == 0 and recorded(record.layout) == len(FRAMES)
    later = frames_of(events("binance"), first_seq=len(FRAMES), recv_ns=T0 + 10**12)
    path = record.seal("binance", later)
    record.seal("smartmoney", frames_of(events("smartmoney")))
    assert waiting(record.layout) == len(later) + len(events("smartmoney"))
    assert recorded(record.layout, ["smartmoney"]) == len(events("smartmoney"))
    path.write_bytes(b"no Parquet")
    assert rows([path, tmp_path / "gone.parquet"]) == 0


def on_a_terminal(*arguments: str | Path, term: str) -> str:
    """What a real process writes to a terminal as its stderr."""
    ours, theirs = pty.openpty()
    environ = clean() | {"TERM": term, "COLUMNS": "100"}
    with subprocess.Popen(
        command(*arguments), stdout=subprocess.DEVNULL, stderr=theirs, env=environ
    ) as child:
        os.close(theirs)
        said = bytearray()
        while True:
            try:
                some = os.read(ours, 65_536)
            except OSError:  # Linux says so when the last writer is gone
                break
            if not some:
                break
            said += some
    os.close(ours)
    assert child.returncode == 0, said.decode()
    return said.decode()


@pytest.mark.process
def test_a_terminal_has_a_bar_and_everything_else_plain_lines(tmp_path: Path) -> None:
    for number, (term, drawn) in enumerate({"xterm": True, "dumb": False}.items()):
        record = Published(tmp_path / str(number))
        record.seal("binance", FRAMES)
        said = on_a_terminal("ingest", "--data-dir", record.layout.root, term=term)
        assert (f"ingest: {len(FRAMES)} frames, " in said) == drawn
        assert ("\x1b[" in said) == drawn
        assert f"{len(FRAMES)} frames ingested into" in said.replace("\r\n", "")

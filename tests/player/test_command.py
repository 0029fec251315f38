"""`recorder replay` at the command line: what it prints, what it refuses."""

from __future__ import annotations

import base64
import json
import socket
from pathlib import Path

import pytest
from ingest.records import recorder, start

from .records import MS, T0, frames_of, write

pytestmark = pytest.mark.process


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    frames = [*frames_of([b'{"n":1}']), *frames_of([b"\xff\x00"], at=T0 + MS, seq=1, kind="binary")]
    write(tmp_path, "mine", frames)
    return tmp_path


def test_frames_are_printed_as_json_lines_or_as_they_came(mine: Path) -> None:
    done = recorder("replay", "--data-dir", mine)
    assert done.returncode == 0
    assert done.stderr == ""
    first, second = map(json.loads, done.stdout.splitlines())
    assert first["text"] == '{"n":1}'
    assert (first["recv_ns"], first["feed"], first["kind"]) == (T0, "mine", "text")
    assert base64.b64decode(second["base64"]) == b"\xff\x00"
    raw = recorder("replay", "--data-dir", mine, "--format", "raw", "--to", str(T0 + MS))
    assert raw.stdout == '{"n":1}\n'


def test_who_reads_only_the_beginning_meets_no_error(sample: Path) -> None:
    child = start("replay", "--data-dir", sample)
    assert child.stdout is not None
    assert child.stderr is not None
    assert json.loads(child.stdout.readline())["kind"] == "open"
    child.stdout.close()
    assert child.wait(30) == 0
    assert child.stderr.read() == ""
    child.stderr.close()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--feed", "mien"], 2, "did you mean 'mine'"),
        (["--from", "soon"], 2, "'soon' is not a time"),
        (["--from", "2026-01-02", "--to", "2026-01-01"], 2, "empty range"),
        (["--from", "2026-01-01", "--to", "2026-01-02"], 1, "the next came at 2026-09-21"),
        (["--speed", "0"], 2, "'0' is not a speed"),
        (["--channel", "x"], 2, "name no channels"),
        (["--drops"], 2, "--serve"),
        (["--serve", "9000"], 2, "HOST:PORT"),
        (["--serve", "127.0.0.1:99999"], 2, "HOST:PORT"),
        (["--serve", "0.0.0.0:0"], 2, "--key"),
        (["--serve", "127.0.0.1:0", "--serve", "127.0.0.1:0"], 2, "2 addresses for 1 feeds"),
        (["--serve", "127.0.0.1:0", "--channel", "x"], 2, "--channel cannot be used with --serve"),
        (["--serve", "127.0.0.1:0", "--tls", __file__], 2, "not a PEM file"),
        (
            ["--serve", "127.0.0.1:0", "--from", "2026-01-01", "--to", "2026-01-02"],
            1,
            "nothing was",
        ),
    ],
)
def test_what_cannot_be_is_refused(
    mine: Path, arguments: list[str], code: int, message: str
) -> None:
    done = recorder("replay", "--data-dir", mine, *arguments)
    assert message in done.stderr
    assert done.returncode == code
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


def test_a_port_in_use_is_named(mine: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = recorder("replay", "--data-dir", mine, "--serve", f"127.0.0.1:{port}")
    assert done.returncode == 1
    assert f"127.0.0.1:{port}: the port is in use" in done.stderr


def test_it_serves_until_it_is_stopped(mine: Path) -> None:
    child = start("replay", "--data-dir", mine, "--serve", "127.0.0.1:0", "--from-now")
    assert child.stdout is not None
    assert child.stdout.readline().startswith("mine ws://127.0.0.1:")
    assert child.stdout.readline().startswith("control ws://127.0.0.1:")
    child.terminate()
    _, said = child.communicate(timeout=30)
    assert child.returncode == 0
    assert "FRAMES ARE ALTERED" in said

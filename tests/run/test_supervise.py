"""When a child is started again, and what is said of it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.captures import eventually

from recorder.backoff import Backoff
from recorder.supervision import supervise
from recorder.supervision.child import ChildSpec
from recorder.supervision.stderr import StderrWriter, line_format
from recorder.supervision.supervise import NoRestart, Policy, Restart
from recorder.supervision.supervisor import Supervisor

from .runs import alive

pytestmark = pytest.mark.process

CODES = st.integers(-64, 255).filter(lambda code: code not in supervise.FINAL)


@given(CODES, st.floats(0, 59), st.integers(0, 100), st.floats(0, 1, exclude_max=True))
def test_what_dies_is_started_again_later_each_time(
    code: int, ran: float, failures: int, dice: float
) -> None:
    decided = supervise.next_step(code, ran, failures, Policy(), lambda: dice)
    assert isinstance(decided, Restart)
    assert decided.failures == failures + 1
    assert 0 <= decided.delay <= min(30, 0.5 * 2**failures)


@given(CODES, st.floats(60, 1e6), st.integers(0, 100))
def test_one_that_had_been_well_is_started_again_soon(code: int, ran: float, failures: int) -> None:
    decided = supervise.next_step(code, ran, failures, Policy(), lambda: 0.99)
    assert isinstance(decided, Restart)
    assert decided.failures == 1
    assert decided.delay <= 0.5


@pytest.mark.parametrize("code", [2, 4])
def test_what_a_restart_cannot_change_is_left(code: int) -> None:
    decided = supervise.next_step(code, 1e6, 0, Policy(), lambda: 0.5)
    assert isinstance(decided, NoRestart)
    assert decided.why


def test_the_back_off_is_full_jitter() -> None:
    backoff = Backoff(1.0, 60.0)
    assert [backoff.delay(n, lambda: 1.0) for n in (1, 2, 3, 7, 1_000)] == [1, 2, 4, 60, 60]
    assert backoff.delay(7, lambda: 0.0) == 0


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (0, "exit code 0"),
        (3, "exit code 3"),
        (-9, "killed by SIGKILL"),
        (-99, "killed by signal 99"),
    ],
)
def test_an_exit_code_has_words(code: int, words: str) -> None:
    assert supervise.exit_text(code) == words


def test_the_first_in_the_flow_that_failed_gives_the_exit_code() -> None:
    assert supervise.exit_code({"capture": 0, "ingest": 0}) == 0
    assert supervise.exit_code({"capture": 3, "ingest": 1}) == 3
    assert supervise.exit_code({"capture": 0, "ingest": -9, "serve": 2}) == 1


# -- with children


class Said:
    """A log that keeps what it is told."""

    def __init__(self, **bound: Any) -> None:
        self.lines: list[dict[str, Any]] = []
        self._bound = bound

    def bind(self, **more: Any) -> Said:
        bound = Said(**self._bound, **more)
        bound.lines = self.lines
        return bound

    def info(self, event: str, **more: Any) -> None:
        self.lines.append({"event": event, **self._bound, **more})

    warning = error = info

    def count(self, event: str, name: str) -> int:
        lines = [line for line in self.lines if event in line["event"]]
        return sum(line.get("process") == name for line in lines)


def recorder(name: str, *arguments: str, stage: int = 0) -> ChildSpec:
    return ChildSpec(name, arguments, stage)


async def test_wrong_settings_of_the_first_end_the_whole_with_its_code() -> None:
    said = Said()
    specs = [recorder("first", "query", "nonsense"), recorder("other", "feeds", stage=1)]
    assert await Supervisor(specs, lambda *_: None, said).run() == 2
    assert said.count("ended; not restarting", "first") == 1
    assert said.count("started", "first") == 1


async def test_a_child_that_ended_as_final_is_restarted_after_a_hang_up() -> None:
    said, heard = Said(), list[tuple[str, str]]()
    specs = [recorder("first", "feeds"), recorder("other", "query", "nonsense", stage=1)]
    policy = Policy(Backoff(first=0.01, most=0.01))
    supervisor = Supervisor(
        specs, lambda name, line: heard.append((name, line)), said, policy=policy
    )
    running = asyncio.create_task(supervisor.run())
    await eventually(lambda: said.count("died; restarting", "first") >= 2)
    await eventually(lambda: said.count("ended; not restarting", "other") == 1)
    supervisor.hang_up()
    await eventually(lambda: said.count("ended; not restarting", "other") == 2)
    supervisor.stop()
    assert await running == 2
    assert ("first", "binance") in [(name, line.split()[0]) for name, line in heard if line.split()]
    assert any(name == "other" and "nonsense" in line for name, line in heard)


def test_a_child_whose_parent_is_gone_does_not_begin() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "recorder.cli.child", "999999999", "feeds"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert "the supervisor (pid 999999999) is gone" in done.stderr


def test_a_child_dies_with_its_parent(tmp_path: Path) -> None:
    code = (
        "import os, subprocess, sys, time\n"
        "command = [sys.executable, '-m', 'recorder.cli.child', str(os.getpid()), 'simulate',\n"
        "           'cryptolisting', '--port', '0']\n"
        "child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)\n"
        "child.stdout.readline()\n"  # it has begun
        "open(sys.argv[1] + '/new', 'w').write(str(child.pid))\n"
        "os.rename(sys.argv[1] + '/new', sys.argv[1] + '/pid')\n"
        "time.sleep(600)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)])
    try:
        asyncio.run(eventually((tmp_path / "pid").exists))
        child = int((tmp_path / "pid").read_text())
        assert alive(child)
        parent.kill()
        asyncio.run(eventually(lambda: not alive(child)))
    finally:
        parent.kill()
        parent.wait()


# -- output


def test_a_line_has_its_childs_name_and_cannot_pretend_to_be_anothers() -> None:
    text = line_format(json=False)
    assert text("ingest", "hello") == "ingest  | hello\n"
    assert text("ingest", "\x1b[2Jcapture | x\r") == "ingest  | \\x1b[2Jcapture | x\\r\n"


def test_a_json_line_gets_its_process_and_any_other_becomes_one() -> None:
    text = line_format(json=True)
    assert text("serve", '{"event":"x","n":1}') == '{"process":"serve","event":"x","n":1}\n'
    assert text("serve", "[1]") == '{"process":"serve","event":"[1]","level":"info"}\n'
    assert text("serve", "plain") == '{"process":"serve","event":"plain","level":"info"}\n'


def test_nobody_waits_for_a_standard_error_that_is_not_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reader, written = os.pipe()
    with open(written, "w", encoding="utf-8") as stuck:  # noqa: PTH123 - a descriptor
        monkeypatch.setattr(sys, "stderr", stuck)
        writer = StderrWriter(most=100)
        for _ in range(10_000):
            writer.write("x" * 1_000 + "\n")  # far more than the pipe takes
        collected: list[bytes] = []

        def read() -> None:
            while data := os.read(reader, 1 << 16):
                collected.append(data)

        reading = threading.Thread(target=read)
        reading.start()
        writer.write("last\n")
        writer.close()
        writer._thread.join(30)
    reading.join(30)
    os.close(reader)
    text = b"".join(collected).decode()
    assert "lines were dropped: nothing read them" in text
    assert text.count("x" * 1_000) < 10_000

"""`recorder` on its command line: as a process, or as a call within the test's process.

A call costs a fraction of a process, which must load Python and DuckDB first. Start a process where
the test is about one: signals, its end, what it imports, several at once.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest

from recorder.cli import main


def clean() -> dict[str, str]:
    """Return the environment without the settings of this machine's own recorder."""
    return {k: v for k, v in os.environ.items() if not k.startswith("RECORDER_")}


def command(*arguments: str | Path) -> list[str]:
    """Return the command line of a `recorder` process."""
    return [sys.executable, "-m", "recorder", *map(str, arguments)]


def start(*arguments: str | Path) -> subprocess.Popen[str]:
    """Start a `recorder` process."""
    return subprocess.Popen(
        command(*arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=clean()
    )


def recorder(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a `recorder` process to its end, at most 60 s."""
    return subprocess.run(
        command(*arguments), capture_output=True, text=True, check=False, env=clean(), timeout=60
    )


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a command ended, and what it wrote."""

    returncode: int
    stdout: str
    stderr: str


def call(*arguments: str | Path, **environment: str) -> Outcome:
    """Run a command line to its end within this process, with no settings but these variables."""
    out, err = _stream(), _stream()
    code = 0
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        for name in [name for name in os.environ if name.startswith("RECORDER_")]:
            patch.delenv(name)
        for name, value in environment.items():
            patch.setenv(name, value)
        try:
            main(list(map(str, arguments)))
        except SystemExit as ending:
            code = int(ending.code or 0)
    return Outcome(code, _text(out), _text(err))


def _stream() -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(), "utf-8", newline="\n", write_through=True)


def _text(stream: io.TextIOWrapper) -> str:
    stream.flush()
    content = stream.buffer.getvalue()  # type: ignore[attr-defined]
    return content.decode().replace("\r\n", "\n")

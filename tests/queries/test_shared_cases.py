"""Cases that others wrote, with their right answers, run by their own runner where they are."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from kit.recordings import FRAMES

CASES = FRAMES.parent / "cases" / "answers"

pytestmark = pytest.mark.process


@pytest.mark.skipif(not CASES.is_dir(), reason="the cases are not here")
def test_every_case_has_its_right_answer(tmp_path: Path) -> None:
    cases = sorted(map(str, CASES.glob("*.jsonl")))
    program = Path(sys.executable).with_name("recorder")
    done = subprocess.run(
        [sys.executable, str(CASES / "run_quant.py"), str(program), str(tmp_path / "work"), *cases],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(done.stdout.splitlines()) > len(cases) > 10

"""The wheel is complete: what a checkout can do, an installed package can do."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def run(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run(
        [str(c) for c in command], cwd=cwd, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "build", "--wheel", "--outdir", out, ROOT, cwd=ROOT)
    return next(out.glob("*.whl"))


def test_the_wheel_holds_every_query_once(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    inside = sorted(n.removeprefix("recorder/queries/") for n in names if n.endswith(".sql"))
    here = sorted(str(p.relative_to(ROOT / "queries")) for p in (ROOT / "queries").rglob("*.sql"))
    assert inside == here


def test_the_wheel_holds_the_page_and_the_licence_of_what_it_contains(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    page = [p for p in (ROOT / "recorder/serve/page").rglob("*") if p.is_file()]
    assert {str(p.relative_to(ROOT)) for p in page} <= names
    assert [name for name in names if "uplot" in name and name.endswith("/LICENSE")]


def test_the_wheel_installed_into_an_empty_environment_answers_a_query(
    wheel: Path, tmp_path: Path
) -> None:
    run(sys.executable, "-m", "venv", tmp_path / "env", cwd=tmp_path)
    bin_dir = tmp_path / "env" / "bin"
    run(bin_dir / "pip", "install", "--quiet", "--disable-pip-version-check", wheel, cwd=tmp_path)
    shutil.copytree(ROOT / "data" / "sample" / "raw", tmp_path / "data" / "raw")
    run(bin_dir / "recorder", "ingest", cwd=tmp_path)
    answer = run(
        bin_dir / "recorder",
        "query",
        "listings",
        "-p",
        "limit",
        "3",
        "--format",
        "csv",
        cwd=tmp_path,
    )
    header, *rows = answer.splitlines()
    assert "ticker" in header.split(",")
    assert len(rows) == 3
    where = run(bin_dir / "python", "-c", "import recorder; print(recorder.__file__)", cwd=tmp_path)
    assert Path(where.strip()).is_relative_to(tmp_path)

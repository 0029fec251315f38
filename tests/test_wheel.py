"""The wheel is complete: what a checkout can do, an installed package can do."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from email.parser import Parser
from pathlib import Path

import pytest

from recorder.errors import DISTRIBUTION, install_hint
from recorder.version import __version__

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]

#: A command or a requirement that installs what the package index calls `recorder`.
ANOTHER_PROGRAM = re.compile(
    r"""(?<![\w-])recorder\[[a-z]              # recorder[plot]
    |\bpipx?\s+(?:un)?install(?:\s+-[\w-]+)*\s+['"]?recorder(?![\w/.-])
    |\buvx?\s+(?:add\s+|tool\s+run\s+|--from\s+)?['"]?recorder\b  # uvx recorder
    """,
    re.VERBOSE,
)


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


@pytest.mark.process
def test_the_wheel_has_the_name_the_version_and_the_extras(wheel: Path) -> None:
    assert wheel.name == f"feed_recorder-{__version__}-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as archive:
        [name] = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        metadata = Parser().parsestr(archive.read(name).decode())
    assert (metadata["Name"], metadata["Version"]) == (DISTRIBUTION, __version__)
    extras = set(metadata.get_all("Provides-Extra", []))
    assert extras == set(PROJECT["optional-dependencies"])
    required = metadata.get_all("Requires-Dist", [])
    assert "matplotlib>=3.10; extra == 'notebook'" in required  # the extras' own names resolve
    assert not [one for one in required if "recorder" in one]


def texts() -> Iterator[tuple[Path, str]]:
    """Every text file of the repository, but for this one."""
    places = ["recorder", "queries", "docs", "deploy", "examples", "benchmarks", "tests", ".ci"]
    paths = [path for place in places for path in (ROOT / place).rglob("*") if path.is_file()]
    paths += [path for path in ROOT.iterdir() if path.suffix in {".md", ".toml"}]
    for path in [*paths, ROOT / "Makefile"]:
        if path != Path(__file__) and path.suffix not in {".pyc", ".png", ".parquet"}:
            yield path, path.read_text("utf-8", errors="replace")


def test_no_text_installs_the_other_program_that_the_index_calls_recorder() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{text.count(chr(10), 0, match.start()) + 1}: {match[0]}"
        for path, text in texts()
        for match in ANOTHER_PROGRAM.finditer(text)
    ]
    assert found == []


@pytest.mark.parametrize(
    "text",
    [
        "pip install recorder",
        "pip install --upgrade recorder\n",
        "pip install 'recorder[plot]'",
        '"recorder[lake,plot,tui]",',
        "pip uninstall --yes recorder",
        "pip install\n'recorder'",
        "uvx recorder demo",
    ],
)
def test_the_search_finds_every_way_of_installing_it(text: str) -> None:
    assert ANOTHER_PROGRAM.search(text)
    assert not ANOTHER_PROGRAM.search(text.replace("recorder", "feed-recorder"))


def test_every_extra_that_a_hint_names_exists() -> None:
    named = re.compile(r"feed-recorder\[([\w,]+)\]|install_hint\(['\"](\w+)['\"]\)")
    extras = {
        extra
        for _, text in texts()
        for match in named.finditer(text)
        for extra in (match[1] or match[2]).split(",")
    }
    assert {"plot", "lake", "spark", "tui"} <= extras <= set(PROJECT["optional-dependencies"])
    assert install_hint("plot") == "pip install 'feed-recorder[plot]'"
    assert PROJECT["name"] == DISTRIBUTION


@pytest.mark.process
def test_the_wheel_holds_every_query_once(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    inside = sorted(n.removeprefix("recorder/queries/") for n in names if n.endswith(".sql"))
    here = sorted(str(p.relative_to(ROOT / "queries")) for p in (ROOT / "queries").rglob("*.sql"))
    assert inside == here


@pytest.mark.process
def test_the_wheel_holds_the_page_and_the_licence_of_what_it_contains(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    page = [p for p in (ROOT / "recorder/serve/page").rglob("*") if p.is_file()]
    assert {str(p.relative_to(ROOT)) for p in page} <= names
    assert [name for name in names if "uplot" in name and name.endswith("/LICENSE")]


@pytest.mark.process
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

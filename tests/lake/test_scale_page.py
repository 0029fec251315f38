"""docs/scale.md: its tables are what the figures give, and its code runs."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from kit import lakes
from kit.pages import ROOT, generated

from benchmarks import sizing
from benchmarks.fit import Cost, cores_needed, fit, pays_off
from recorder.lake import read

from .conftest import Both

PAGE = ROOT / "docs/scale.md"
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
LAKE = "s3://bucket/tables"


def block(word: str) -> str:
    """The one block of Python on the page that has this word."""
    [found] = [text for text in BLOCKS if word in text]
    return found


def run(*words: str, url: str) -> dict[str, Any]:
    """What blocks of the page leave behind, with a lake in place of the bucket's."""
    names: dict[str, Any] = {}
    for word in ("import recorder", "import json", *words):
        exec(compile(block(word).replace(LAKE, url), f"docs/scale.md: {word}", "exec"), names)
    return names


@pytest.fixture
def copy(both: Both, tmp_path: Path) -> str:
    return str(shutil.copytree(both.tables_url, tmp_path / "lake"))


# --- the tables


@pytest.mark.parametrize("name", ["sizing", "verdict"])
def test_the_page_tells_what_the_figures_give(name: str) -> None:
    made = {"sizing": sizing.markdown, "verdict": sizing.verdict}[name]()
    begin, end = f"<!-- {name} -->\n", f"\n<!-- end of {name} -->"
    text = PAGE.read_text("utf-8")
    before, rest = text.split(begin)
    _, after = rest.split(end)
    generated("docs/scale.md", before + begin + made + end + after)


def test_needs_grow_with_what_arrives() -> None:
    figures = sizing.Measured(
        host_frames_per_second=10_000,
        host_cores=0.5,
        raw_bytes=50.0,
        table_bytes=40.0,
        ingest_core_seconds=5e-6,
    )
    prices = sizing.Prices(vcpu_hour=0.1, gb_month=0.02, hours=700, days_kept=30)
    small = sizing.need(sizing.Scale(10, 100), figures, prices)
    assert (small.hosts, small.capture_vcpus, small.ingest_vcpus) == (2, 2, 1)
    large = sizing.need(sizing.Scale(10_000, 1_000_000), figures, prices)
    assert (large.hosts, large.capture_vcpus, large.ingest_vcpus) == (200, 200, 15)
    assert large.raw_gb_day == pytest.approx(2e6 * 86_400 * 50 / 1e9)
    assert large.tables_gb_day == pytest.approx(1e6 * 86_400 * 40 / 1e9)
    stored = (large.raw_gb_day + large.tables_gb_day) * 30 * 0.02
    assert large.dollars == pytest.approx(215 * 700 * 0.1 + stored)


def test_the_fit_finds_what_a_file_and_a_frame_cost() -> None:
    known = Cost(2.0, 0.05, 4e-6)
    points = [(f, n, known.seconds(f, n)) for f, n in ((10, 10**6), (100, 10**6), (10, 10))]
    found = fit(points)
    assert (found.fixed, found.per_file, found.per_frame) == pytest.approx((2.0, 0.05, 4e-6))
    falling = fit([(10, 10**6, 3.0), (100, 10**6, 2.0), (10, 10, 1.0)])
    assert min(falling.fixed, falling.per_file, falling.per_frame) >= 0


def test_a_cluster_pays_when_its_cores_outweigh_what_it_costs_to_begin() -> None:
    alone, one = Cost(0.5, 0.0, 2e-6), Cost(3.0, 0.1, 5e-6)
    assert cores_needed(alone, one, frames_per_file=100_000) == 4  # 6 us a frame, against 2
    assert pays_off(alone, one, 3, 100_000) is None
    assert pays_off(alone, one, 6, 100_000) == pytest.approx(2.5e6)


# --- the code


def test_python_and_duckdb_read_it(copy: str, both: Both) -> None:
    names = run("import duckdb", url=copy)
    with closing(read.connect(both.tables_url)) as connection:
        wanted = connection.sql(
            "SELECT feed, symbol, max(recv_time) FROM prices GROUP BY ALL"
        ).fetchall()
    assert sorted(names["newest"], key=repr) == sorted(wanted, key=repr)
    assert len(wanted) == 3


def test_polars_reads_it(copy: str) -> None:
    pytest.importorskip("polars")
    wanted = {row[:2]: row[2].timestamp() for row in run("import duckdb", url=copy)["newest"]}
    found = run("import polars", url=copy)["newest"]
    assert {row[:2]: row[2].timestamp() for row in found.rows()} == wanted


def everything(url: str) -> Iterator[tuple[str, list[Any]]]:
    with closing(read.connect(url)) as connection:
        for name in lakes.READ:
            yield name, connection.sql(f"FROM {name} ORDER BY ALL").fetchall()


def test_maintenance_changes_no_row_and_takes_away_nothing_that_is_read(
    copy: str,
) -> None:
    from recorder.lake.delta import Writer, opened
    from recorder.lake.place import Place
    from recorder.lake.tables import SHAPES

    place = Place.of(copy)
    for name in set(SHAPES) - set(lakes.READ):
        lakes.append(copy, name, SHAPES[name].columns.empty_table())
    with closing(read.connect(copy)) as connection:
        prices = lakes.table(connection, "prices")
    lakes.append(copy, "prices", prices)
    lakes.pin(copy, dict.fromkeys(SHAPES, 0) | {"prices": 1})
    lakes.append(copy, "prices", prices)  # a writer was killed before it moved the pointer
    before = dict(everything(copy))
    text = block("writer.rewrite").replace(LAKE, copy)
    day = str(max(prices["day"].to_pylist()))
    text = text.replace("(datetime.now(UTC) - timedelta(days=1)).date().isoformat()", repr(day))
    with closing(read.connect(copy)) as earlier:
        exec(compile(text, "docs/scale.md", "exec"), {"TABLES": copy})
        assert dict(everything(copy)) == before
        rows = earlier.sql("FROM prices ORDER BY ALL").fetchall()
        assert rows == before["prices"]
    assert len([uri for uri in opened(place, "prices").file_uris() if day in uri]) == 1  # of 2

    def nothing_is_safe(name: str, table: Any) -> None:
        table.vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False, full=True)

    with Writer(place) as writer:
        writer.rewrite(nothing_is_safe)
    assert dict(everything(copy)) == before  # what the pointer names is never taken away

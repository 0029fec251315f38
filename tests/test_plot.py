"""Drawings: what is drawn of an answer, in the terminal and in files."""

from __future__ import annotations

import io
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pyarrow as pa
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

import recorder
from recorder.answers import canned
from recorder.cli.query import query as command
from recorder.errors import DataError, RecorderError, UsageError
from recorder.plot import picture, terminal, ticks
from recorder.plot.chart import Chart, chart
from recorder.plot.spec import PlotSpec, checked, guess, parse

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
MINUTES = [NOON + timedelta(minutes=i) for i in range(5)]
QUERIES = canned.load()


def drawn(drawing: Chart, *, width: int = 80, colour: bool = False) -> str:
    stream = io.StringIO()
    terminal.draw(drawing, stream, colour=colour, width=width, height=16)
    return stream.getvalue()


def svg(drawing: Chart, place: Path) -> list[str]:
    """The texts of the picture."""
    picture.save(drawing, place / "drawn.svg")
    tree = ElementTree.parse(place / "drawn.svg")
    return ["".join(t.itertext()).strip() for t in tree.iter("{http://www.w3.org/2000/svg}text")]


def size_of(png: Path) -> tuple[int, int]:
    content = png.read_bytes()
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    return int.from_bytes(content[16:20]), int.from_bytes(content[20:24])


def table_of(**columns: Any) -> pa.Table:
    return pa.table(columns)


LATENCY = table_of(time=MINUTES, feed=list("aabba"), p50=[1.0, 2, 30, 4, None], p99=[9.0] * 5)


# --- what to draw ---------------------------------------------------------------------------


def test_a_header_line_is_read() -> None:
    found = parse("line x=time y=p50,p99 series=feed,channel unit=ms log")
    assert found == PlotSpec("line", ("time",), ("p50", "p99"), ("feed", "channel"), "ms", log=True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("pie x=a y=b", "unknown mark 'pie'"),
        ("bar x=a", "needs x= and y="),
        ("bar x=a y=b sereis=c", "did you mean 'series'"),
        ("bar x=a y=b loud", "unknown word 'loud'"),
    ],
)
def test_a_faulty_header_line_is_refused_with_its_place(text: str, message: str) -> None:
    with pytest.raises(DataError, match=message) as error:
        parse(text, "here.sql")
    assert error.value.where == "here.sql"


@given(st.text())
def test_no_header_fails_otherwise_than_with_its_own_error(text: str) -> None:
    try:
        parse(text)
    except RecorderError as error:
        assert isinstance(error, DataError)


def test_a_missing_column_is_reported_with_the_nearest_name() -> None:
    with pytest.raises(DataError, match="did you mean 'p50'"):
        checked(parse("line x=time y=p5"), LATENCY)


@pytest.mark.parametrize("name", QUERIES)
def test_a_canned_query_is_drawn_by_columns_that_it_has(name: str, sample: Path) -> None:
    if QUERIES[name].plot:
        answer = recorder.query(name, data_dir=sample)
        assert checked(parse(QUERIES[name].plot, name), answer, name).y


@pytest.mark.parametrize(
    ("table", "wanted"),
    [
        (LATENCY, PlotSpec("line", ("time",), ("p50",), ("feed",))),
        (table_of(t=[NOON, NOON], usd=[1.0, 2.0]), PlotSpec("dot", ("t",), ("usd",))),
        (table_of(name=["a", "b"], n=[1, 2]), PlotSpec("bar", ("name",), ("n",))),
        (table_of(a=[1, 2], b=[1, 2]), PlotSpec("dot", ("a",), ("b",))),
        (table_of(t=MINUTES, kind=list("abcab")), PlotSpec("dot", ("t",), ("kind",))),
        (table_of(recv_ns=[1], seq=[1], feed=["a"], n=[1]), PlotSpec("bar", ("feed",), ("n",))),
    ],
)
def test_a_drawing_is_guessed_from_the_columns(table: pa.Table, wanted: PlotSpec) -> None:
    assert guess(table) == wanted


def test_what_cannot_be_drawn_is_refused() -> None:
    with pytest.raises(UsageError, match="this result has no columns to plot"):
        guess(table_of(name=["a"]))
    with pytest.raises(UsageError, match="no row has a value"):
        chart(LATENCY.slice(0, 0), guess(LATENCY), "Empty")


# --- the points -----------------------------------------------------------------------------


def test_points_are_gathered_by_series_in_order_and_nulls_left_out() -> None:
    found = chart(LATENCY.slice(1).take([3, 0, 1, 2]), guess(LATENCY), "Latency")
    assert found.groups == ["a", "b"]
    assert [series.ys for series in found.series] == [[2.0], [30.0, 4.0]]
    assert found.series[1].xs == [m.replace(tzinfo=None) for m in MINUTES[2:4]]
    assert (found.x_label, found.y_label) == ("time (UTC)", "p50")


def test_times_are_drawn_in_utc() -> None:
    kind = pa.timestamp("us", "Asia/Tokyo")
    found = chart(table_of(t=pa.array([NOON], kind), n=[1.0]), parse("dot x=t y=n"), "T")
    assert found.series[0].xs == [datetime(2026, 1, 31, 12)]


def test_bars_of_one_place_are_added_up() -> None:
    rows = table_of(side=["long", "short", "long"], usd=[1.0, 5.0, 2.0])
    found = chart(rows, parse("bar x=side y=usd unit=USD"), "Sides")
    assert found.categories == ["long", "short"]
    assert found.series[0].xs == [3.0, 5.0]
    assert found.x_label == "usd (USD)"


@pytest.mark.parametrize(
    ("column", "label"),
    [("notional_usd", "notional (USD)"), ("change_pct", "change (%)"), ("count", "count")],
)
def test_an_axis_names_its_unit(column: str, label: str) -> None:
    rows = pa.table({"t": MINUTES, column: range(5)})
    assert chart(rows, PlotSpec("line", ("t",), (column,)), "T").y_label == label


def test_too_many_series_and_lines_are_left_out_and_the_note_says_so() -> None:
    names = [f"n{i}" for i in range(60)]
    found = chart(table_of(name=names, n=range(60)), parse("bar x=name y=n"), "Many")
    assert len(found.categories or ()) == 24
    assert "24 of 60 lines" in found.note
    found = chart(table_of(t=[1] * 60, s=names, n=range(60)), parse("dot x=t y=n series=s"), "Many")
    assert "7 of 60 series" in found.note


def test_a_logarithmic_drawing_leaves_out_what_has_no_logarithm() -> None:
    rows = table_of(a=[1, 2, 3], b=[0.0, -5.0, 10.0])
    found = chart(rows, parse("dot x=a y=b log"), "Log")
    assert found.series[0].ys == [10.0]


# --- axes -----------------------------------------------------------------------------------

FINITE = st.floats(-1e15, 1e15, allow_subnormal=False)


@given(FINITE, FINITE)
def test_marks_of_numbers_lie_within_and_are_few(a: float, b: float) -> None:
    low, high = min(a, b), max(a, b)
    found = ticks.numbers(low, high)
    room = (high - low) * 1e-6 + abs(high) * 1e-6 + 1e-9
    assert len(found) <= 9
    assert all(low - room <= position <= high + room for position, _ in found)


@given(st.integers(0, 4_000_000_000), st.integers(1, 1_000_000_000))
def test_marks_of_times_are_round_and_few(low: int, span: int) -> None:
    found = ticks.times(low, low + span)
    assert len(found) <= 7
    assert all(low <= position <= low + span for position, _ in found)


def test_marks_read_as_people_write_numbers() -> None:
    assert [text for _, text in ticks.numbers(0, 0.3, percent=True, most=3)] == [
        "0 %", "10 %", "20 %", "30 %",
    ]  # fmt: skip
    assert [text for _, text in ticks.powers(0, 6)] == [
        "1",
        "10",
        "100",
        "1,000",
        "10k",
        "100k",
        "1M",
    ]
    assert ticks.times(NOON.timestamp(), NOON.timestamp() + 60, 2)[1][1] == "12:00:30"


# --- in the terminal ------------------------------------------------------------------------


def test_a_terminal_shows_title_legend_axes_and_points() -> None:
    text = drawn(
        chart(LATENCY, parse("line x=time y=p50,p99 series=feed unit=ms"), "Latency", "hop total")
    )
    assert text.startswith("Latency\nhop total\n━ a   ━ b   (━ p50, • p99)\n")
    assert "12:01" in text
    assert re.search("[\u2801-\u28ff]", text)
    assert text.endswith("p50, p99 (ms) over time (UTC), 2026-01-31\n")
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= 80


def test_every_line_of_a_category_is_named_in_the_terminal() -> None:
    names = [f"exchange {i}" for i in range(12)]
    text = drawn(chart(table_of(x=names, n=range(1, 13)), parse("dot x=x y=n"), "T"))
    assert [n for n in names if f"{n}┤" not in text] == []


def test_a_hostile_name_sends_nothing_to_the_terminal() -> None:
    evil = "\x1b]0;title\x07\u202e"
    rows = pa.table({"x": [evil, "b"], "n": [1, 2], "s": [evil, "c"]})
    text = drawn(chart(rows, parse("bar x=x y=n series=s"), "T"))
    assert all(c.isprintable() or c == "\n" for c in text)


# --- in files -------------------------------------------------------------------------------


def test_a_picture_has_title_units_legend_and_text_as_text(tmp_path: Path) -> None:
    drawing = chart(LATENCY, parse("line x=time y=p50,p99 series=feed unit=ms log"), "Latency")
    texts = svg(drawing, tmp_path)
    assert {"Latency", "a", "b", "p50", "p99", "p50, p99 (ms)"} <= set(texts)
    assert "time (UTC), 2026-01-31" in texts
    assert "12:01" in texts


def test_a_name_is_not_taken_for_a_formula_nor_its_script_for_an_error(tmp_path: Path) -> None:
    rows = table_of(x=["$1INCH$ $x^2$", "신규 거래"], n=[1, 2])
    assert {"$1INCH$ $x^2$", "신규 거래"} <= set(svg(chart(rows, guess(rows), "T"), tmp_path))
    picture.save(chart(rows, guess(rows), "T"), tmp_path / "drawn.png")


def test_the_same_answer_gives_the_same_picture(tmp_path: Path) -> None:
    drawing = chart(LATENCY, guess(LATENCY), "Latency")
    for name in ("one.svg", "two.svg", "one.png", "two.png"):
        picture.save(drawing, tmp_path / name)
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()


@pytest.mark.parametrize("name", QUERIES)
def test_every_canned_query_can_be_drawn(name: str, sample: Path, tmp_path: Path) -> None:
    place = ["--data-dir", str(sample)]
    try:
        result = CliRunner().invoke(command, [name, *place, "--plot"], catch_exceptions=False)
    except UsageError as error:  # the sample has no such event
        assert error.what.startswith("there is nothing to draw")
        return
    assert result.stdout.startswith(QUERIES[name].title)
    png = tmp_path / f"{name}.png"
    result = CliRunner().invoke(command, [name, *place, "--plot", str(png)], catch_exceptions=False)
    assert result.stdout == ""
    assert f"plot saved to {png}" in result.stderr
    assert size_of(png)[0] >= 1500


def test_rows_are_written_beside_a_picture_if_a_format_is_asked_for(
    sample: Path, tmp_path: Path
) -> None:
    arguments = ["coverage", "--plot", str(tmp_path / "c.svg"), "--format", "csv"]
    result = CliRunner().invoke(command, [*arguments, "--data-dir", str(sample)])
    assert result.stdout.startswith("day,feed,line,")


@pytest.mark.parametrize(
    ("file", "message"),
    [("rows.gif", "unknown format"), ("nowhere/rows.png", "cannot be written")],
)
def test_a_picture_that_cannot_be_made_is_refused(file: str, message: str, sample: Path) -> None:
    arguments = ["coverage", "--data-dir", str(sample), "--plot", file]
    with pytest.raises(UsageError, match=message):
        CliRunner().invoke(command, arguments, catch_exceptions=False)


@pytest.mark.process
def test_without_the_extra_the_error_names_the_command_to_install_it(
    sample: Path, tmp_path: Path
) -> None:
    import subprocess
    import sys

    code = (
        "import sys; sys.modules['matplotlib'] = sys.modules['plotext'] = None\n"
        "from recorder.cli import main; main()"
    )
    for plot in (["--plot", str(tmp_path / "x.png")], ["--plot"]):
        child = [sys.executable, "-c", code, "query", "coverage", "--data-dir", str(sample), *plot]
        done = subprocess.run(child, capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert "pip install 'feed-recorder[plot]'" in done.stderr

"""Answers on their way out: every format, and hostile text on a terminal."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
import unicodedata
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.answers.cells import visible
from recorder.answers.output import FORMATS, write
from recorder.errors import UsageError

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
EVIL = "\x1b[31m[bold]red[/bold]\x1b]0;title\x07\u202e\x9b2J\n\r\tend"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Pipe(io.TextIOWrapper):
    """A stream with a binary buffer, as stdout is."""

    def __init__(self) -> None:
        self.bytes = io.BytesIO()
        super().__init__(self.bytes, encoding="utf-8", newline="")


def written(table: pa.Table, format: str | None = None, stream: io.StringIO | None = None) -> str:
    stream = io.StringIO() if stream is None else stream
    write(table, format, stream)
    return stream.getvalue()


@pytest.fixture(autouse=True)
def plain_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "COLORTERM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setenv("COLUMNS", "80")


def table_of(**columns: Any) -> pa.Table:
    return pa.table(columns)


def stamps(*values: datetime | None) -> pa.Array:
    return pa.array(values, pa.timestamp("us", "UTC"))


# --- for programs ----------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["=HYPERLINK(1)", "+1+cmd|' /C calc'!A0", "@SUM(1)", "-x", "\t=1"])
def test_csv_defuses_what_a_spreadsheet_would_run(text: str) -> None:
    [_, row] = csv.reader(io.StringIO(written(table_of(symbol=[text])), newline=""))
    assert row == [f"'{text}"]


@pytest.mark.parametrize("text", ["-6.9e-05", "+1.5", "-0", "a=b", ""])
def test_csv_leaves_numbers_and_other_texts_alone(text: str) -> None:
    [_, row] = csv.reader(io.StringIO(written(table_of(symbol=[text])), newline=""))
    assert row == ([text] if text else [""])
    assert written(table_of(number=[-6.9e-05])) == "number\n-6.9e-05\n"


def test_csv_is_the_default_away_from_a_terminal_and_null_is_empty() -> None:
    table = table_of(
        text=['say "hi", you', None],
        time=stamps(NOON + timedelta(microseconds=5), None),
        number=[0.1, None],
        flag=[True, None],
        blob=pa.array([b"caf\xc3\xa9", b"\xff\x00"]),
    )
    assert written(table) == (
        "text,time,number,flag,blob\n"
        '"say ""hi"", you",2026-01-01T12:00:00.000005Z,0.1,true,café\n'
        ",,,,ff00\n"
    )


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]))))
def test_csv_keeps_every_character_away_from_a_terminal(texts: list[str]) -> None:
    table = table_of(n=range(len(texts)), text=pa.array(texts, pa.string()))
    rows = list(csv.reader(io.StringIO(written(table, "csv"), newline="")))
    assert [row[1].removeprefix("'") for row in rows[1:]] == [t.removeprefix("'") for t in texts]


def test_json_has_null_for_null_and_exact_numbers() -> None:
    table = table_of(
        a=pa.array([Decimal("0.10"), None], pa.decimal128(38, 2)),
        b=[float("nan"), 1.5],
        c=[2**63 - 1, None],
        d=stamps(NOON, None),
        e=pa.array([b"\xff", b"ok"]),
        f=[[1, 2], None],
        g=[date(2026, 1, 1), None],
    )
    text = written(table, "json")
    assert '"a":0.10' in text
    assert json.loads(text) == [
        {
            "a": 0.1,
            "b": None,
            "c": 2**63 - 1,
            "d": "2026-01-01T12:00:00Z",
            "e": "ff",
            "f": [1, 2],
            "g": "2026-01-01",
        },
        {"a": None, "b": 1.5, "c": None, "d": None, "e": "ok", "f": None, "g": None},
    ]
    lines = written(table, "jsonl").splitlines()
    assert [json.loads(line) for line in lines] == json.loads(text)


def test_an_empty_answer_is_valid_in_every_format() -> None:
    table = table_of(a=pa.array([], pa.int64()))
    assert json.loads(written(table, "json")) == []
    assert written(table, "jsonl") == ""
    assert written(table, "csv") == "a\n"
    assert written(table, "md") == "| a |\n| ---: |\n"
    assert written(table, "table").splitlines()[0].strip() == "a"


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_json_is_printable_and_loses_nothing(text: str) -> None:
    [line] = written(table_of(text=[text]), "jsonl").splitlines()
    assert visible(line) == line
    assert json.loads(line) == {"text": text}


def test_parquet_and_arrow_keep_types_and_bytes() -> None:
    table = table_of(time=stamps(NOON, None), blob=pa.array([b"\xff", None]), n=[1, 2])
    pipe = Pipe()
    write(table, "parquet", pipe)
    assert pq.read_table(io.BytesIO(pipe.bytes.getvalue())).equals(table)
    pipe = Pipe()
    write(table, "arrow", pipe)
    assert pa.ipc.open_file(pipe.bytes.getvalue()).read_all().equals(table)


@pytest.mark.parametrize("format", ["parquet", "arrow"])
def test_binary_formats_refuse_a_terminal(format: str) -> None:
    with pytest.raises(UsageError, match="garble") as error:
        write(table_of(a=[1]), format, Terminal())
    assert f"> rows.{format}" in str(error.value)


def test_an_unknown_format_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean 'json'"):
        write(table_of(a=[1]), "jsn", io.StringIO())


def test_nanoseconds_and_far_years_are_written_whole() -> None:
    table = table_of(
        ns=pa.array([1_767_268_800_000_000_001], pa.timestamp("ns")),
        far=pa.array([2**62], pa.timestamp("us", "UTC")),
    )
    assert "2026-01-01 12:00:00.000000001" in written(table, "csv")


def test_times_are_written_in_utc_whatever_the_column_says() -> None:
    table = table_of(t=stamps(NOON).cast(pa.timestamp("us", "Asia/Tokyo")))
    assert "2026-01-01T12:00:00Z" in written(table, "csv")


# --- for people ------------------------------------------------------------------------------


def lines_on_terminal(table: pa.Table) -> list[str]:
    return [line.rstrip() for line in written(table, None, Terminal()).splitlines()]


def test_a_terminal_gets_a_table_with_numbers_to_the_right_and_a_dash_for_null() -> None:
    table = table_of(name=["a", None], count=[5, 12345], usd=[1234567.891, None], rate=[0.25, 1e-7])
    header, _, first, second = lines_on_terminal(table)
    assert header == "name  count           usd       rate"
    assert first == "a         5  1,234,567.89  0.2500000"
    assert second == "-     12345             -  0.0000001"


@pytest.mark.parametrize(
    ("moments", "shown"),
    [
        ([NOON.replace(hour=0), None], ["2026-01-01", "-"]),
        ([NOON], ["2026-01-01 12:00Z"]),
        ([NOON, NOON.replace(second=5)], ["2026-01-01 12:00:00Z", "2026-01-01 12:00:05Z"]),
        ([NOON.replace(microsecond=5000)], ["2026-01-01 12:00:00.005Z"]),
        ([NOON.replace(microsecond=5)], ["2026-01-01 12:00:00.000005Z"]),
    ],
)
def test_times_show_what_the_column_needs(moments: list[datetime | None], shown: list[str]) -> None:
    assert lines_on_terminal(table_of(time=stamps(*moments)))[2:] == shown


def test_numbers_and_times_are_never_cut_but_texts_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "70")
    monkeypatch.setenv("TERM", "xterm")  # a dumb terminal is taken to be 80 wide
    monkeypatch.setenv("NO_COLOR", "1")
    ns = 1_767_225_600_000_000_001
    table = table_of(time=stamps(NOON), title=["long " * 30], event_ns=[ns], more=[1], last=["z"])
    lines = lines_on_terminal(table)
    assert "2026-01-01 12:00Z" in lines[2]
    assert str(ns) in lines[2]
    assert "…" in lines[2]
    assert all(len(line) <= 70 for line in lines[:3])
    assert "more columns: last" in " ".join(lines)


def test_long_answers_are_shortened_on_a_terminal_only() -> None:
    table = table_of(n=range(1005))
    assert lines_on_terminal(table)[-1] == "5 more rows (--format csv shows all)"
    assert len(written(table, "table").splitlines()) == 1005 + 2


def test_a_table_in_a_file_is_whole_and_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    text = written(table_of(text=["x" * 500], nothing=[None]), "table")
    assert "x" * 500 in text
    assert "\x1b" not in text


def test_colours_are_for_terminals_that_want_them(monkeypatch: pytest.MonkeyPatch) -> None:
    table = table_of(a=pa.array([None], pa.int64()))
    monkeypatch.setenv("TERM", "xterm-256color")
    assert "\x1b[2m" in written(table, None, Terminal())  # a dim dash
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in written(table, None, Terminal())
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "dumb")
    assert "\x1b" not in written(table, None, Terminal())


@pytest.mark.parametrize("format", [f for f in FORMATS if f not in {"parquet", "arrow"}])
def test_nothing_from_a_feed_controls_a_terminal(format: str) -> None:
    table = pa.table({"text": [EVIL], EVIL: [EVIL], "blob": [EVIL.encode()]})
    text = written(table, format, Terminal())
    bad = {c for c in text if unicodedata.category(c) in {"Cc", "Cf", "Zl", "Zp"}}
    assert bad <= {"\n"}
    assert "[bold]" in text.replace("\\", "")


@given(st.text())
def test_visible_text_is_printable_and_plain_text_is_left_alone(text: str) -> None:
    shown = visible(text)
    assert all(c.isprintable() or unicodedata.category(c) == "Zs" for c in shown)
    if text.isprintable():
        assert shown == text


def test_markdown_escapes_what_would_be_markup() -> None:
    table = table_of(a=["x|y <b> [z](u) `c`", None], n=[1.5, 2.25])
    assert written(table, "md") == (
        "| a | n |\n| --- | ---: |\n| x\\|y &lt;b> \\[z\\](u) \\`c\\` | 1.50 |\n|  | 2.25 |\n"
    )


@pytest.mark.process
def test_a_reader_that_leaves_early_is_no_error(tmp_path: Any) -> None:
    import duckdb

    from recorder.record.layout import Layout
    from recorder.tables import publish

    with duckdb.connect(str(tmp_path / "recorder.duckdb")) as connection:
        publish.define(connection, Layout(tmp_path))
        connection.execute(
            "INSERT INTO whales BY NAME SELECT 'f' AS feed, range AS recv_ns, 'c' AS connection,"
            " to_timestamp(0) AS recv_time, range AS seq, 0 AS item FROM range(20000)"
        ).fetchall()
    arguments = ["query", "whale_moves", "-p", "limit", "null", "--data-dir", str(tmp_path)]
    with subprocess.Popen(
        [sys.executable, "-m", "recorder", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONWARNINGS": "error"},
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        talk = process.stderr.read().decode()
    assert process.returncode == 0, talk
    assert talk.count("\n") == 1

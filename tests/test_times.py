"""One grammar for times and durations: the same answer at every door, and never another meaning.

The outside witness is DuckDB: what a text means is also an expression of its SQL.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import click
import duckdb
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

import recorder
from recorder.answers import canned
from recorder.answers.sandbox import QueryLimits
from recorder.cli.alerts import alerts
from recorder.cli.backtest import _length, backtest
from recorder.cli.capture import capture
from recorder.cli.export import export
from recorder.cli.ingest import ingest
from recorder.cli.prune import prune
from recorder.cli.query import query
from recorder.cli.replay import replay
from recorder.cli.sql import sql as sql_command
from recorder.clock import DAY_NS, NS
from recorder.errors import ConfigError, UsageError
from recorder.export.ohlcv import _start
from recorder.player import control
from recorder.player.stage import Play, Stage
from recorder.record.layout import Layout
from recorder.schema import duck
from recorder.schema.tables import SCHEMA_VERSION
from recorder.serve import answer, calendar
from recorder.settings.config import load
from recorder.stream.span import Span, span
from recorder.tables import publish
from recorder.times import (
    FIRST_NS,
    LAST_NS,
    age,
    duration,
    exact,
    moment_of,
    parse_duration,
    parse_fixed,
    parse_moment,
)

#: 2026-03-31T12:34:56.789012345Z: a month before it is the last day of February.
NOW = 1_774_960_496_789_012_345

#: What a text means, in DuckDB's words.
MOMENTS = {
    "2 months ago": "$now - INTERVAL 2 MONTHS",
    "1h": "$now - INTERVAL 1 HOUR",
    "1h ago": "$now - INTERVAL 1 HOUR",
    "3 mins ago": "$now - INTERVAL 3 MINUTES",
    "15 minutes": "$now - INTERVAL 15 MINUTES",
    "90S AGO": "$now - INTERVAL 90 SECONDS",
    "1h30m": "$now - INTERVAL 90 MINUTES",
    "1.5 min ago": "$now - INTERVAL 90 SECONDS",
    " 1 year 2 weeks ago ": "$now - INTERVAL '1 year 14 days'",
    "2m ago": "$now - INTERVAL 2 MINUTES",
    "2mo": "$now - INTERVAL 2 MONTHS",
    "250ms": "$now - INTERVAL 250 MILLISECONDS",
    "now": "$now",
    "today": "date_trunc('day', $now)",
    "Yesterday": "date_trunc('day', $now) - INTERVAL 1 DAY",
    "1769860800": "TIMESTAMPTZ '2026-01-31 12:00:00+00'",
    "1769860800123": "TIMESTAMPTZ '2026-01-31 12:00:00.123+00'",
    "1769860800123456": "TIMESTAMPTZ '2026-01-31 12:00:00.123456+00'",
    "1769860800123456000": "TIMESTAMPTZ '2026-01-31 12:00:00.123456+00'",
    "999999999": "TIMESTAMPTZ '2001-09-09 01:46:39+00'",
    "0": "TIMESTAMPTZ '1970-01-01 00:00:00+00'",
    "2026-01-31": "TIMESTAMPTZ '2026-01-31 00:00:00+00'",
    "20260131": "TIMESTAMPTZ '2026-01-31 00:00:00+00'",
    "2026-01-31T12:00": "TIMESTAMPTZ '2026-01-31 12:00:00+00'",
    "2026-01-31 12:00:00.5": "TIMESTAMPTZ '2026-01-31 12:00:00.5+00'",
    "2026-01-31T14:00+02:00": "TIMESTAMPTZ '2026-01-31 12:00:00+00'",
    "2026-01-31T06:30:00,25 -0530": "TIMESTAMPTZ '2026-01-31 12:00:00.25+00'",
    "20260131T120000Z": "TIMESTAMPTZ '2026-01-31 12:00:00+00'",
    "1912-06-23T12:00Z": "TIMESTAMPTZ '1912-06-23 12:00:00+00'",
}

#: Texts that are no moment, and a word of the reason.
NO_MOMENTS = {
    "2 fortnights": "no unit 'fortnights'",
    "next week": "not a time",
    "soon": "not a time",
    "": "not a time",
    "1": "digits",
    "2026": "digits",
    "20260131120000": "digits",  # as an epoch in ms it would be the year 2612
    "1769860800.5": "a number needs a unit",
    "9999999999": "out of range",
    "9" * 5000: "not a time",
    "1M": "m is minutes, mo months",
    "1h30": "a number needs a unit",
    "30m 1h": "from the largest to the smallest",
    "1h 1h": "each once",
    "-1h": "not a time",
    "in 1h": "not a time",
    "1.5mo": "a part of a month",
    "0.3ns": "a part of a nanosecond",
    "2026-02-30": "day is out of range",
    "2026-01-31T24:00": "no such hour",
    "2026-01-31T12:00:60": "no such second",
    "2026-01-31112:00": "not a time",
    "2026-01-31T12:00:00.1234567891": "not a time",
    "2026-W05": "not a time",
    "0001-01-01": "out of range",
    "2500-01-01": "out of range",
    "300 years ago": "longer than 292 years",
    "١٧٦٩٨٦٠٨٠٠": "not a time",
    "yesterday ago": "not a time",
}

#: What a text means, in DuckDB's words, where every length is fixed.
DURATIONS = {
    "90s": "INTERVAL 90 SECONDS",
    "3 mins": "INTERVAL 3 MINUTES",
    "15 minutes": "INTERVAL 15 MINUTES",
    "1h30m": "INTERVAL 90 MINUTES",
    "6h": "INTERVAL 6 HOURS",
    "1d": "INTERVAL 1 DAY",
    "2w": "INTERVAL 14 DAYS",
    "1 hour 30 minutes": "INTERVAL 90 MINUTES",
    "250ms": "INTERVAL 250 MILLISECONDS",
    "0.2s": "INTERVAL 200 MILLISECONDS",
    "5us": "INTERVAL 5 MICROSECONDS",
    "5µs": "INTERVAL 5 MICROSECONDS",
    "5μs": "INTERVAL 5 MICROSECONDS",
}
CALENDAR = {
    "2 months": "INTERVAL 2 MONTHS",
    "3mo": "INTERVAL 3 MONTHS",
    "1y": "INTERVAL 12 MONTHS",
    "1mo2d": "INTERVAL '1 month 2 days'",
}
NO_DURATIONS = ("2 fortnights", "next week", "", "1", "1M", "15", "-1h", "1h ago", "yesterday")


@pytest.fixture(scope="module")
def duckdb_says() -> Iterator[Callable[[str, int], int]]:
    """What an expression of SQL is at a present: us since epoch, or us of an interval."""
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")

        def says(sql: str, now_ns: int = NOW) -> int:
            now = f"make_timestamptz({now_ns // 1000})"
            what = "epoch_us(" + sql.replace("$now", now) + ")"
            [(found,)] = connection.execute(f"SELECT {what}").fetchall()
            return int(found)

        yield says


# -- the grammar


@pytest.mark.parametrize("text", MOMENTS)
def test_a_moment_is_what_duckdb_says(text: str, duckdb_says: Callable[[str], int]) -> None:
    assert parse_moment(text, NOW) // 1000 == duckdb_says(MOMENTS[text])


@pytest.mark.parametrize("text", NO_MOMENTS)
def test_what_is_no_moment_is_refused_with_its_reason(text: str) -> None:
    with pytest.raises(UsageError, match=NO_MOMENTS[text]) as refused:
        parse_moment(text, NOW)
    assert len(refused.value.what) < 200
    assert refused.value.hint


@pytest.mark.parametrize("text", [*DURATIONS, *CALENDAR])
def test_a_duration_is_what_duckdb_says(text: str, duckdb_says: Callable[[str], int]) -> None:
    sql = (DURATIONS | CALENDAR)[text]
    assert parse_duration(text).before(NOW) // 1000 == duckdb_says(f"$now - {sql}")


@pytest.mark.parametrize("text", NO_DURATIONS)
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="not a duration"):
        parse_duration(text)


@pytest.mark.parametrize("text", CALENDAR)
def test_where_a_length_must_be_fixed_months_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="months and years differ"):
        parse_fixed(text)


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (-5, "0ms"), (0, "0ms"), (40 * 10**6, "40ms"), (999_999_999, "999ms"),
        (3_199 * 10**6, "3.1s"),
        (9_999 * 10**6, "9.9s"), (12 * NS, "12s"), (60 * NS, "1m"), (200 * NS, "3m20s"),
        (3600 * NS, "1h"), (7_980 * NS, "2h13m"), (3_660 * NS, "1h01m"), (4 * DAY_NS, "4d"),
        (4 * DAY_NS + 7200 * NS, "4d02h"), (10 * DAY_NS + 7200 * NS, "10d"), (400 * DAY_NS, "400d"),
    ],
)  # fmt: skip
def test_a_duration_for_people_has_two_units_at_most(ns: int, text: str) -> None:
    assert duration(ns) == text
    assert age(NOW - ns, NOW) == text


def test_python_s_own_values_mean_moments() -> None:
    noon = 1_769_860_800 * NS
    cet = timezone(timedelta(hours=1))
    for value in (
        datetime(2026, 1, 31, 12), datetime(2026, 1, 31, 13, tzinfo=cet), 1769860800, noon,
    ):  # fmt: skip
        assert moment_of(value, NOW) == noon
    for wrong in (1, -5, 20260131120000, True, 1.5, None, datetime(1, 1, 1)):
        with pytest.raises(UsageError):
            moment_of(wrong, NOW)  # type: ignore[arg-type]


# -- properties

MOMENT_NS = st.integers(FIRST_NS, LAST_NS)
PRESENT = st.integers(0, 7_000_000_000 * NS)
UNITS = ("y", "mo", "w", "d", "h", "m", "s", "ms", "us", "ns")


@st.composite
def durations(draw: st.DrawFn) -> str:
    """A duration of some units, in order, of less than a century."""
    most = {"y": 50, "mo": 400, "w": 500, "d": 5000}
    chosen = [unit for unit in UNITS if draw(st.booleans())] or ["s"]
    blank = draw(st.sampled_from(["", " "]))
    return blank.join(f"{draw(st.integers(0, most.get(u, 10**6)))}{blank}{u}" for u in chosen)


@given(MOMENT_NS)
def test_a_moment_written_exactly_is_read_back(ns: int) -> None:
    assert parse_moment(exact(ns), NOW) == ns


@given(st.integers(10**17, LAST_NS))
def test_an_epoch_in_ns_keeps_every_digit(ns: int) -> None:
    assert parse_moment(str(ns), NOW) == moment_of(ns, NOW) == ns


@given(st.integers(10**8, 9_223_372_035), st.integers(0, NS - 1))
def test_an_epoch_in_each_unit_is_the_same_moment(seconds: int, rest: int) -> None:
    for digits in (0, 3, 6, 9):
        part = rest // 10 ** (9 - digits) if digits else 0
        text = f"{seconds * 10**digits + part}"
        assert parse_moment(text, NOW) == seconds * NS + part * 10 ** (9 - digits)


@given(
    st.datetimes(datetime(1700, 1, 1), datetime(2250, 1, 1)),
    st.integers(-23 * 60, 23 * 60),
    st.sampled_from(["T", " "]),
)
def test_iso_8601_is_what_datetime_reads(at: datetime, zone: int, between: str) -> None:
    text = at.replace(tzinfo=timezone(timedelta(minutes=zone))).isoformat(between)
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    assert parse_moment(text, NOW) // 1000 == (datetime.fromisoformat(text) - epoch) // timedelta(
        microseconds=1
    )
    assert parse_moment(at.isoformat(between), NOW) == moment_of(at, NOW)


@given(durations(), PRESENT, PRESENT)
def test_a_later_present_never_means_an_earlier_moment(text: str, one: int, two: int) -> None:
    earlier, later = sorted((one, two))
    assert parse_moment(text, earlier) <= parse_moment(text, later) <= later


@given(st.integers(0, 1200), st.integers(0, 4000), PRESENT)
def test_months_go_by_the_calendar_as_duckdb_s_do(
    duckdb_says: Callable[[str, int], int], months: int, days: int, now: int
) -> None:
    sql = f"$now - INTERVAL '{months} months {days} days'"
    assert parse_moment(f"{months}mo{days}d", now) // 1000 == duckdb_says(sql, now)


@given(st.integers(0, 1200), PRESENT)
def test_months_go_by_the_calendar_as_dateutil_s_do(months: int, now: int) -> None:
    relative = pytest.importorskip("dateutil.relativedelta")
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    at = epoch + timedelta(microseconds=now // 1000) - relative.relativedelta(months=months)
    assert parse_moment(f"{months} months ago", now) // 1000 == (at - epoch) // timedelta(
        microseconds=1
    )


@given(st.integers(0, LAST_NS))
def test_a_duration_for_people_is_read_back(ns: int) -> None:
    text = duration(ns)
    assert duration(parse_fixed(text)) == text
    assert 0 <= ns - parse_fixed(text) <= max(ns // 10, 1_000_000)


@given(st.text() | st.from_regex(r"[0-9]{0,5000} ?(s|month|d|y)?( ago)?", fullmatch=True))
def test_no_text_fails_otherwise_than_with_its_own_error(text: str) -> None:
    for read in (lambda: parse_moment(text, NOW), lambda: parse_duration(text)):
        try:
            read()
        except UsageError as error:
            assert len(str(error)) < 500


# -- every door where a moment is given


def option(command: click.Command, name: str, *words: str) -> Callable[[str], int]:
    """What a command makes of an option's text."""
    flag = next(p.opts[0] for p in command.params if p.name == name)
    return lambda text: command.make_context("x", [*words, flag, text]).params[name]  # type: ignore[no-any-return]


def played(text: str) -> int:
    """Where the control channel's seek goes."""
    stage = Stage(Play(Layout(Path("nowhere")), {}, Span()), lambda event, **fields: None)
    reply = json.loads(control.command(stage, json.dumps({"do": "seek", "to": text})))
    if "error" in reply:
        raise UsageError(reply["error"])
    assert stage._seek is not None
    return stage._seek


MINE = canned.parse(
    "mine",
    "-- title: x\n-- description: x\n-- param since TIMESTAMPTZ = NULL  -- x\n-- example: x\n\n"
    "SELECT epoch_us($since) AS us",
)


def asked(text: str) -> int:
    """A canned query's parameter."""
    with duckdb.connect() as connection:
        [row] = canned.run(connection, MINE, {"since": text}).to_pylist()
    return int(row["us"]) * 1000


DOORS: dict[str, Callable[[str], int]] = {
    "replay --since": option(replay, "since"),
    "replay --until": option(replay, "until"),
    "backtest --since": option(backtest, "since", "fade"),
    "backtest --until": option(backtest, "until", "fade"),
    "ingest --since": option(ingest, "since"),
    "ingest --until": option(ingest, "until"),
    "export --since": option(export, "since", "parquet", "--out", "x"),
    "export --until": option(export, "until", "parquet", "--out", "x"),
    "recorder.events, follow, replay and backtest.run": lambda text: span(since=text).since_ns,
    "until in Python": lambda text: span(FIRST_NS_TEXT, text).until_ns,
    "the replay's control channel": played,
    "a query's parameter": asked,
}
FIRST_NS_TEXT = "1700-01-01"


@pytest.mark.parametrize("door", DOORS)
def test_a_moment_is_the_same_at_every_door(
    door: str, duckdb_says: Callable[[str, int], int]
) -> None:
    for text, sql in MOMENTS.items():
        before = time.time_ns()
        found = DOORS[door](text)
        after = time.time_ns()
        assert duckdb_says(sql, before) <= found // 1000 <= duckdb_says(sql, after), text


@pytest.mark.parametrize("door", DOORS)
def test_what_is_no_moment_is_refused_at_every_door(door: str) -> None:
    for text, reason in NO_MOMENTS.items():
        with pytest.raises((UsageError, click.UsageError)) as refused:
            DOORS[door](text)
        said = str(refused.value)
        assert reason.replace("not a time", "") in said, text
        assert "TIMESTAMP" not in said


# -- the same in the rows that come back

#: How long after a moment its later row is: the tests take time, and midnight may pass.
LATER, NEXT_DAY = timedelta(minutes=30), timedelta(days=1, minutes=30)


@pytest.fixture(scope="module")
def marked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database whose rows of `listings` lie around the moments."""
    place = tmp_path_factory.mktemp("marked")
    with duck.connect(place / "recorder.duckdb") as connection:
        publish.define(connection, Layout(place))
        about = f"INSERT INTO about VALUES ('schema', '{SCHEMA_VERSION}')"
        connection.execute(about).fetchall()
        now = f"make_timestamptz({time.time_ns() // 1000})"
        for seq, (text, sql) in enumerate(MOMENTS.items()):
            at = sql.replace("$now", now)
            later = NEXT_DAY if text.lower() in {"today", "yesterday"} else LATER
            for when, shift in (("before", timedelta(seconds=-1)), ("after", later)):
                connection.execute(
                    "INSERT INTO listings BY NAME SELECT 'f' AS feed, 'x' AS exchange, "
                    f"$ticker AS ticker, {at} + $shift AS recv_time, "
                    f"epoch_ns({at} + $shift) AS recv_ns, $connection AS connection, "
                    "$seq AS seq, 0 AS item",
                    {"ticker": text, "shift": shift, "connection": when, "seq": seq},
                ).fetchall()
    return place


def by_events(place: Path, text: str) -> set[tuple[str, str]]:
    found = recorder.events(["listings"], data_dir=place, since=text)
    return {(event.ticker, event.connection) for event in found}  # type: ignore[attr-defined]


def by_python(place: Path, text: str) -> set[tuple[str, str]]:
    rows = recorder.query("listings", data_dir=place, since=text, limit=None).to_pylist()
    return {(row["ticker"], row["connection"]) for row in rows}


def by_command(place: Path, text: str) -> set[tuple[str, str]]:
    given = ["-p", "since", text, "-p", "limit", "null", "--json", "--data-dir", str(place)]
    rows = json.loads(CliRunner().invoke(query, ["listings", *given]).stdout)
    return {(row["ticker"], row["connection"]) for row in rows}


def by_page(place: Path, text: str) -> set[tuple[str, str]]:
    params = {"since": text, "limit": "null"}
    asked = answer.QueryRequest(str(place), "query", QueryLimits(), "listings", params=params)
    told = json.loads(answer.answer(asked))
    names = [column["name"] for column in told["columns"]]
    rows = [dict(zip(names, row, strict=True)) for row in told["rows"]]
    return {(row["ticker"], row["connection"]) for row in rows}


@pytest.mark.slow
@pytest.mark.parametrize("door", [by_events, by_python, by_command, by_page])
def test_rows_since_a_moment_are_those_after_it(
    door: Callable[[Path, str], set[tuple[str, str]]], marked: Path
) -> None:
    for text in MOMENTS:
        found = door(marked, text)
        assert (text, "after") in found, text
        assert (text, "before") not in found, text


def test_the_page_s_calendar_takes_a_day_by_any_moment_in_it() -> None:
    assert calendar.day_of("2026-01-31") == calendar.day_of("1769860800") == "2026-01-31"
    days = {(datetime.now(UTC) - timedelta(days=back)).date().isoformat() for back in (1, 2)}
    assert calendar.day_of("yesterday") in days
    with pytest.raises(UsageError, match="not a time"):
        calendar.day_of("soon")


def test_python_s_own_values_are_a_query_s_parameters(marked: Path) -> None:
    moment = datetime(2026, 1, 31, 12, tzinfo=UTC)
    expected = by_python(marked, "2026-01-31T12:00Z")
    for value in (moment, moment.replace(tzinfo=None), 1769860800, 1769860800 * NS):
        rows = recorder.query("listings", data_dir=marked, since=value, limit=None).to_pylist()
        assert {(row["ticker"], row["connection"]) for row in rows} == expected


def test_a_moment_between_two_microseconds_is_cut_to_the_earlier() -> None:
    assert asked("1769860800123456999") == 1769860800123456000
    assert asked("2026-01-31T12:00:00.123456999Z") == 1769860800123456000


# -- every door where a duration is given


def interval(text: str) -> int:
    """A query's parameter, in ns."""
    given = MINE.sql.replace("$since", "$width")
    header = "-- title: x\n-- description: x\n-- param width INTERVAL = NULL  -- x\n-- example: x\n"
    with duckdb.connect() as connection:
        [row] = canned.run(
            connection, canned.parse("mine", f"{header}\n{given}"), {"width": text}
        ).to_pylist()
    return int(row["us"]) * 1000


def listed(text: str) -> int:
    """A query's parameter that is a list."""
    found = canned.parse(
        "mine",
        "-- title: x\n-- description: x\n-- param w INTERVAL[] = NULL  -- x\n-- example: x\n\n"
        "SELECT epoch_us($w[2]) AS us",
    )
    with duckdb.connect() as connection:
        [row] = canned.run(connection, found, {"w": f"[1 second, {text}]"}).to_pylist()
    return int(row["us"]) * 1000


def lasting(text: str) -> int:
    """A setting."""
    from recorder.settings.alerts import seconds

    return round(seconds(text) * NS)


def start(text: str, at_ns: int) -> int:
    """Return the start of the candle that holds this moment, in ns since epoch."""
    with duckdb.connect() as connection:
        sql = f"SELECT {_start(text)} FROM (SELECT {at_ns} AS recv_ns)"
        [(found,)] = connection.sql(sql).fetchall()
    return int(found)


def candle(text: str) -> int:
    """Return the width of the candle before that of the present, in ns."""
    this = start(text, NOW)
    return this - start(text, this - 1)


FIXED: dict[str, Callable[[str], int]] = {
    "capture --duration": lambda text: round(option(capture, "duration")(text) * NS),
    "sql --timeout": lambda text: round(option(sql_command, "timeout", "SELECT 1")(text) * NS),
    "backtest --latency": lambda text: (
        _length(text, "--latency") // timedelta(microseconds=1) * 1000
    ),
    "export ohlcv --bucket": candle,
    "a setting": lasting,
    "a query's parameter": interval,
    "a query's list": listed,
    "prune --older-than": lambda text: option(prune, "age")(text).ns,  # type: ignore[attr-defined]
    "alerts --catch-up": lambda text: option(alerts, "catch_up")(text).ns,  # type: ignore[attr-defined]
}


#: Where a bare number is seconds.
SECONDS_TOO = {"capture --duration", "sql --timeout"}


@pytest.mark.parametrize("door", FIXED)
def test_a_duration_is_the_same_at_every_door(door: str, duckdb_says: Callable[[str], int]) -> None:
    for text, sql in DURATIONS.items():
        assert FIXED[door](text) // 1000 == duckdb_says(sql), text


@pytest.mark.parametrize("door", FIXED)
def test_what_is_no_duration_is_refused_at_every_door(door: str) -> None:
    for text in NO_DURATIONS:
        if door in SECONDS_TOO and text.isdecimal():
            assert FIXED[door](text) == int(text) * NS
            continue
        with pytest.raises((UsageError, click.UsageError, ValueError)) as refused:
            FIXED[door](text)
        assert "not a duration" in str(refused.value), text
        assert "INTERVAL" not in str(refused.value)


def test_months_are_calendar_months_where_there_is_a_present(
    duckdb_says: Callable[[str, int], int],
) -> None:
    for text, sql in CALENDAR.items():
        for command, name in ((prune, "age"), (alerts, "catch_up")):
            found: Any = option(command, name)(text)
            assert found.before(NOW) // 1000 == duckdb_says(f"$now - {sql}", NOW)
        for door in ("backtest --latency", "a setting"):
            with pytest.raises((UsageError, ValueError), match="months and years differ"):
                FIXED[door](text)


def test_a_candle_of_months_is_a_calendar_s(duckdb_says: Callable[[str, int], int]) -> None:
    for text, unit in {"1mo": "month", "3 months": "quarter", "1y": "year"}.items():
        assert start(text, NOW) // 1000 == duckdb_says(f"date_trunc('{unit}', $now)", NOW)
    with pytest.raises(UsageError, match="mixes months and days"):
        start("1mo2d", NOW)


@pytest.mark.parametrize("text", ["3 mins", "180s", "0.05h"])
def test_a_settings_file_takes_durations(tmp_path: Path, text: str) -> None:
    file = tmp_path / "recorder.toml"
    file.write_text(f'[alerts.x]\ntable = "prices"\ncooldown = "{text}"\nat_most = "3/{text}"\n')
    rule = load(file).alerts["x"]
    assert (rule.cooldown, rule.at_most) == (180.0, (3, 180.0))


def test_a_settings_file_says_what_a_duration_is(tmp_path: Path) -> None:
    file = tmp_path / "recorder.toml"
    file.write_text('[alerts.x]\ntable = "prices"\ncooldown = "2 fortnights"\n')
    with pytest.raises(ConfigError, match="no unit 'fortnights'; a duration is 90s") as refused:
        load(file)
    assert refused.value.where.endswith("recorder.toml:alerts.x.cooldown")


def test_a_part_of_a_microsecond_is_refused_where_there_are_none() -> None:
    for door in ("a query's parameter", "backtest --latency"):
        with pytest.raises(UsageError, match="whole number of microseconds"):
            FIXED[door]("500ns")

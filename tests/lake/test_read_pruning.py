"""Only the files that a condition may mean are opened, and no row is missed for that."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kit import lakes
from kit.effort import examples
from kit.frames import T0

from recorder.answers import canned
from recorder.clock import NS
from recorder.errors import DataError
from recorder.lake import files, read
from recorder.lake.delta import opened
from recorder.lake.place import Place
from recorder.lake.tables import SHAPES
from recorder.schema import duck
from recorder.schema.table import Table
from recorder.schema.tables import TABLES

DAY = 86_400 * NS
FIRST = dt.date(2026, 9, 21)
DAYS = [FIRST + dt.timedelta(days=number) for number in range(3)]
SYMBOLS = ("AAAUSDT", "BTCUSDT", "ETHUSDT", "SOLUSDT")
_ONE = {pa.float64(): 1.0, pa.int64(): 1}


def rows(name: str, some: Sequence[tuple[str, int, str | None]]) -> pa.Table:
    """Rows of a table by feed, recv_ns and symbol; every other column is NULL, or 1."""
    feeds, times, symbols = zip(*some, strict=True)
    given = {
        "feed": feeds,
        "symbol": symbols,
        "recv_ns": times,
        "recv_time": [time // 1000 for time in times],
        "connection": ["one"] * len(some),
        "seq": range(len(some)),
        "item": [0] * len(some),
        "day": [dt.date(1970, 1, 1) + dt.timedelta(days=time // DAY) for time in times],
    }
    columns = [
        pa.array(given[field.name], field.type)
        if field.name in given
        else pa.array([_ONE.get(field.type)] * len(some), field.type)
        for field in SHAPES[name].columns
    ]
    return pa.table(columns, schema=SHAPES[name].columns)


@pytest.fixture
def lake(tmp_path: Path) -> str:
    """Two feeds, three days, and of each day two files: symbols before C, and those behind."""
    url = str(tmp_path / "lake")
    for name in lakes.READ:
        lakes.append(url, name, SHAPES[name].columns.empty_table())
    versions = dict.fromkeys(lakes.READ, 0)
    for name in ("prices", "funding", "latency", "liquidations"):
        for some in (SYMBOLS[:2], SYMBOLS[2:]):
            each = [
                (feed, T0 + day * DAY + number, symbol)
                for feed in ("one", "two")
                for day in range(3)
                for number, symbol in enumerate(some)
            ]
            lakes.append(url, name, rows(name, each))
            versions[name] += 1
    lakes.pin(url, versions)
    return url


def keep(url: str, table: str, *, feed: str = "*", day: dt.date | None = None) -> int:
    """Remove every file of a table but those of a feed and day; how many are left."""
    folder = Path(url) / table
    kept = set(folder.glob(f"feed={feed}/day={day or '*'}/*.parquet"))
    for path in folder.rglob("*.parquet"):
        if path not in kept:
            path.unlink()
    return len(kept)


def count(connection: duckdb.DuckDBPyConnection, sql: str, **given: object) -> int:
    [(found,)] = connection.sql(sql, params=given or None).fetchall()
    return int(found)


@pytest.mark.parametrize(
    "condition",
    [
        "recv_time >= '2026-09-22' AND recv_time < '2026-09-23'",
        "recv_ns >= epoch_ns(TIMESTAMPTZ '2026-09-22') AND recv_ns < epoch_ns(TIMESTAMPTZ "
        "'2026-09-23')",
        "recv_time BETWEEN '2026-09-22 01:00' AND '2026-09-22 23:00'",
        "(NULL IS NULL OR false) AND recv_time >= CAST('2026-09-22' AS TIMESTAMPTZ) AND "
        "recv_time < '2026-09-23'",
        "date_trunc('day', recv_time) = '2026-09-22'",
    ],
)
def test_whole_days_are_left_out(lake: str, condition: str) -> None:
    assert keep(lake, "prices", day=DAYS[1]) == 4
    with closing(read.connect(lake)) as connection:
        assert count(connection, f"SELECT count(*) FROM prices WHERE {condition}") == 8


def test_other_feeds_are_left_out(lake: str) -> None:
    assert keep(lake, "prices", feed="one") == 6
    with closing(read.connect(lake)) as connection:
        assert count(connection, "SELECT count(*) FROM prices WHERE feed = 'one'") == 12
        assert count(connection, "SELECT count(*) FROM prices WHERE feed IN ('one')") == 12
        with pytest.raises(duckdb.Error, match="Failed to open"):
            count(connection, "SELECT count(*) FROM prices WHERE feed = 'two'")


def test_files_without_the_symbol_are_left_out(lake: str) -> None:
    place = Place.of(lake) / "prices"
    for path in _with(place, "ETHUSDT"):
        path.unlink()
    with closing(read.connect(lake)) as connection:
        assert count(connection, "SELECT count(*) FROM prices WHERE symbol = 'BTCUSDT'") == 6
        assert count(connection, "SELECT count(*) FROM prices WHERE symbol < 'C'") == 12
        with pytest.raises(duckdb.Error, match="Failed to open"):
            count(connection, "SELECT count(*) FROM prices WHERE symbol = 'SOLUSDT'")


@pytest.mark.parametrize("name", ["funding_rates", "funding_extremes", "funding_over_time"])
def test_a_canned_query_opens_the_files_that_may_hold_the_symbol(name: str, lake: str) -> None:
    """It looks for the symbol in any case, which is told in a way that statistics can answer."""
    query = canned.load()[name]
    with closing(read.connect(lake, query=query)) as connection:
        whole = canned.run(connection, query, {"symbol": "btcUSDT"})
        assert whole.num_rows > 0
    for path in _with(Place.of(lake) / "funding", "ETHUSDT"):
        path.unlink()
    with closing(read.connect(lake, query=query)) as connection:
        assert canned.run(connection, query, {"symbol": "btcUSDT"}) == whole
        with pytest.raises(DataError, match="a file cannot be read"):
            canned.run(connection, query, {"symbol": "solusdt"})


@given(st.lists(st.text("aBc1-é", max_size=4), min_size=1), st.text("AbC1-É", max_size=4))
def test_the_same_symbol_is_what_has_the_same_letters(known: list[str], wanted: str) -> None:
    with closing(duck.connect()) as connection:
        connection.execute(canned.macro_sql(canned.shared()["same_symbol"]))
        connection.register("known", pa.table({"symbol": [*known, wanted.swapcase()]}))
        sql = "SELECT k.symbol FROM known k WHERE {} ORDER BY ALL"
        found = connection.sql(
            sql.format("same_symbol(symbol := k.symbol, wanted := $wanted)"),
            params={"wanted": wanted},
        ).fetchall()
        plain = sql.format("lower(k.symbol) = lower($wanted)")
        assert found == connection.sql(plain, params={"wanted": wanted}).fetchall()
        assert found


def _with(place: Place, symbol: str) -> Iterator[Path]:
    """A table's files that hold a symbol."""
    import pyarrow.parquet as pq

    for path in list(Path(place.path).rglob("*.parquet")):
        if symbol in pq.read_table(path, columns=["symbol"])["symbol"].to_pylist():
            yield path


ASKED = {
    "funding_rates": ("funding", {"since": "2026-09-22", "until": "2026-09-23"}),
    "latency_percentiles": ("latency", {"since": "2026-09-22", "until": "2026-09-23"}),
    "funding_over_time": ("funding", {"since": "2026-09-22", "until": "2026-09-23"}),
}


@pytest.mark.parametrize("name", ASKED)
def test_a_canned_query_opens_the_days_and_feeds_that_it_is_asked_for(name: str, lake: str) -> None:
    query, (table, chosen) = canned.load()[name], ASKED[name]
    chosen = chosen | {"feed": "one"}
    with closing(read.connect(lake, query=query)) as connection:
        whole = canned.run(connection, query, chosen)
        assert whole.num_rows > 0
    assert keep(lake, table, feed="one", day=DAYS[1]) == 2
    with closing(read.connect(lake, query=query)) as connection:
        assert canned.run(connection, query, chosen) == whole
        with pytest.raises(DataError, match="a file cannot be read"):
            canned.run(connection, query, {})


def test_totals_since_a_time_leave_out_days_that_ended_more_than_a_day_before(lake: str) -> None:
    """Of the days after it none: a liquidation may be received long after it happened."""
    query, chosen = canned.load()["liquidation_totals"], {"since": "2026-09-24T00:00:00Z"}
    assert keep(lake, "liquidations", day=DAYS[2]) > 0
    with closing(read.connect(lake, query=query)) as connection:
        assert canned.run(connection, query, chosen).num_rows == 0
        with pytest.raises(DataError, match="a file cannot be read"):
            canned.run(connection, query, {"since": "2026-09-23T00:00:00Z"})


def test_a_moment_as_of_which_is_asked_leaves_out_later_days(lake: str) -> None:
    query = canned.load()["funding_rates"]
    keep(lake, "funding", day=DAYS[0])
    with closing(read.connect(lake, query=query)) as connection:
        assert canned.run(connection, query, {"as_of": "2026-09-21T23:59:59Z"}).num_rows > 0


def test_raw_files_of_other_days_and_feeds_stay_closed(tmp_path: Path) -> None:
    from kit.frames import frames_of
    from kit.records import Published

    record = Published(tmp_path)
    for feed in ("one", "two"):
        for day in range(2):
            record.seal(feed, frames_of(["{}"], recv_ns=T0 + day * DAY))
    for path in record.layout.raw.rglob("*.parquet"):
        if "feed=one/date=2026-09-22" not in str(path):
            path.write_bytes(b"damaged")
    from recorder.lake import frames

    stems = [path.stem for path in record.layout.raw.rglob("*.parquet")]
    with closing(duck.connect()) as connection:
        # What ingest has read whole need not be looked into again.
        taken = "CREATE TABLE ledger AS SELECT unnest($stems) AS segment, true AS sealed"
        connection.execute(taken, {"stems": stems})
        frames.show(connection, record.layout.raw.as_uri())
        condition = "feed = 'one' AND date >= CAST(TIMESTAMPTZ '2026-09-22' AS DATE)"
        assert count(connection, f"SELECT count(*) FROM raw WHERE {condition}") == 1


# --- whatever the rows, the files and the condition are


def symbols() -> st.SearchStrategy[str | None]:
    """Plain ones, long ones that agree for 70 characters, odd ones, and none."""
    long = st.sampled_from("ABC").map(lambda last: "L" * 70 + last)
    return st.none() | st.sampled_from(SYMBOLS) | long | st.text(max_size=4)


def times() -> st.SearchStrategy[int]:
    """Receive times, many of them next to a day's end or a microsecond's."""
    edges = st.sampled_from([0, DAY, 2 * DAY]).flatmap(
        lambda edge: st.integers(-2000, 2000).map(lambda ns: edge + ns)
    )
    return (st.integers(0, 2 * DAY) | edges).map(lambda ns: 1_790_000_000 * NS // DAY * DAY + ns)


ROW = st.tuples(st.sampled_from(["one", "two"]), times(), symbols())
FILES = st.lists(st.lists(ROW, min_size=1, max_size=6), min_size=1, max_size=4)


@st.composite
def conditions(draw: st.DrawFn) -> tuple[str, dict[str, object]]:
    """A WHERE of one or two conditions, and its values."""
    given: dict[str, object] = {}
    said = []
    for number in range(draw(st.integers(1, 2))):
        column = draw(st.sampled_from(["feed", "symbol", "recv_ns", "recv_time", "null", "in"]))
        sign = draw(st.sampled_from(["=", "<", "<=", ">", ">=", "<>"]))
        name = f"v{number}"
        match column:
            case "feed":
                given[name] = draw(st.sampled_from(["one", "two", "three"]))
                said.append(f"feed {sign} ${name}")
            case "symbol":
                given[name] = draw(symbols().filter(lambda symbol: symbol is not None))
                said.append(f"symbol {sign} ${name}")
            case "recv_ns":
                given[name] = draw(times())
                said.append(f"recv_ns {sign} ${name}")
            case "recv_time":
                given[name] = draw(times())
                said.append(f"recv_time {sign} make_timestamptz(${name}::BIGINT // 1000)")
            case "null":
                said.append(draw(st.sampled_from(["symbol IS NULL", "symbol IS NOT NULL"])))
            case _:
                given[name] = draw(symbols().filter(lambda symbol: symbol is not None))
                said.append(f"symbol IN (${name}, 'BTCUSDT')")
    return draw(st.sampled_from([" AND ", " OR "])).join(said), given


@settings(max_examples=examples(60))
@given(FILES, st.lists(conditions(), min_size=1, max_size=5))
def test_no_row_is_missed(
    written: list[list[tuple[str, int, str | None]]],
    asked: list[tuple[str, dict[str, object]]],
) -> None:
    with TemporaryDirectory() as folder, closing(duck.connect()) as connection:
        parts = [rows("prices", some) for some in written]
        for part in parts:
            lakes.append(folder, "prices", part)
        place = Place.of(folder)
        data = files.dataset(opened(place, "prices"), SHAPES["prices"].columns, place / "prices")
        only = Table("lake", "", TABLES["prices"].columns)
        read._view(connection, only, data)
        connection.register("whole", pa.concat_tables(parts))
        for condition, values in asked:
            columns = "SELECT feed, symbol, recv_ns, recv_time, seq"
            found, wanted = (
                connection.sql(f"{columns} FROM {name} WHERE {condition} ORDER BY ALL",
                               params=values or None).fetchall()
                for name in ("lake", "whole")
            )  # fmt: skip
            assert found == wanted, condition


def test_what_is_said_of_a_file_without_statistics_is_its_day() -> None:
    said = [str(one) for one in files.held({"partition.feed": "f", "partition.day": FIRST})]
    start = 1_789_948_800 * NS
    assert said == [
        '(feed == "f")',
        "(day == 2026-09-21)",
        f"(recv_ns >= {start})",
        f"(recv_ns <= {start + DAY - 1})",
        "(recv_time >= 2026-09-21 00:00:00.000000Z)",
        "(recv_time <= 2026-09-21 23:59:59.999999Z)",
    ]
    assert list(files.held({})) == []

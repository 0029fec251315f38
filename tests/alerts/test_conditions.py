"""A rule's SQL: what is let in, what is refused, and what it finds."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import pytest

from recorder.alerts.condition import Judge
from recorder.errors import ConfigError
from recorder.stream.event import CLASSES

from .made import row, rows


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    room = Judge()
    yield room
    room.close()


@pytest.mark.parametrize(
    ("when", "found"),
    [
        ("notional_usd > 1e3", [2, 3]),
        ("notional_usd BETWEEN 1000 AND 2000 OR seq = 0", [0, 1, 2]),
        ("symbol LIKE 'BTC%' AND notional_usd >= 3e3", [3]),
        ("liquidations.symbol IN ('BTCUSDT', 'ETHUSDT') -- the large ones", [0, 1, 2, 3]),
        ("NOT regexp_matches(symbol, '^BTC')", []),
        ("extra->>'$.ct' = 'x' AND seq = 1", [1]),
        ("CASE WHEN position_side IS NULL THEN seq = 2 ELSE false END", [2]),
        ("list_contains([1, 3], seq)", [1, 3]),
        ("recv_time < now() AND seq % 2 = 0", [0, 2]),
        ("price > 1", []),  # unknown is not true
    ],
)
def test_a_condition_finds_the_rows_it_is_true_of(
    judge: Judge, when: str, found: list[int]
) -> None:
    events = rows(4, symbol="BTCUSDT", extra='{"ct": "x"}')
    judge.check("liquidations", when, "alerts.x.when")
    assert judge.true_of("liquidations", events, when) == found


@pytest.mark.parametrize(
    ("when", "why"),
    [
        ("symbol", "is of type VARCHAR, expected true or false"),
        ("symbl = 'x'", '"symbl" not found'),
        ("price >", "syntax error"),
        ("", "expected true or false"),
        ("true; DROP TABLE x", "syntax error"),
        ("true) UNION SELECT 1 WHERE (true", "is not one expression"),
        ("true) ORDER BY (seq", "is not one expression"),
        ("true) GROUP BY (seq", "is not one expression"),
        ("(SELECT true)", "subquery is not allowed"),
        ("EXISTS (FROM '/etc/passwd')", "subquery is not allowed"),
        ("seq IN (SELECT seq FROM read_csv('x.csv'))", "subquery is not allowed"),
        ("seq = ANY([1])", "subquery is not allowed"),
        ("sum(price) > 1", "the function sum is not allowed"),
        ("row_number() OVER () = 1", "window is not allowed"),
        ("* = 1", "star is not allowed"),
        ("seq = $1", "parameter is not allowed"),
        ("read_text('/etc/passwd') IS NULL", "the function read_text is not allowed"),
        ("getenv('HOME') = 'x'", "the function getenv is not allowed"),
        ("current_setting('home_directory') = ''", "the function current_setting is not allowed"),
        ("random() > 0.5", "the function random is not allowed"),
        ("write_log('x') IS NULL", "the function write_log is not allowed"),
        ("sleep_ms(1000) IS NULL", "the function sleep_ms is not allowed"),
        ("error('x')", "the function error is not allowed"),
        ("system.main.abs(price) > 1", "not allowed"),
        ("unknown_function(price)", "the function unknown_function is not allowed"),
    ],
)
def test_what_is_no_condition_on_the_row_is_refused(judge: Judge, when: str, why: str) -> None:
    with pytest.raises(ConfigError) as refused:
        judge.check("liquidations", when, "alerts.x.when")
    assert why in refused.value.what
    assert refused.value.where == "alerts.x.when"


def test_what_slips_through_the_tree_finds_a_locked_door(judge: Judge) -> None:
    """The second wall: even SQL that was never examined reads no file."""
    for sql in ("FROM read_text('/etc/hostname')", "FROM '/etc/hostname'", "ATTACH '/tmp/x.db'"):
        with pytest.raises(duckdb.Error, match=r"disabled|not exist|Permission"):
            judge._db.execute(sql)


def test_an_unknown_table_is_answered_with_the_nearest(judge: Judge) -> None:
    with pytest.raises(ConfigError, match="did you mean 'liquidations'"):
        judge.check("liquidation", "true", "alerts.x.table")


@pytest.mark.parametrize("table", CLASSES)
def test_every_table_of_events_can_be_judged(judge: Judge, table: str) -> None:
    judge.check(table, "feed = 'mine' AND recv_ns > 0 AND recv_time IS NOT NULL", "alerts.x.when")
    assert judge.true_of(table, [row(table), row(table, feed="other")], "feed = 'mine'") == [0]

"""Each worked number of docs/queries.md is what the query answers."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from kit import made
from kit.worked import worked

from .rows import HOUR, MINUTE, SECOND, START, Connection, ask, connected, gap, put

PAGE = worked("queries.md")
MS = 1_000_000


def rates(database: Connection, *given: float, hours: float = 1.0, **more: object) -> None:
    for number, rate in enumerate(given):
        put(database, "funding", number * HOUR, rate=rate, interval_hours=hours,
            basis="expected", backfill=False, event_ns=START + number * HOUR, **more)  # fmt: skip


def per_hour(db: Connection) -> list[object]:
    rates(db, 0.0008, hours=8.0)
    [row] = ask(db, "funding_rates")
    return [row["rate_per_hour"]]


def annualised(db: Connection) -> list[object]:
    rates(db, 0.0001, hours=8.0)
    [row] = ask(db, "funding_rates")
    return [row["annualised"]]


def spread(db: Connection) -> list[object]:
    rates(db, 0.0008, hours=8.0)
    rates(db, 0.0004, hours=8.0, exchange="okx")
    [row] = ask(db, "funding_spread", costs_bps="10")
    return [row["spread"], row["hours_to_earn"]]


def extreme(db: Connection) -> list[object]:
    rates(db, 0.001, 0.002, 0.003, 0.006)
    [row] = ask(db, "funding_extremes", min_count="3")
    return [row["z"], row["robust_z"]]


def below(db: Connection) -> list[object]:
    rates(db, 0.001, 0.002, 0.003, 0.004, 0.003)
    [row] = ask(db, "funding_extremes")
    return [row["below"]]


def percentiles(db: Connection) -> list[object]:
    for ms in (10, 20, 30, 40):
        put(db, "latency", ms, total_ns=ms * MS, backfill=False)
    [row] = ask(db, "latency_percentiles")
    return [row["p50"], row["p90"]]


def uptime(db: Connection) -> list[object]:
    connected(db, 0, 45 * MINUTE)
    gap(db, 45 * MINUTE, 60 * MINUTE)
    [row] = ask(db, "coverage")
    return [row["uptime"]]


def uncovered(db: Connection) -> list[object]:
    for line, start, end in (("A", 100, 200), ("B", 110, 115)):
        connected(db, 0, start * SECOND, line=line)
        connected(db, end * SECOND, 300 * SECOND, line=line)
        gap(db, start * SECOND, end * SECOND, line=line)
    return [{row["line"]: row["uncovered_seconds"] for row in ask(db, "coverage")}["A"]]


def per_minute(db: Connection) -> list[object]:
    connected(db, 0, 10 * MINUTE)
    for number in range(30):
        put(db, "prices", number * SECOND, kind="last", price=1.0)
    _, trades = ask(db, "feed_rates")
    return [trades["per_minute"]]


def reaction(db: Connection) -> list[object]:
    put(db, "listings", 10 * SECOND, ticker="ETH", publish_ns=START + 5 * SECOND, backfill=False)
    for at, price in ((5, 80.0), (10, 100.0), (70, 101.0)):
        put(db, "prices", at * SECOND, symbol="ETHUSDT", kind="last", price=price)
    for at, price in ((10, 200.0), (70, 201.0)):
        put(db, "prices", at * SECOND, kind="last", price=price, seq=10**12 + at)
    [row] = ask(db, "listing_reaction", horizons="[1 minute]")
    return [row["change_pct"], row["abnormal_pct"], row["move_before_receipt_pct"]]


def share(db: Connection) -> list[object]:
    put(db, "open_interest", 0, open_interest_usd=1e6, backfill=False)
    put(db, "liquidations", SECOND, notional_usd=5000.0, position_side="long", backfill=False)
    [row] = ask(db, "liquidation_cascades", min_count="1")
    return [row["share_of_open_interest_pct"]]


def race(db: Connection) -> list[object]:
    frames = []
    for line in ("A", "B"):
        put(
            db,
            "connections",
            0,
            line=line,
            connection=line,
            opened_ns=START,
            last_heard_ns=START + 9 * SECOND,
        )
    for number, (a, b) in enumerate([(0, 2), (0, 4), (1, 0)]):
        for line, ms in (("A", a), ("B", b)):
            at = START + (number + 1) * SECOND + ms * MS
            frames.append({"feed": "f", "connection": line, "seq": number + 1, "recv_ns": at,
                           "kind": "text", "payload": b"%d" % number})  # fmt: skip
    made.frames(db, frames)
    row = ask(db, "line_race", since="2026-01-01")[0]
    return [row["win_rate"], row["advantage_p50"]]


def interest(db: Connection) -> list[object]:
    put(db, "open_interest", 0, open_interest=100.0, backfill=False)
    put(db, "open_interest", HOUR, open_interest=125.0, backfill=False)
    [row] = ask(db, "open_interest_changes")
    return [row["change_pct"]]


#: Figures of the page, in the order of what a function returns.
WORKED: dict[Callable[[Connection], list[object]], tuple[str, ...]] = {
    per_hour: ("rate_per_hour",),
    annualised: ("annualised",),
    spread: ("spread", "hours_to_earn"),
    extreme: ("z", "robust_z"),
    below: ("below",),
    percentiles: ("p50, p90",),
    uptime: ("uptime",),
    uncovered: ("uncovered_seconds",),
    per_minute: ("per_minute",),
    reaction: ("change_pct", "abnormal_pct", "move_before_receipt_pct"),
    share: ("share_of_open_interest_pct",),
    race: ("win_rate, advantage_p50",),
    interest: ("change_pct of open interest",),
}


@pytest.mark.parametrize("answers", WORKED, ids=lambda one: one.__name__)
def test_a_worked_number_is_what_the_query_answers(
    answers: Callable[[Connection], list[object]], database: Connection
) -> None:
    stated = [number for figure in WORKED[answers] for number in PAGE[figure]]
    assert answers(database) == pytest.approx(stated, rel=5e-4)


def test_every_figure_of_the_page_is_worked() -> None:
    assert sorted(PAGE) == sorted(figure for figures in WORKED.values() for figure in figures)

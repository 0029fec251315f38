"""Answers about frames and about what followed a listing, worked out with lists and loops.

As `answers`: from the words of docs/queries.md alone.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from typing import Any

from .answers import (
    ASSETS,
    HOUR,
    PREFERRED,
    SECOND,
    Record,
    Row,
    _bare_between,
    fraction,
    groups,
    ms,
    timely,
    when,
)
from .studies import EVENTS, MINUTE, _change, _seen
from .worlds import T0

#: The period that the test asks `feed_rates` about, and where it lets `line_race` begin.
SINCE, UNTIL = T0 + 5 * SECOND, T0 + 1795 * SECOND
RACED = T0 + 2 * SECOND


def feed_rates(record: Record) -> list[Row]:
    rows = []
    lives = groups(
        (c for c in record["connections"] if c["opened_ns"] is not None), lambda c: c["feed"]
    )
    minutes: dict[str, float | None] = {}
    for feed, all_of in lives.items():
        touching = [c for c in all_of if _last(c) >= SINCE and c["opened_ns"] < UNTIL]
        if not touching:
            continue
        start = max(SINCE, min(c["opened_ns"] for c in touching))
        end = min(UNTIL, max(_until(c) for c in touching))
        minutes[feed] = (end - start) / MINUTE if end > start else None
        counts = [_counted(record, c) for c in touching]
        known = [c for c in counts if c is not None]
        frames = sum(n for n, _ in known) if len(known) == len(counts) else None
        size = sum(b for _, b in known) if len(known) == len(counts) else None
        rows.append(
            _rated(feed, "frames", frames, minutes[feed])
            | {
                "bytes": size,
                "bytes_per_minute": _per(size, minutes[feed]),
                "first_time": when(start),
                "last_time": when(end),
            }
        )
    for source in (*EVENTS, "prices"):
        inside = [r for r in record.get(source, []) if SINCE <= r["recv_ns"] < UNTIL]
        for feed, some in groups(inside, lambda r: r["feed"]).items():
            times = [r["recv_ns"] for r in some]
            rows.append(
                _rated(feed, source, len(some), minutes.get(feed))
                | {
                    "bytes": None,
                    "bytes_per_minute": None,
                    "first_time": when(min(times)),
                    "last_time": when(max(times)),
                }
            )
    return rows


def _rated(feed: str, source: str, count: int | None, minutes: float | None) -> Row:
    per = _per(count, minutes)
    return {
        "feed": feed, "source": source, "count": count, "per_minute": per, "minutes": minutes
    }  # fmt: skip


def _per(count: int | None, minutes: float | None) -> float | None:
    return None if count is None or minutes is None else count / minutes


def _until(c: Row) -> int:
    end: int | None = c["last_heard_ns"] if c["closed_ns"] is None else c["closed_ns"]
    return max(c["opened_ns"], end or 0)


def _last(c: Row) -> int:
    return max(t for t in (c["opened_ns"], c["last_heard_ns"], c["closed_ns"]) if t is not None)


def _counted(record: Record, c: Row) -> tuple[int, int] | None:
    """Return the frames and bytes of a connection in the period; None if raw has none of them."""
    whole = c["frames"] is not None and c["opened_ns"] >= SINCE and _last(c) < UNTIL
    mine = [
        r for r in record["raw"] if (r["feed"], r["connection"]) == (c["feed"], c["connection"])
    ]
    there = [r for r in mine if SINCE <= r["recv_ns"] < UNTIL]
    if not whole and not there:
        return None
    data = [r for r in there if r["kind"] != "stats"]
    return len(data), sum(len(r["payload"]) for r in data)


# --- the lines


def line_race(record: Record) -> list[Row]:
    rows: list[Row] = []
    opened = [c for c in record["connections"] if c["opened_ns"] is not None]
    for (feed, group), lives in groups(opened, lambda c: (c["feed"], c["line_group"])).items():
        lines = groups(lives, lambda c: c["line"])
        if len(lines) < 2:
            continue
        begins = max(min(c["opened_ns"] for c in each) for each in lines.values())
        races = [
            race
            for copies in _by_key(record, lines).values()
            for race in _races(copies)
            if min(race.values()) >= max(begins, RACED)
        ]
        rows += [
            {"feed": feed, "line_group": group, "line": line, **_tally(line, races)}
            for line in lines
            if any(line in race for race in races)
        ]
    return rows


def _by_key(record: Record, lines: dict[str, list[Row]]) -> dict[bytes, list[tuple[int, str]]]:
    """Return when each frame arrived, and on which line, without what is stamped on copies."""
    came: dict[bytes, list[tuple[int, str]]] = {}
    for line, lives in lines.items():
        free = 0  # until then an older connection of the line counts
        for c in sorted(lives, key=lambda c: (c["opened_ns"], c["connection"])):
            for r in record["raw"]:
                mine = (r["feed"], r["connection"]) == (c["feed"], c["connection"])
                if mine and r["kind"] != "stats" and r["recv_ns"] >= free:
                    came.setdefault(_key(r["payload"], c.get("stamped")), []).append(
                        (r["recv_ns"], line)
                    )
            end = c["last_heard_ns"] if c["closed_ns"] is None else c["closed_ns"]
            free = max(free, end or 0)
    return came


def _key(payload: bytes, stamped: str | None) -> bytes:
    try:
        payload.decode()
    except UnicodeDecodeError:
        return payload
    return re.sub(stamped.encode(), rb"\1", payload) if stamped else payload


def _races(copies: list[tuple[int, str]]) -> list[dict[str, int]]:
    """Return, for each frame, when it arrived on each line."""
    races = []
    for close in _split(sorted(copies), MINUTE):
        if max(Counter(line for _, line in close).values()) == 1:
            races.append({line: at for at, line in close})
            continue
        for closer in _split(close, SECOND):
            times = groups(({"at": at, "line": line} for at, line in closer), lambda r: r["line"])
            races += [
                {one["line"]: one["at"] for one in nth if one}
                for nth in itertools.zip_longest(*times.values())
            ]
    return races


def _split(copies: list[tuple[int, str]], pause: int) -> list[list[tuple[int, str]]]:
    parts: list[list[tuple[int, str]]] = [[copies[0]]]
    for before, one in itertools.pairwise(copies):
        if one[0] - before[0] > pause:
            parts.append([])
        parts[-1].append(one)
    return parts


def _tally(line: str, races: list[dict[str, int]]) -> Row:
    run = [race for race in races if line in race]
    leads = []
    for race in run:
        order = sorted((at, name) for name, at in race.items())
        if len(order) > 1 and order[0][1] == line:
            leads.append(order[1][0] - order[0][0])
    met = sum(len(race) > 1 for race in run)
    return {
        "arrivals": len(run),
        "wins": len(leads),
        "win_rate": len(leads) / met if met else None,
        "advantage_p50": ms(fraction(leads, 0.5)),
        "advantage_p90": ms(fraction(leads, 0.9)),
        "advantage_p99": ms(fraction(leads, 0.99)),
        "missed": len(races) - len(run),
    }


# --- after a listing

HORIZONS = (SECOND, 10 * SECOND, MINUTE, 5 * MINUTE, HOUR)


def listing_reaction(record: Record) -> list[Row]:
    newest = sorted(
        (r for r in record["listings"] if not r["backfill"] and r["ticker"] is not None),
        key=lambda r: (-r["recv_ns"], r["connection"], -r["seq"], -r["item"]),
    )
    recorded = {(r["feed"], r["exchange"], r["symbol"]) for r in record["prices"]}
    rows = []
    for one in newest[:20]:
        head = {name: one[name] for name in ("exchange", "ticker", "feed", "connection", "seq")}
        head["recv_time"] = when(one["recv_ns"])
        mine = [i for i in recorded if ASSETS[i[2]] == one["ticker"].upper()]
        if not mine:
            rows.append(head | dict.fromkeys(_NAMES))
        for instrument in mine:
            rows += [head | row for row in _followed(record, one, instrument)]
    return rows


_NAMES = (
    "price_feed", "price_exchange", "price_symbol", "price_kind", "base_price", "base_age_seconds",
    "horizon_seconds", "price", "price_age_seconds", "change_pct", "publish_price",
    "move_before_receipt_pct", "btc_change_pct", "abnormal_pct", "gap",
)  # fmt: skip


def _followed(record: Record, one: Row, instrument: tuple[Any, ...]) -> list[Row]:
    at = one["recv_ns"]
    own = _of(record, instrument)
    kind = _kind(own, at)
    series = [r for r in own if r["kind"] == kind]
    base = _seen(series, at, MINUTE)
    published = None
    if one["publish_ns"] is not None and at - HOUR <= one["publish_ns"] <= at:
        published = _seen(series, one["publish_ns"], MINUTE)
    bitcoin = _bitcoin(record, instrument, kind, at)
    rows = []
    for horizon in HORIZONS:
        then = _seen(series, at + horizon, MINUTE)
        first = base or then
        moved = _change(base and base["price"], then and then["price"])
        start, end = (_seen(bitcoin, t, MINUTE) for t in (at, at + horizon))
        market = _change(start and start["price"], end and end["price"]) if first else None
        values = (
            *instrument,
            kind if first else None,
            base and base["price"],
            base and (at - base["recv_ns"]) / SECOND,
            horizon / SECOND,
            then and then["price"],
            then and (at + horizon - then["recv_ns"]) / SECOND,
            moved,
            published and published["price"],
            _change(published and published["price"], base and base["price"]),
            market,
            None if moved is None or market is None else moved - market,
            _bare_between(record, instrument[0], base["recv_ns"] if base else at, at + horizon),
        )
        rows.append(dict(zip(_NAMES, values, strict=True)))
    return rows


def _of(record: Record, instrument: tuple[Any, ...]) -> list[Row]:
    return [
        r for r in timely(record, MINUTE) if (r["feed"], r["exchange"], r["symbol"]) == instrument
    ]


def _kind(own: list[Row], at: int) -> str | None:
    known = [k for k in PREFERRED if _seen([r for r in own if r["kind"] == k], at, MINUTE)]
    if known:
        return known[0]
    later = [r for r in own if at < r["recv_ns"] <= at + HORIZONS[-1]]
    first = min(later, key=lambda r: (r["recv_ns"], PREFERRED.index(r["kind"])), default=None)
    return first["kind"] if first else None


def _bitcoin(record: Record, instrument: tuple[Any, ...], kind: Any, at: int) -> list[Row]:
    """Return the prices of the instrument of BTC beside an instrument."""
    feed, exchange, _ = instrument
    beside = [
        [r for r in _of(record, (feed, exchange, symbol)) if r["kind"] == kind]
        for symbol in sorted(s for s, asset in ASSETS.items() if asset == "BTC")
    ]
    return max(
        beside,
        key=lambda rows: len({r["recv_ns"] for r in rows if at - MINUTE <= r["recv_ns"] <= at}),
    )

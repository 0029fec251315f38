"""Answers of the canned queries worked out with lists and loops, from docs/queries.md alone.

A record is a dict of tables, a table a list of rows, a row a dict. Each function answers the query
of its name; a `fraction` of a list is what the page calls a percentile.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

Row = dict[str, Any]
Record = dict[str, list[Row]]

SECOND = 1_000_000_000
HOUR = 3600 * SECOND
DAY = 24 * HOUR
EVER = 2**63 - 1
ASSETS = {"BTCUSDT": "BTC", "ETHUSDT": "ETH", "BTC-USDT-SWAP": "BTC"}


def when(ns: int | None) -> datetime | None:
    """Return a time rounded down to a microsecond."""
    if ns is None:
        return None
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=ns // 1000)


def place(row: Row) -> tuple[Any, ...]:
    """Return a row's place among all frames."""
    return (row["recv_ns"], row["connection"], row["seq"], row["item"])


def groups(rows: Iterable[Row], key: Callable[[Row], Any]) -> dict[Any, list[Row]]:
    """Return the rows by key, in their order."""
    found: dict[Any, list[Row]] = defaultdict(list)
    for row in rows:
        found[key(row)].append(row)
    return found


def fraction(values: list[Any], share: float) -> float | None:
    """Return the value below which this share lies, on the line between the two nearest."""
    if not values:
        return None
    ordered = sorted(values)
    spot = share * (len(ordered) - 1)
    low = math.floor(spot)
    high = min(low + 1, len(ordered) - 1)
    return float(ordered[low] + (ordered[high] - ordered[low]) * (spot - low))


def ms(value: float | None) -> float | None:
    return None if value is None else value / 1e6


def known_sum(values: Iterable[float | None]) -> float | None:
    told = [v for v in values if v is not None]
    return sum(told) if told else None


# --- events


def listings(record: Record) -> list[Row]:
    newest = sorted(
        record["listings"], key=lambda r: (-r["recv_ns"], r["connection"], -r["seq"], -r["item"])
    )
    return [
        {
            "recv_time": when(r["recv_ns"]),
            "ticker": r["ticker"],
            "feed": r["feed"],
            "latency_ms": None
            if r["publish_ns"] is None
            else (r["recv_ns"] - r["publish_ns"]) / 1e6,
            "publish_time": when(r["publish_ns"]),
        }
        for r in newest[:100]
    ]


def rejects_summary(record: Record) -> list[Row]:
    counted = groups(record["rejects"], lambda r: (r["feed"], r["channel"], r["reason"]))
    return [
        {
            "feed": feed,
            "channel": channel,
            "reason": reason,
            "count": len(rows),
            "first_time": when(min(r["recv_ns"] for r in rows)),
            "last_time": when(max(r["recv_ns"] for r in rows)),
        }
        for (feed, channel, reason), rows in counted.items()
    ]


def liquidation_totals(record: Record) -> list[Row]:
    def hour(r: Row) -> int:
        known = r["event_ns"] is not None and r["event_ns"] <= r["recv_ns"] + DAY
        return (r["event_ns"] if known else r["recv_ns"]) // HOUR * HOUR  # type: ignore[no-any-return]

    sorts = groups(
        record["liquidations"],
        lambda r: (hour(r), r["exchange"], r["position_side"] or "unknown", r["feed"]),
    )
    rows = []
    for (start, exchange, side, feed), members in sorts.items():
        dollars = [r["notional_usd"] for r in members if r["notional_usd"] is not None]
        rows.append(
            {
                "time": when(start),
                "exchange": exchange,
                "position_side": side,
                "feed": feed,
                "count": len(members),
                "notional_usd": sum(dollars) if dollars else None,
                "largest_usd": max(dollars, default=None),
                "without_usd": len(members) - len(dollars),
            }
        )
    return rows


def liquidation_cascades(record: Record) -> list[Row]:
    """Bursts with pauses of at most ten seconds; at least two liquidations (as the test asks)."""
    series = groups(
        (r for r in record["liquidations"] if not r["backfill"]),
        lambda r: (r["feed"], r["exchange"], r["symbol"]),
    )
    return _bursts(record, series)


def cascades_of_assets(record: Record) -> list[Row]:
    """Bursts of an asset on all venues, each venue told by its most talkative feed."""
    fresh = [r for r in record["liquidations"] if not r["backfill"]]
    heard: list[Row] = []
    for (venue, _), told in groups(fresh, lambda r: (r["exchange"], ASSETS[r["symbol"]])).items():
        feeds = groups(told, lambda r: r["feed"])
        most = min(feeds, key=lambda feed: (-len(feeds[feed]), feed))
        heard += told if venue is None else feeds[most]
    return _bursts(record, groups(heard, lambda r: (None, None, ASSETS[r["symbol"]])))


def _bursts(record: Record, series: dict[Any, list[Row]]) -> list[Row]:
    bursts: list[tuple[Any, list[Row]]] = []
    for key, members in series.items():
        ordered = sorted(members, key=place)
        bursts.append((key, [ordered[0]]))
        for before, row in itertools.pairwise(ordered):
            if row["recv_ns"] - before["recv_ns"] > 10 * SECOND:
                bursts.append((key, []))
            bursts[-1][1].append(row)
    rows = []
    for (feed, exchange, name), burst in bursts:
        if len(burst) < 2:
            continue
        first, last = burst[0]["recv_ns"], burst[-1]["recv_ns"]
        sides = {r["position_side"] for r in burst} - {None}
        kind, before, after, low, high = _moved(record, burst[0], first, last)
        rows.append(
            {
                "start_time": when(first),
                "end_time": when(last),
                "count": len(burst),
                "feed": feed,
                "exchange": exchange,
                "symbol": name,
                "price_symbol": burst[0]["symbol"],
                "exchanges": sorted({r["exchange"] for r in burst} - {None}) or None,
                "open_interest_usd": _interest(record, burst[0], first),
                "long_usd": known_sum(
                    r["notional_usd"] for r in burst if r["position_side"] == "long"
                ),
                "short_usd": known_sum(
                    r["notional_usd"] for r in burst if r["position_side"] == "short"
                ),
                "side": "unknown" if not sides else sides.pop() if len(sides) == 1 else "mixed",
                "notional_usd": known_sum(r["notional_usd"] for r in burst),
                "price_kind": kind,
                "price_before": before,
                "price_after": after,
                "price_lowest": low,
                "price_highest": high,
                "gap": any(
                    _bare_between(record, each, first - 10 * SECOND, last + 10 * SECOND)
                    for each in {r["feed"] for r in burst}
                ),
            }
        )
    return rows


def _interest(record: Record, what: Row, at: int) -> float | None:
    known = [
        r
        for r in record["open_interest"]
        if (r["exchange"], r["symbol"]) == (what["exchange"], what["symbol"])
        and at - DAY <= r["recv_ns"] < at
        and not r["backfill"]
        and r["open_interest_usd"] is not None
    ]
    last = max(known, key=lambda r: (r["recv_ns"], r["feed"], *place(r)), default=None)
    return None if last is None else float(last["open_interest_usd"])


PREFERRED = ["last", "mark", "mid", "index"]


def timely(record: Record, age: int) -> list[Row]:
    """Return the prices that were no older than `age` when they came."""
    return [
        r
        for r in record["prices"]
        if r["price"] is not None
        and math.isfinite(r["price"])
        and (r["event_ns"] is None or r["recv_ns"] - r["event_ns"] <= age)
    ]


def _moved(record: Record, what: Row, first: int, last: int) -> tuple[Any, ...]:
    age = 60 * SECOND
    mine = [
        r
        for r in timely(record, age)
        if (r["symbol"], r["exchange"]) == (what["symbol"], what["exchange"])
        and first - age <= r["recv_ns"] <= last + age
    ]
    best: tuple[Any, ...] | None = None
    for kind, rows in groups(mine, lambda r: r["kind"]).items():
        early = [r for r in rows if first - age <= r["recv_ns"] < first]
        late = [r for r in rows if last - age <= r["recv_ns"] <= last]
        within = [r["price"] for r in rows if r["recv_ns"] >= first]
        before = max(early, key=place)["price"] if early else None
        after = max(late, key=place)["price"] if late else None
        rank = (
            before is None or after is None,
            before is None,
            after is None,
            PREFERRED.index(kind),
        )
        answer = (kind, before, after, min(within, default=None), max(within, default=None))
        if best is None or rank < best[0]:
            best = (rank, answer)
    return best[1] if best else (None,) * 5


# --- what was bare


def bare(record: Record, feed: str) -> list[tuple[int, int]]:
    """Return when events of a feed may be missing: walk from moment to moment and look around."""
    own = [c for c in record["connections"] if c["feed"] == feed and c["opened_ns"] is not None]
    if not own:
        return []

    def until(c: Row) -> int:
        heard: int = c["opened_ns"] if c["last_heard_ns"] is None else c["last_heard_ns"]
        return heard if c["closed_ns"] is None else min(heard, c["closed_ns"])

    def may_live(c: Row) -> bool:
        newest = max(
            o["opened_ns"]
            for o in own
            if (o["line_group"], o["line"]) == (c["line_group"], c["line"])
        )
        return c["closed_ns"] is None and until(c) >= newest

    def begin(c: Row) -> int:
        """A first frame within five seconds begins it; a later one tells of a quiet stream."""
        waited: int = c["first_frame_ns"] - c["opened_ns"]
        opened: int = c["opened_ns"]
        return opened + (waited if 0 < waited <= 5 * 10**9 else 0)

    # Nothing covers that never brought a frame.
    spoke = [c for c in own if c["first_frame_ns"] is not None]
    if not spoke:
        found = []
    else:
        stamps = [c[t] for c in spoke for t in ("opened_ns", "last_heard_ns", "closed_ns")]
        last = max(t for t in stamps if t is not None)
        found = [(-(2**63), min(begin(c) for c in spoke)), (last, EVER)]
    for gap in record["gaps"]:
        if gap["feed"] != feed:
            continue
        others = [
            c
            for c in spoke
            if c["line_group"] == gap["line_group"]
            and c["line"] != gap["line"]
            and until(c) > begin(c)
        ]
        end = EVER if gap["to_ns"] is None else gap["to_ns"]
        lives = [
            (begin(c), EVER if gap["to_ns"] is None and may_live(c) else until(c)) for c in others
        ]
        cuts = sorted(
            {gap["from_ns"], end} | {t for life in lives for t in life if gap["from_ns"] < t < end}
        )
        found += [
            (a, b)
            for a, b in itertools.pairwise(cuts)
            if not any(x <= a and b <= y for x, y in lives)
        ]
    return found


def _bare_between(record: Record, feed: str, start: int, end: int) -> bool:
    return any(a < end and b > start for a, b in bare(record, feed))


def coverage(record: Record) -> list[Row]:
    """Measure each day by counting the stretches between all moments at which something changed."""
    stamps = [
        t for c in record["connections"] for t in (c["recv_ns"], c["last_heard_ns"], c["closed_ns"])
    ]
    stamps += [t for g in record["gaps"] for t in (g["recv_ns"], g["from_ns"], g["to_ns"])]
    newest = max((t for t in stamps if t is not None), default=0)
    running = max(
        (
            t
            for c in record["connections"]
            if c["reason"] != "stopping"
            for t in (c["recv_ns"], c["last_heard_ns"], c["closed_ns"])
            if t is not None
        ),
        default=0,
    )
    rows = []
    keys = {
        (x["feed"], x["line"])
        for t in ("connections", "gaps")
        for x in record[t]
        if t == "gaps" or x["opened_ns"] is not None
    }
    for feed, line in sorted(keys, key=str):
        alive, away = [], []
        for c in record["connections"]:
            if (c["feed"], c["line"]) == (feed, line) and c["opened_ns"] is not None:
                end = c["last_heard_ns"] if c["closed_ns"] is None else c["closed_ns"]
                alive.append((c["line_group"], c["opened_ns"], max(c["opened_ns"], end or 0), c))
        for g in record["gaps"]:
            if (g["feed"], g["line"]) == (feed, line):
                stopped = g["cause"] == "the recorder was stopped"
                end = (running if stopped else newest) if g["to_ns"] is None else g["to_ns"]
                if end > g["from_ns"]:
                    away.append((g["line_group"], g["from_ns"], end, g))
        empty = bare_of_line(record, feed, line)
        for day in range(
            min([x[1] for x in alive + away], default=0) // DAY,
            max([x[2] for x in alive + away], default=0) // DAY + 1,
        ):
            row = _day(day, alive, away, empty)
            if row is not None:
                rows.append({"day": when(day * DAY), "feed": feed, "line": line, **row})
    return rows


def bare_of_line(
    record: Record, feed: str, line: str | None
) -> dict[str | None, list[tuple[int, int]]]:
    """Return the bare intervals of each channel of a line."""
    channels = {g["line_group"] for g in record["gaps"] if (g["feed"], g["line"]) == (feed, line)}
    return {
        channel: bare(
            {
                **record,
                "gaps": [
                    g
                    for g in record["gaps"]
                    if g["line"] == line and g["line_group"] == channel and g["feed"] == feed
                ],
            },
            feed,
        )[2:]
        for channel in channels
    }


def _day(
    day: int, alive: list[Any], away: list[Any], empty: dict[Any, list[tuple[int, int]]]
) -> Row | None:
    start, end = day * DAY, (day + 1) * DAY
    # An interval of no length is on its own day.
    here = [x for x in alive if x[1] < end and (x[2] > start or x[1] == x[2] >= start)]
    gone = [x for x in away if x[1] < end and x[2] > start]
    if not here and not gone:
        return None
    channels = {x[0] for x in here + gone}
    cuts = sorted(
        {start, end}
        | {t for x in here + gone for t in x[1:3] if start < t < end}
        | {t for c in empty.values() for piece in c for t in piece if start < t < end}
    )
    up = down = dark = channel_up = channel_down = 0
    for a, b in itertools.pairwise(cuts):
        lost = {x[0] for x in gone if x[1] <= a and b <= x[2]}
        live = {x[0] for x in here if x[1] <= a and b <= x[2]} - lost
        unseen = {c for c in lost if any(x <= a and b <= y for x, y in empty.get(c, []))}
        down += (b - a) * bool(lost)
        up += (b - a) * (bool(live) and not lost)
        dark += (b - a) * bool(unseen)
        channel_up += (b - a) * len(live)
        channel_down += (b - a) * len(lost)
    opened = [x[3]["frames"] for x in here if x[1] // DAY == day]
    return {
        "channels": len(channels),
        "connected_seconds": up / 1e9,
        "gap_seconds": down / 1e9,
        "gap_share": channel_down / (down * len(channels)) if down else None,
        "uptime": channel_up / (channel_up + channel_down) if channel_up + channel_down else None,
        "gaps": len(gone),
        "uncovered_seconds": dark / 1e9,
        "worst_gap_seconds": max(
            ((min(x[2], end) - max(x[1], start)) / 1e9 for x in gone), default=None
        ),
        "frames": None if not opened or None in opened else sum(opened),
    }


# --- funding


def stated(record: Record) -> list[Row]:
    return [r for r in record["funding"] if r["rate"] is not None and not r["backfill"]]


def hours(r: Row) -> float | None:
    return r["interval_hours"] or None


def yearly(r: Row) -> float | None:
    return None if hours(r) is None else r["rate"] * 24 / r["interval_hours"] * 365


def funding_rates(record: Record) -> list[Row]:
    rows = []
    for (exchange, symbol), members in groups(
        stated(record), lambda r: (r["exchange"], r["symbol"])
    ).items():
        for choice in ("expected", None, "realised"):
            alike = [r for r in members if r["basis"] == choice]
            if alike:
                seen = max(alike, key=place)
                rows.append(
                    {
                        "exchange": exchange,
                        "symbol": symbol,
                        "rate": seen["rate"],
                        "basis": choice,
                        "interval_hours": seen["interval_hours"],
                        "annualised": yearly(seen),
                        "rate_per_hour": None
                        if hours(seen) is None
                        else seen["rate"] / hours(seen),
                        "feed": seen["feed"],
                        "recv_time": when(seen["recv_ns"]),
                    }
                )
                break
    return rows


def funding_over_time(record: Record) -> list[Row]:
    series = groups(
        stated(record),
        lambda r: (r["recv_ns"] // HOUR * HOUR, r["exchange"], r["symbol"], r["basis"]),
    )
    rows = []
    for (start, exchange, symbol, basis), members in series.items():
        seen = max(members, key=place)
        rows.append(
            {
                "time": when(start),
                "exchange": exchange,
                "symbol": symbol,
                "basis": basis,
                "rate": seen["rate"],
                "annualised": yearly(seen),
                "count": len(members),
            }
        )
    return rows


def funding_spread(record: Record) -> list[Row]:
    told = [r for r in stated(record) if r["exchange"] is not None and r["symbol"] is not None]
    newest = max((r["recv_ns"] for r in told), default=0)
    latest = []
    for members in groups(told, lambda r: (r["exchange"], r["symbol"], r["basis"])).values():
        seen = max(members, key=place)
        age = newest // 1000 - seen["recv_ns"] // 1000
        if age <= DAY // 1000 and (
            hours(seen) is None or age <= 2 * seen["interval_hours"] * 3600e6
        ):
            latest.append(seen)
    rows = []
    for (asset, unknown, basis), members in groups(
        latest, lambda r: (ASSETS[r["symbol"]], hours(r) is None, r["basis"])
    ).items():
        best: tuple[Any, ...] | None = None
        for high in members:
            for low in members:
                if high["exchange"] == low["exchange"]:
                    continue
                a, b = (x["rate"] / (hours(x) or 1) for x in (high, low))
                if best is None or a - b > best[0]:
                    best = (a - b, a, b)
        if best is not None:
            rows.append(
                {
                    "asset": asset,
                    "basis": "interval" if unknown else "hour",
                    "stated": basis,
                    "spread": best[0],
                    "high_rate": best[1],
                    "low_rate": best[2],
                    "spread_annualised": None if unknown else best[0] * 8760,
                    "hours_to_earn": None if unknown or best[0] <= 0 else 0.001 / best[0],
                }
            )
    return rows


def funding_extremes(record: Record) -> list[Row]:
    told = [r for r in stated(record) if math.isfinite(r["rate"])]
    rows = []
    for (feed, exchange, symbol, basis), members in groups(
        told, lambda r: (r["feed"], r["exchange"], r["symbol"], r["basis"])
    ).items():
        last = max(members, key=lambda r: (r["recv_ns"], hours(r) is not None, place(r)))
        same = [r for r in members if (hours(r) is None) == (hours(last) is None)]
        last = max(same, key=place)
        now = last["rate"] / (hours(last) or 1)
        past = [r["rate"] / (hours(r) or 1) for r in same if r["recv_ns"] < last["recv_ns"]]
        spread = statistics.stdev(past) if len(past) > 1 and min(past) < max(past) else None
        cells = groups(
            same, lambda r: (r["interval_hours"], r["recv_ns"] // int((hours(r) or 1) * HOUR))
        )
        each = [
            max(c, key=place)
            for c in cells.values()
            if max(r["recv_ns"] for r in c) < last["recv_ns"]
        ]
        calm = [r["rate"] / (hours(r) or 1) for r in each]
        middle = statistics.median(calm) if calm else None
        mad = (
            statistics.median(abs(v - middle) for v in calm)
            if calm and middle is not None
            else None
        )
        rows.append(
            {
                "feed": feed,
                "exchange": exchange,
                "symbol": symbol,
                "basis": basis,
                "rate": last["rate"],
                "rate_per_hour": now,
                "annualised": yearly(last),
                "count": len(past),
                "below": sum(v < now for v in past) / len(past) if past else None,
                "mean": statistics.fmean(past) if past else None,
                "z": (now - statistics.fmean(past)) / spread if spread and len(past) >= 2 else None,
                "intervals": len(calm),
                "median": middle,
                "mad": mad,
            }
        )
    return rows


# --- latency

HOPS = {
    "detection": ("publish_ns", "detected_ns"),
    "dispatch": ("detected_ns", "dispatch_ns"),
    "network": ("dispatch_ns", "recv_ns"),
    "total": (None, "recv_ns"),
}


def hop(r: Row, name: str) -> int | None:
    begin, end = HOPS[name]
    start = r[begin] if begin else (r["event_ns"] if r["publish_ns"] is None else r["publish_ns"])
    return None if start is None or r[end] is None else r[end] - start


def measured(members: list[Row], name: str, shares: dict[str, float]) -> Row | None:
    kept = [r for r in members if hop(r, name) is not None]
    if not kept:
        return None
    values = [hop(r, name) for r in kept]
    row: Row = {"hop": name, "count": len(kept), "max": ms(max(values))}  # type: ignore[type-var]
    row |= {column: ms(fraction(values, share)) for column, share in shares.items()}
    errors = [r["clock_error_ns"] for r in kept if r["clock_error_ns"] is not None]
    if name in {"detection", "dispatch"}:
        errors = []
    row["clock_error_p50"] = ms(fraction(errors, 0.5))
    row["clock_error_max"] = ms(max(errors, default=None))
    return row


def live(record: Record) -> list[Row]:
    return [r for r in record["latency"] if not r["backfill"]]


def latency_percentiles(record: Record) -> list[Row]:
    rows = []
    for (feed, channel), members in groups(
        live(record), lambda r: (r["feed"], r["channel"])
    ).items():
        for name in HOPS:
            row = measured(members, name, {"p50": 0.5, "p90": 0.9, "p99": 0.99})
            if row:
                negatives = sum((hop(r, name) or 0) < 0 for r in members)
                rows.append(
                    {"feed": feed, "channel": channel, "p99_9": None, "negatives": negatives, **row}
                )
    return rows


def latency_heatmap(record: Record) -> list[Row]:
    rows = []
    for (feed, hour), members in groups(
        live(record), lambda r: (r["feed"], r["recv_ns"] // HOUR % 24)
    ).items():
        for name in HOPS:
            row = measured(members, name, {"p50": 0.5, "p90": 0.9, "p99": 0.99})
            if row:
                days = len({r["recv_ns"] // DAY for r in members})
                rows.append({"feed": feed, "hour": hour, "days": days, **row})
    return rows


def latency_over_time(record: Record) -> list[Row]:
    rows = []
    series = groups(live(record), lambda r: (r["recv_ns"] // HOUR * HOUR, r["feed"], r["channel"]))
    for (start, feed, channel), members in series.items():
        row = measured(members, "total", {"p50": 0.5, "p90": 0.9, "p99": 0.99})
        if row:
            del row["hop"]
            rows.append({"time": when(start), "feed": feed, "channel": channel, **row})
    return rows

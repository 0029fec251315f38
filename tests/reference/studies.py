"""Answers about events, whales and open interest, worked out with lists and loops.

As `answers`: from the words of docs/queries.md alone.
"""

from __future__ import annotations

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
    hop,
    known_sum,
    live,
    ms,
    place,
    timely,
    when,
)

MINUTE = 60 * SECOND
EVENTS = (
    "whales",
    "funding",
    "liquidations",
    "listings",
    "open_interest",
    "flows",
    "signals",
    "alerts",
    "system_status",
)
#: The column that is the value of an event in dollars.
WORTH = {"flows": "amount_usd", "open_interest": "open_interest_usd"}


def event_history(record: Record) -> list[Row]:
    found = []
    for kind in EVENTS:
        for r in record.get(kind, []):
            named = [r.get(name) for name in ("symbol", "asset", "ticker")]
            found.append(
                {
                    "recv_time": when(r["recv_ns"]),
                    "kind": kind,
                    "exchange": r["exchange"],
                    "symbol": next((n for n in named if n is not None), None)
                    if kind != "listings"
                    else r["ticker"],
                    "notional_usd": r.get(WORTH.get(kind, "notional_usd")),
                    "event_ns": r["event_ns"],
                    "feed": r["feed"],
                    "connection": r["connection"],
                    "seq": r["seq"],
                }
            )
    found.sort(key=lambda r: r["recv_time"], reverse=True)
    return found[:100]


def whale_moves(record: Record) -> list[Row]:
    def size(r: Row) -> tuple[bool, float]:
        return r["notional_usd"] is None, -(r["notional_usd"] or 0)

    names = ("exchange", "symbol", "asset", "kind", "action", "side", "notional_usd", "wallet")
    return [
        {name: r[name] for name in (*names, "buyer", "seller", "feed", "connection", "seq")}
        | {"recv_time": when(r["recv_ns"]), "event_time": when(r["event_ns"])}
        for r in sorted(record["whales"], key=size)
    ]


def whale_clusters(record: Record) -> list[Row]:
    """Three whales within five minutes."""
    span, least = 5 * MINUTE, 3
    series = groups(
        (r for r in record["whales"] if not r["backfill"]),
        lambda r: (r["asset"], r["kind"], r["side"]),
    )
    rows = []
    for (asset, kind, side), members in series.items():
        ordered = sorted(members, key=place)
        runs: list[set[int]] = []
        for first in range(len(ordered) - least + 1):
            last = first + least - 1
            if ordered[last]["recv_ns"] - ordered[first]["recv_ns"] <= span:
                window = set(range(first, last + 1))
                if runs and runs[-1] & window:
                    runs[-1] |= window
                else:
                    runs.append(window)
        for run in runs:
            moves = [ordered[n] for n in sorted(run)]
            who = [_account(r) for r in moves]
            known = {w for w in who if w is not None}
            if len(known) + who.count(None) < least:
                continue
            first_ns, last_ns = moves[0]["recv_ns"], moves[-1]["recv_ns"]
            rows.append(
                {
                    "start_time": when(first_ns),
                    "end_time": when(last_ns),
                    "duration_seconds": (last_ns - first_ns) / SECOND,
                    "asset": asset,
                    "kind": kind,
                    "side": side,
                    "whales": len(known),
                    "unnamed": who.count(None),
                    "moves": len(moves),
                    "notional_usd": known_sum(r["notional_usd"] for r in moves),
                    "without_usd": sum(r["notional_usd"] is None for r in moves),
                    "gap": any(
                        _bare_between(record, feed, first_ns - span, last_ns + span)
                        for feed in {r["feed"] for r in moves}
                    ),
                }
            )
    return rows


def _account(r: Row) -> str | None:
    if r["wallet"] is not None:
        return str(r["wallet"])
    named: str | None = {"buy": r["buyer"], "sell": r["seller"]}.get(r["side"] or "")
    return named


def slowest_frames(record: Record) -> list[Row]:
    told = [(hop(r, "total"), r) for r in live(record)]
    known = [(ns, r) for ns, r in told if ns is not None]
    return [
        {
            "recv_time": when(r["recv_ns"]),
            "feed": r["feed"],
            "channel": r["channel"],
            "exchange": r["exchange"],
            "hop": "total",
            "latency_ms": ns / 1e6,
            "clock_error_ms": ms(r["clock_error_ns"]),
            "connection": r["connection"],
            "seq": r["seq"],
        }
        for ns, r in sorted(known, key=lambda pair: -pair[0])[:20]
    ]


def latency_waterfall(record: Record) -> list[Row]:
    def stages(r: Row) -> list[tuple[str, int]]:
        began = (
            ("event", r["event_ns"]) if r["publish_ns"] is None else ("published", r["publish_ns"])
        )
        told = [began, ("detected", r["detected_ns"]), ("dispatched", r["dispatch_ns"])]
        return [(name, at) for name, at in told if at is not None] + [("received", r["recv_ns"])]

    paths = groups(
        live(record), lambda r: (r["feed"], r["channel"], tuple(name for name, _ in stages(r)))
    )
    rows = []
    for (feed, channel, path), members in paths.items():
        times = [[at for _, at in stages(r)] for r in members]
        for step in range(1, len(path)):
            took = [t[step] - t[step - 1] for t in times]
            starts, ends = ([t[n] - t[0] for t in times] for n in (step - 1, step))
            ours = path[step] == "received"
            errors = [r["clock_error_ns"] for r in members if ours]
            errors = [e for e in errors if e is not None]
            rows.append(
                {
                    "feed": feed,
                    "channel": channel,
                    "step": step,
                    "from_stage": path[step - 1],
                    "to_stage": path[step],
                    "count": len(members),
                    "p50": ms(fraction(took, 0.5)),
                    "p90": ms(fraction(took, 0.9)),
                    "p99": ms(fraction(took, 0.99)),
                    "max": max(took) / 1e6,
                    "negatives": sum(t < 0 for t in took),
                    "start_p50": ms(fraction(starts, 0.5)),
                    "end_p50": ms(fraction(ends, 0.5)),
                    "start_p99": ms(fraction(starts, 0.99)),
                    "end_p99": ms(fraction(ends, 0.99)),
                    "clock_error_p50": ms(fraction(errors, 0.5)),
                    "clock_error_max": ms(max(errors, default=None)),
                }
            )
    return rows


def _seen(rows: list[Row], at: int, age: int) -> Row | None:
    """Return the last row received by a moment, unless it was older than `age` then."""
    early = [r for r in rows if r["recv_ns"] <= at]
    last = max(early, key=place, default=None)
    return last if last is not None and at - last["recv_ns"] <= age else None


def _change(before: float | None, after: float | None) -> float | None:
    return None if not before or after is None else (after / before - 1) * 100


def open_interest_changes(record: Record) -> list[Row]:
    told = groups(
        (
            r
            for r in record["open_interest"]
            if not r["backfill"] and (r["open_interest"], r["open_interest_usd"]) != (None, None)
        ),
        lambda r: (r["feed"], r["exchange"], r["symbol"]),
    )
    rows = []
    for (feed, exchange, symbol), members in told.items():
        latest = max(members, key=place)
        then = latest["recv_ns"] - HOUR
        earlier = _seen(members, then, HOUR) or {}
        unit = "open_interest"
        if latest["open_interest"] is None:
            unit = "open_interest_usd"
        rows.append(
            {
                "recv_time": when(latest["recv_ns"]),
                "exchange": exchange,
                "symbol": symbol,
                "open_interest": latest["open_interest"],
                "open_interest_usd": latest["open_interest_usd"],
                "earlier_time": when(earlier.get("recv_ns")),
                "earlier": earlier.get("open_interest"),
                "earlier_usd": earlier.get("open_interest_usd"),
                "change_pct": _change(earlier.get(unit), latest[unit]),
                "price_change_pct": _price_change(
                    record, feed, exchange, symbol, earlier.get("recv_ns"), latest["recv_ns"]
                ),
                "feed": feed,
                "seq": latest["seq"],
            }
        )
    return rows


def _price_change(  # noqa: PLR0917
    record: Record, feed: str, exchange: Any, symbol: str, then: int | None, now: int
) -> float | None:
    if then is None:
        return None
    own = [
        r
        for r in timely(record, HOUR)
        if (r["feed"], r["exchange"], r["symbol"]) == (feed, exchange, symbol)
    ]
    for kind in PREFERRED:
        rows = [r for r in own if r["kind"] == kind]
        before, after = _seen(rows, then, HOUR), _seen(rows, now, HOUR)
        if before is not None and after is not None:
            return _change(before["price"], after["price"])
    return None


def event_window(record: Record) -> list[Row]:
    """Five minutes around each listing: the events of its asset."""
    rows = []
    span = 5 * MINUTE
    newest = sorted(
        (r for r in record["listings"] if not r["backfill"] and r["ticker"] is not None),
        key=lambda r: (-r["recv_ns"], r["connection"], -r["seq"], -r["item"]),
    )
    for one in newest[:20]:
        asset = one["ticker"].upper()
        row = {"recv_time": when(one["recv_ns"]), "symbol": one["ticker"], "seq": one["seq"]}
        for table, name, dollars in (
            ("liquidations", "liquidations", "liquidated_usd"),
            ("whales", "whales", "whale_usd"),
        ):
            begin, end = one["recv_ns"] - span, one["recv_ns"] + span
            around = [
                r
                for r in record[table]
                if begin <= r["recv_ns"] <= end
                and not r["backfill"]
                and (r["asset"] if table == "whales" else ASSETS[r["symbol"]]) == asset
            ]
            kept = []
            for exchange, told in groups(around, lambda r: r["exchange"]).items():
                feeds = groups(told, lambda r: r["feed"])
                most = max(feeds, key=lambda feed: (feed == one["feed"], len(feeds[feed]), feed))
                kept += told if exchange is None else feeds[most]
            for side, some in (
                ("before", [r for r in kept if r["recv_ns"] < one["recv_ns"]]),
                ("after", [r for r in kept if r["recv_ns"] >= one["recv_ns"]]),
            ):
                row[f"{name}_{side}"] = len(some)
                row[f"{dollars}_{side}"] = known_sum(r["notional_usd"] for r in some)
        rows.append(row)
    return rows

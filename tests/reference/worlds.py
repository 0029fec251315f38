"""Random small records: ties, NULLs, NaN, negative latencies, borders, a month's end."""

from __future__ import annotations

import math
from typing import Any

from hypothesis import strategies as st
from kit import made

from recorder.record.gaps import Lifetime, gaps

Row = dict[str, Any]

SECOND = 1_000_000_000
#: Half an hour before the first of November 2026.
T0 = 1_793_491_200 * SECOND - 1800 * SECOND

#: Seconds after T0: dense around two borders, so that ties and thresholds are met.
moments = st.one_of(st.integers(0, 30), st.integers(1790, 1810), st.integers(3590, 3600))
FEEDS = st.sampled_from(["f", "g"])
VENUES = st.sampled_from(["binance", "okx", None])
SYMBOLS = st.sampled_from(["BTCUSDT", "ETHUSDT", "BTC-USDT-SWAP"])
PAST = st.sampled_from([False, False, None, True])
DOLLARS = st.sampled_from([None, 0.0, 1.0, 10.0, 10.0, 1e6])


@st.composite
def common(draw: st.DrawFn) -> Row:
    at = T0 + draw(moments) * SECOND
    late = draw(st.sampled_from([None, 0, 1, 60, 61, -1]))
    return {
        "feed": draw(FEEDS),
        "channel": draw(st.sampled_from(["c", "d", None])),
        "exchange": draw(VENUES),
        "symbol": draw(SYMBOLS),
        "recv_ns": at,
        "event_ns": None if late is None else at - late * SECOND,
        "connection": draw(st.sampled_from(["one", "two"])),
        "backfill": draw(PAST),
    }


@st.composite
def price(draw: st.DrawFn) -> Row:
    kind = draw(st.sampled_from(["last", "mark", "mid", "index"]))
    value = draw(st.sampled_from([1.0, 2.0, 100.0, None, math.nan, math.inf]))
    return draw(common()) | {"kind": kind, "price": value}


@st.composite
def liquidation(draw: st.DrawFn) -> Row:
    side = draw(st.sampled_from(["long", "short", None]))
    row = draw(common()) | {"position_side": side, "notional_usd": draw(DOLLARS)}
    ahead = draw(st.sampled_from([None, None, None, 86_400, 86_401]))
    return row if ahead is None else row | {"event_ns": row["recv_ns"] + ahead * SECOND}


@st.composite
def rate(draw: st.DrawFn) -> Row:
    return draw(common()) | {
        "rate": draw(st.sampled_from([0.0001, 0.0008, -0.0003, 0.002, None])),
        "interval_hours": draw(st.sampled_from([8.0, 1.0, 4.0, None, 0.0])),
        "basis": draw(st.sampled_from(["expected", "expected", "realised", None])),
    }


#: Seconds after T0 at which rates come: some just as old as the newest may make them.
LATE = (0, 2, 5, 1800, 1801, 3600, 3600)
OLD = tuple(3600 - age - more for age in (7200, 57_600, 86_400, 604_800) for more in (0, 1))


@st.composite
def busy_rate(draw: st.DrawFn) -> Row:
    """One asset on three venues, so that rates meet: spreads, histories, ties."""
    at = T0 + draw(st.sampled_from(draw(st.sampled_from([LATE, LATE, OLD])))) * SECOND
    return draw(rate()) | {
        "recv_ns": at,
        "event_ns": at,
        "feed": draw(st.sampled_from(["f", "f", "f", "g"])),
        "exchange": draw(st.sampled_from(["binance", "binance", "okx", "bybit"])),
        "symbol": "BTCUSDT",
        "rate": draw(st.sampled_from([0.0001, 0.0002, 0.0003, 0.0008, -0.0003, 0.002])),
        "interval_hours": draw(st.sampled_from([8.0, 8.0, 1.0])),
        "basis": "expected",
        "backfill": draw(st.sampled_from([False, False, False, None, True])),
    }


@st.composite
def burst(draw: st.DrawFn) -> Row:
    """Liquidations of one asset, seconds apart, most of one instrument."""
    at = T0 + draw(st.sampled_from([0, 1, 2, 10, 11, 12, 20, 22, 23])) * SECOND
    return draw(liquidation()) | {
        "recv_ns": at,
        "feed": draw(st.sampled_from(["f", "f", "f", "g"])),
        "exchange": draw(st.sampled_from(["binance", "binance", "binance", "okx"])),
        "symbol": draw(st.sampled_from(["BTCUSDT", "BTCUSDT", "BTCUSDT", "BTC-USDT-SWAP"])),
        "backfill": draw(st.sampled_from([False, False, False, True])),
    }


@st.composite
def held(draw: st.DrawFn) -> Row:
    """Open interest of the instrument of most bursts, a day before them and just before."""
    at = T0 + draw(st.sampled_from([-86_400, -86_399, -1, 0, 1, 10, 11])) * SECOND
    return draw(interest()) | {"recv_ns": at, "exchange": "binance", "symbol": "BTCUSDT"}


@st.composite
def near_price(draw: st.DrawFn) -> Row:
    """Prices of the instrument of the bursts, around them."""
    near = (-61, -60, -59, -1, 0, 1, 9, 10, 12, 20, 23, 60, 61, 70, 72, 80, 82, 83, 84)
    at = T0 + draw(st.sampled_from(near)) * SECOND
    return draw(price()) | {
        "recv_ns": at,
        "event_ns": at,
        "feed": "f",
        "exchange": "binance",
        "symbol": "BTCUSDT",
        "price": draw(st.sampled_from([99.0, 100.0, 101.0, 103.0])),
    }


@st.composite
def delay(draw: st.DrawFn) -> Row:
    row = draw(common())
    steps = [draw(st.sampled_from([None, -5, 0, 7, 7, 1000])) for _ in range(3)]
    at = row["recv_ns"]
    names = ("publish_ns", "detected_ns", "dispatch_ns")
    row |= {
        name: None if step is None else at - step * 1_000_000
        for name, step in zip(names, steps, strict=True)
    }
    began = row["event_ns"] if row["publish_ns"] is None else row["publish_ns"]
    sent = row["dispatch_ns"]
    return row | {
        "total_ns": None if began is None else at - began,
        "network_ns": None if sent is None else at - sent,
        "clock_error_ns": draw(st.sampled_from([None, 10_000, 50_000_000])),
    }


@st.composite
def listing(draw: st.DrawFn) -> Row:
    row = draw(common())
    ago = draw(st.sampled_from([None, 0, 2, -1, 30]))
    return row | {
        "symbol": None,
        "ticker": draw(st.sampled_from(["BTC", "eth", None])),
        "publish_ns": None if ago is None else row["recv_ns"] - ago * SECOND,
    }


@st.composite
def whale(draw: st.DrawFn) -> Row:
    row = draw(common())
    kind = draw(st.sampled_from(["trade", "position"]))
    names = st.sampled_from([None, "w1", "w2", "w3"])
    return row | {
        "kind": kind,
        "asset": draw(st.sampled_from(["BTC", "BTC", "ETH"])),
        "action": draw(st.sampled_from([None, "open", "close"])),
        "side": draw(st.sampled_from(["buy", "buy", "sell", None]))
        if kind == "trade"
        else draw(st.sampled_from(["long", "long", "short", None])),
        "wallet": draw(names) if kind == "position" else None,
        "buyer": draw(names) if kind == "trade" else None,
        "seller": draw(names) if kind == "trade" else None,
        "notional_usd": draw(DOLLARS),
    }


@st.composite
def interest(draw: st.DrawFn) -> Row:
    coins = draw(st.sampled_from([1.0, 2.0, 100.0, 0.0, None]))
    return draw(common()) | {
        "open_interest": coins,
        "open_interest_usd": draw(st.sampled_from([10.0, 25.0, None])),
    }


@st.composite
def other(draw: st.DrawFn) -> Row:
    return draw(common()) | {"amount_usd": draw(DOLLARS), "asset": "BTC"}


@st.composite
def reject(draw: st.DrawFn) -> Row:
    return draw(common()) | {"reason": draw(st.sampled_from(["a", "b"])), "payload": b"x"}


@st.composite
def connection(draw: st.DrawFn) -> Row:
    opened = T0 + draw(moments) * SECOND
    heard = opened + draw(st.sampled_from([0, 1, 10, 1800])) * SECOND
    closed = None if draw(st.booleans()) else heard + draw(st.sampled_from([0, 5])) * SECOND
    return {
        "feed": draw(FEEDS),
        "line_group": draw(st.sampled_from(["x", "y"])),
        "line": draw(st.sampled_from(["A", "B"])),
        "recv_ns": opened,
        "opened_ns": opened,
        "first_frame_ns": draw(
            st.sampled_from(
                [opened, opened, min(heard, opened + SECOND), min(heard, opened + 9 * SECOND), None]
            )
        ),
        "last_heard_ns": heard,
        "closed_ns": closed,
        "reason": closed and draw(st.sampled_from(["closed 1006", "stopping"])),
    }


@st.composite
def worlds(draw: st.DrawFn) -> dict[str, list[Row]]:
    def some(rows: st.SearchStrategy[Row], most: int = 8) -> list[Row]:
        return draw(st.lists(rows, max_size=most))

    record = {
        "prices": some(price(), 12),
        "liquidations": some(liquidation(), 12),
        "funding": some(rate(), 14),
        "latency": some(delay(), 12),
        "listings": some(listing(), 4),
        "rejects": some(reject(), 4),
        "whales": some(whale(), 12),
        "open_interest": some(interest(), 6),
        "flows": some(other(), 2),
        "signals": some(other(), 2),
        "connections": some(connection(), 7),
    }
    if draw(st.booleans()):  # one instrument, dense enough for spreads, histories and cascades
        record["funding"] += draw(st.lists(busy_rate(), min_size=10, max_size=20))
        record["liquidations"] += draw(st.lists(burst(), min_size=6, max_size=14))
        record["open_interest"] += draw(st.lists(held(), max_size=4))
        record["prices"] += draw(st.lists(near_price(), min_size=6, max_size=16))
    if draw(st.booleans()):
        record["connections"] += draw(racers())
    for number, (table, rows) in enumerate(sorted(record.items())):
        for n, row in enumerate(rows):
            row |= {"seq": 1000 * number + n, "item": 0}
            if table == "connections":
                row["connection"] = f"{row['opened_ns']}-{n}"
    record["gaps"] = gaps_of(record["connections"])
    record["raw"] = [
        frame for one in record["connections"] for frame in draw(frames_of(one, one.pop("race", 0)))
    ]
    for one in record["connections"]:
        mine = [
            r
            for r in record["raw"]
            if r["connection"] == one["connection"] and r["kind"] != "stats"
        ]
        one |= {"frames": len(mine), "bytes": sum(len(r["payload"]) for r in mine)}
    return record


#: What a made-up feed stamps on each copy of a frame, and copies that differ in it.
STAMPED = r'()"E":\d+'
PAYLOADS = (b'{"E":1}', b'{"E":2}', b"p", b"q", b"\xff")


@st.composite
def racers(draw: st.DrawFn) -> list[Row]:
    """Two or three connections of one feed that live long at the same time, on two lines."""
    feed, stamped = draw(FEEDS), draw(st.sampled_from([None, STAMPED]))
    lives = []
    for line in ("A", "B", draw(st.sampled_from("BC")))[: draw(st.sampled_from([2, 2, 3]))]:
        opened = T0 + draw(st.sampled_from([0, 0, 1, 2, 60])) * SECOND
        ends = opened + draw(st.sampled_from([1, 60, 300, 300])) * SECOND
        lives.append(
            {
                "feed": feed,
                "line_group": "x",
                "line": line,
                "recv_ns": opened,
                "opened_ns": opened,
                "first_frame_ns": opened,
                "last_heard_ns": ends,
                "closed_ns": draw(st.sampled_from([None, ends])),
                "reason": None,
                "stamped": stamped,
                "race": 1,
            }
        )
    return lives


#: When copies come, ms after T0: around the second and the minute that tell copies apart.
BEATS = (0, 2000, 2005, 3000, 3001, 4000, 4001, 7000, 62_000, 62_001, 67_000, 180_000, 185_000)


@st.composite
def frames_of(draw: st.DrawFn, one: Row, race: int) -> list[Row]:
    """Frames of a connection, none after it was last heard."""
    if race:
        few = st.tuples(st.sampled_from(BEATS), st.sampled_from(PAYLOADS[:4]))
        drawn = draw(st.lists(few, min_size=5, max_size=12))
        came = [(T0 + ms * 1_000_000, payload) for ms, payload in drawn]
    else:
        early = st.sampled_from([0, 1, 5, 9, 10, 1795, 1800])
        drawn = draw(st.lists(st.tuples(early, st.sampled_from(PAYLOADS)), max_size=3))
        came = [(one["opened_ns"] + s * SECOND, payload) for s, payload in drawn]
    came = sorted(c for c in came if one["opened_ns"] <= c[0] <= one["last_heard_ns"])
    return [
        {
            "feed": one["feed"],
            "connection": one["connection"],
            "seq": number,
            "item": 0,
            "recv_ns": at,
            "kind": draw(st.sampled_from(["text", "text", "binary", "stats"])),
            "payload": payload,
        }
        for number, (at, payload) in enumerate(came)
    ]


def gaps_of(connections: list[Row]) -> list[Row]:
    """Return the rows of `gaps` of these connections, by the rule of the tables."""
    rows = []
    for feed in {c["feed"] for c in connections}:
        known = {c["connection"]: c for c in connections if c["feed"] == feed}
        lives = [
            Lifetime(
                c["line_group"],
                c["line"],
                name,
                c["opened_ns"],
                c["closed_ns"],
                c["last_heard_ns"],
                c["reason"],
                first_frame_ns=c["first_frame_ns"],
            )
            for name, c in known.items()
        ]
        for gap in gaps(lives):
            name = (gap.first_opened or gap.last).connection
            told = known[name]["recv_ns"]
            if gap.closed_ns is not None and (gap.first_opened is None or gap.closed_ns < told):
                told = gap.closed_ns
            rows.append(
                {
                    "feed": feed,
                    "line_group": gap.last.line_group,
                    "line": gap.last.line,
                    "from_ns": gap.from_ns,
                    "to_ns": gap.to_ns,
                    "cause": gap.last.cause,
                    "recv_ns": told,
                    "connection": name,
                    "covered": gap.covered,
                }
            )
    return rows


def cut(record: dict[str, list[Row]], at_ns: int) -> dict[str, list[Row]]:
    """Return the record that ended at a moment: what had been received, and what was known then."""
    ended = {
        table: [dict(row) for row in rows if row["recv_ns"] <= at_ns]
        for table, rows in record.items()
    }
    for one in ended["connections"]:
        if one["closed_ns"] is not None and one["closed_ns"] > at_ns:
            one |= {"closed_ns": None, "reason": None}
        if (one["first_frame_ns"] or at_ns) > at_ns:
            one["first_frame_ns"] = None
        if one["last_heard_ns"] > at_ns:  # it lived on: it counts as heard until the moment
            one |= {"last_heard_ns": at_ns, "frames": None, "bytes": None}
    ended["gaps"] = gaps_of(ended["connections"])
    return ended


RECORDS = made.RECORDS

"""A backtest worked out with lists and loops, from the words of docs/backtest.md alone."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

Row = dict[str, Any]

#: Symbol: how many coins one unit of its price stands for, and what the price is in.
COINS = {"BTCUSDT": (1, None), "1000PEPEUSDT": (1000, None), "ETHBTC": (1, "BTCUSDT")}
HOUR = 3_600_000_000_000


@dataclass
class Ticket:
    """An order as the strategy sent it."""

    number: int
    decided: int
    arrives: int
    side: str | None
    symbol: str
    coins: float | None = None
    dollars: float | None = None
    close: bool = False


@dataclass
class Deal:
    ticket: Ticket
    side: str
    row: Row
    coins: float
    paid_price: float
    worth_of_quote: float
    fee: float


@dataclass
class Books:
    deals: list[Deal] = field(default_factory=list)
    missed: list[tuple[int, str]] = field(default_factory=list)
    funding: list[tuple[int, str, float]] = field(default_factory=list)
    final: float = 0.0
    deepest: float = 0.0
    lowest: float = 0.0


def usable(record: dict[str, list[Row]], kinds: list[str]) -> list[Row]:
    """Prices with their two times; the clock is the venue's where it sends one."""
    tape = [dict(r) for r in record["prices"]]
    tape += [dict(r, kind="liquidation") for r in record["liquidations"]]
    kept = []
    for place, r in enumerate(tape):
        p = r.get("price")
        if r.get("backfill") or p is None or not math.isfinite(p) or p <= 0:
            continue
        if r["kind"] in kinds:
            own = r.get("event_ns")
            kept.append(dict(r, clock=r["recv_ns"] if own is None else own, place=place))
    return kept


def order_of(r: Row) -> tuple[Any, ...]:
    return (r["recv_ns"], r["connection"], r["seq"], r["item"])


def run(record: dict[str, list[Row]], tickets: list[Ticket], how: Row) -> Books:
    """Fill the tickets by the exchange's clock, keep the books, and value them at every price."""
    kinds = how["kinds"]
    tape = usable(record, kinds)
    books = Books()
    for t in sorted(tickets, key=lambda t: (t.arrives, t.number)):
        side, coins, dollars = t.side, t.coins, t.dollars
        if t.close:
            have = sum(
                d.coins * (1 if d.side == "buy" else -1)
                for d in books.deals
                if d.row["symbol"] == t.symbol
            )
            if abs(have) < 1e-12:
                books.missed.append((t.number, "there was no position to close"))
                continue
            side, coins, dollars = ("sell" if have > 0 else "buy"), abs(have), None
        best = None
        for r in tape:
            if (
                r["symbol"] != t.symbol
                or not t.arrives <= r["clock"] <= t.arrives + how["patience"]
            ):
                continue
            rank = (r["clock"], kinds.index(r["kind"]), r["recv_ns"], r["feed"], *order_of(r)[1:])
            if best is None or rank < best[0]:
                best = (rank, r)
        if best is None:
            books.missed.append((t.number, f"no price within {how['patience'] / 1e9:g} s"))
            continue
        row = best[1]
        if row["recv_ns"] >= how["until"]:
            books.missed.append((t.number, "the range ended"))
            continue
        scale, through = COINS[t.symbol]
        worth = 1.0
        if through is not None:
            seen = [
                r
                for r in tape
                if r["symbol"] == through and row["recv_ns"] - HOUR < r["recv_ns"] <= row["recv_ns"]
            ]
            if not seen:
                books.missed.append((t.number, f"no price of BTC in dollars for {t.symbol}"))
                continue
            worth = max(seen, key=lambda r: (*order_of(r), -kinds.index(r["kind"])))["price"]
        price = row["price"] * (1 + how["slip"] * (1 if side == "buy" else -1))
        per_coin = price * worth / scale
        size = dollars / per_coin if dollars is not None else coins
        assert size is not None
        assert side is not None
        books.deals.append(Deal(t, side, row, size, price, worth, size * per_coin * how["fee"]))
    books.deals.sort(key=lambda d: (d.row["recv_ns"], d.ticket.number))
    _settle(record, books, tape, how)
    _value(books, tape, kinds, how)
    return books


def _settle(record: dict[str, list[Row]], books: Books, tape: list[Row], how: Row) -> None:
    """Each funding time is settled once: by what the venue says it exchanged, else as announced."""
    for symbol in {d.row["symbol"] for d in books.deals}:
        due: dict[int, tuple[float, float | None]] = {}
        rows = [
            r
            for r in record["funding"]
            if r["symbol"] == symbol and r["rate"] is not None and math.isfinite(r["rate"])
        ]
        for r in sorted(rows, key=order_of):
            if r["basis"] == "expected" and not r["backfill"] and r["next_funding_ns"] is not None:
                told = r["recv_ns"] if r["event_ns"] is None else r["event_ns"]
                if told <= r["next_funding_ns"]:
                    mark = r["mark_price"]
                    mark = (
                        mark
                        if mark is not None and mark > 0
                        else due.get(r["next_funding_ns"], (0, None))[1]
                    )
                    due[r["next_funding_ns"]] = (r["rate"], mark)
        exchanged: dict[int, float] = {}
        for r in sorted(rows, key=order_of):
            if r["basis"] == "realised" and r["event_ns"] is not None:
                exchanged[r["event_ns"]] = r["rate"]
        for at, rate in exchanged.items():
            due = {t: v for t, v in due.items() if abs(t - at) > 60_000_000_000} | {
                at: (rate, None)
            }
        first = min(d.row["clock"] for d in books.deals if d.row["symbol"] == symbol)
        for at, (rate, told_mark) in due.items():
            mark = told_mark
            if not first <= at < how["until"]:
                continue
            mine = [d for d in books.deals if d.row["symbol"] == symbol and d.row["clock"] < at]
            have = sum(d.coins if d.side == "buy" else -d.coins for d in mine)
            if not mine or abs(have) < 1e-12:
                continue
            if mark is None:
                past = [r for r in tape if r["symbol"] == symbol and r["recv_ns"] <= at]
                marks = [r for r in past if r["kind"] == "mark"] or past
                if not marks:
                    continue
                mark = max(marks, key=order_of)["price"]
            usd = -have * mark * mine[-1].worth_of_quote / COINS[symbol][0] * rate
            books.funding.append((at, symbol, usd))


def _value(books: Books, tape: list[Row], kinds: list[str], how: Row) -> None:
    held = {d.row["symbol"] for d in books.deals}
    needed = held | {t for s in held if (t := COINS[s][1])}
    when = {how["since"], how["until"] - 1} | {at for at, _, _ in books.funding}
    when |= {d.row["recv_ns"] for d in books.deals}
    began = {
        s: min(
            d.row["recv_ns"]
            for d in books.deals
            if s in (d.row["symbol"], COINS[d.row["symbol"]][1])
        )
        for s in needed
    }
    when |= {
        r["recv_ns"]
        for r in tape
        if r["symbol"] in needed and began[r["symbol"]] <= r["recv_ns"] < how["until"]
    }
    top = books.lowest = how["capital"]
    for at in sorted(when):
        money = how["capital"] + sum(usd for t, _, usd in books.funding if t <= at)
        coins: dict[str, float] = {}
        for d in books.deals:
            if d.row["recv_ns"] <= at:
                sign = 1 if d.side == "buy" else -1
                scale = COINS[d.row["symbol"]][0]
                money -= sign * d.coins * d.paid_price * d.worth_of_quote / scale + d.fee
                coins[d.row["symbol"]] = coins.get(d.row["symbol"], 0) + sign * d.coins
        for symbol, count in coins.items():
            if abs(count) < 1e-12:
                continue
            scale, through = COINS[symbol]
            worth = 1.0 if through is None else _newest(tape, kinds, through, at)
            money += count * _newest(tape, kinds, symbol, at) * worth / scale
        top = max(top, money)
        books.deepest = max(books.deepest, top - money)
        books.lowest = min(books.lowest, money)
        books.final = money


def _newest(tape: list[Row], kinds: list[str], symbol: str, at: int) -> float:
    past = [r for r in tape if r["symbol"] == symbol and r["recv_ns"] <= at]
    price: float = max(past, key=lambda r: (*order_of(r), -kinds.index(r["kind"])))["price"]
    return price

"""Rows and alerts for tests."""

from __future__ import annotations

from typing import Any

from kit.frames import CONNECTION, MS, T0

from recorder.alerts.alert import Alert
from recorder.stream.event import CLASSES, Event, columns


def row(table: str = "liquidations", **values: Any) -> Event:
    """A row of a table; what is not given is unknown."""
    known = dict.fromkeys(columns(table), None)
    known |= {"feed": "mine", "recv_ns": T0, "connection": CONNECTION, "seq": 0, "item": 0}
    return CLASSES[table](**(known | values))


def rows(number: int, **values: Any) -> list[Event]:
    """Liquidations one after the other; the n-th is of n thousand dollars."""
    return [
        row(seq=n, recv_ns=T0 + n * MS, notional_usd=n * 1_000.0, **values) for n in range(number)
    ]


def alert(**values: Any) -> Alert:
    """An alert of one row."""
    known = {
        "id": "01M80SFK66JZAA79E3RYJ1ZAAE",
        "at_ns": T0,
        "rule": "big",
        "severity": "warning",
        "state": "fired",
        "title": "binance BTCUSDT: long liquidated, $2,000,000",
        "text": "price: 1",
        "event": {"table": "liquidations", "symbol": "BTCUSDT", "recv_ns": str(T0)},
    }
    return Alert(**(known | values))

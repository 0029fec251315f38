"""Each worked number of docs/semantics.md is what frames become."""

from __future__ import annotations

import pytest
from kit.frames import frames_of
from kit.rows import Bench
from kit.worked import worked

from .test_cryptolisting_rows import THREE
from .test_deribit_rows import taken, trades
from .test_hyperliquid_rows import CONTEXT, opened

PAGE = worked("semantics.md")
MS = 1_000_000


def test_the_worked_numbers_of_the_page(bench: Bench) -> None:
    linear = {"instrument_name": "SOL_USDC-PERPETUAL", "price": 200.0, "amount": 1_000.0}
    taken(bench, trades({}, {**linear, "direction": "buy", "trade_id": "SOL-7"}))
    (inverse, _), (_, notional) = bench.rows("whales", "quantity", "notional_usd")
    bench.take("hyperliquid", [opened(), *frames_of([CONTEXT], first_seq=1)])
    [(interest,)] = bench.rows("open_interest", "open_interest_usd")
    published = 1_710_345_000_000 * MS
    bench.take("cryptolisting", frames_of([THREE], recv_ns=[published + 250 * MS]))
    [latency] = bench.rows("latency", "total_ns", "network_ns")
    stated = [number for numbers in PAGE.values() for number in numbers]
    assert [notional, inverse, interest, *latency] == pytest.approx(stated)

"""Each worked number of docs/backtest.md is what a backtest gives."""

from __future__ import annotations

from pathlib import Path

import pytest
from kit.worked import worked

from recorder.backtest import Costs, Market, Order

from .test_money import BUY, FREE, funded, price, root, tried

PAGE = worked("backtest.md")

__all__ = ["root"]  # the fixture


def test_the_worked_numbers_of_the_page(root: Path) -> None:
    found: dict[str, float] = {}
    prices = [price(60, 100)]
    slipped = tried(root, {0: BUY}, Market(FREE.latency, Costs(0, 20)), prices=prices)
    found["fill price"] = slipped.fills["price"][0].as_py()
    pepe = Order("buy", asset="PEPE", quantity=1_000_000)
    scaled = tried(root, {0: pepe}, prices=[price(60, 0.01, "1000PEPEUSDT")])
    found["notional"] = scaled.fills["notional_usd"][0].as_py()
    worth = Order("buy", symbol="BTCUSDT", usd=1000)
    charged = tried(root, {0: worth}, Market(FREE.latency, Costs(5, 0)), prices=prices)
    found["fee"] = charged.fills["fee_usd"][0].as_py()
    cross = Order("buy", symbol="ETHBTC", quantity=1)
    both = [price(0, 2000, "ETHUSDT"), price(10, 60_000), price(60, 0.05, "ETHBTC")]
    found["converted"] = tried(root, {0: cross}, prices=both).fills["notional_usd"][0].as_py()
    paid = tried(root, {0: BUY}, prices=prices, funding=[funded(0.01, 1000)])
    found["funding"] = paid.funding["usd"][0].as_py()
    many = Order("buy", symbol="BTCUSDT", quantity=100)
    half = [price(60, 100), price(100, 50)]
    found["equity"] = tried(root, {0: many}, prices=half).equity["equity_usd"][-1].as_py()
    found["drawdown"] = tried(root, {0: many}, prices=[*half, price(200, 100)]).drawdown_usd
    assert {figure: [value] for figure, value in found.items()} == {
        figure: pytest.approx(numbers) for figure, numbers in PAGE.items()
    }

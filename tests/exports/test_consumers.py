"""Exports are read by the very programs they are for, each in an environment of its own.

`make test-exports` makes the environments; without them these tests are skipped.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from kit.commands import recorder
from kit.market import record
from kit.records import Published

CONSUMERS = Path(__file__).parent / "consumers"
PLACE = os.environ.get("RECORDER_TEST_EXPORTS")

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(PLACE is None, reason="make test-exports has the environments"),
]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Published:
    return record(tmp_path_factory.mktemp("made"))


def export(made: Published, out: Path, *arguments: str) -> Path:
    done = recorder("export", *arguments, "--out", out, "--data-dir", made.layout.root)
    assert done.returncode == 0, done.stderr
    return out


def read(environment: str, script: str, *arguments: Path) -> Any:
    """What a consumer understood."""
    python = Path(str(PLACE)).resolve() / environment / "bin/python"
    command = [str(python), str(CONSUMERS / script), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


TRADES = (
    "FROM prices SELECT price, quantity, side, trade_id, event_ns, recv_ns "
    "WHERE kind = 'last' AND symbol = 'BTCUSDT' ORDER BY recv_ns"
)


def test_nautilus_reads_its_catalogue_and_replays_it(made: Published, tmp_path: Path) -> None:
    found = read("nautilus", "nautilus_reads.py", export(made, tmp_path / "catalog", "nautilus"))
    sides = {"buy": "BUYER", "sell": "SELLER"}
    trades = made.sql(TRADES)
    assert found["trades"] == [
        [f"{price:.1f}", f"{size:.3f}", sides[side], tx, event_ns, recv_ns]
        for price, size, side, tx, event_ns, recv_ns in trades
    ]
    assert found["replayed"] == len(trades) > 100
    marks = made.sql("SELECT price, event_ns, recv_ns FROM prices WHERE kind = 'mark' ORDER BY ALL")
    assert sorted([float(m[0]), *m[1:]] for m in found["marks"]) == [list(mark) for mark in marks]
    funding = made.sql("SELECT rate, next_funding_ns, recv_ns FROM funding ORDER BY recv_ns")
    assert [[float(rate), *rest] for rate, *rest in found["funding"]] == [list(f) for f in funding]
    liquidations = made.sql(
        "SELECT 'BTCUSDT.BINANCE', position_side, price, quantity, event_ns, recv_ns "
        "FROM liquidations ORDER BY recv_ns"
    )
    assert found["liquidations"] == [list(row) for row in liquidations]


def test_a_reader_of_tardis_files_reads_ours(made: Published, tmp_path: Path) -> None:
    found = read("nautilus", "tardis_reads.py", export(made, tmp_path / "tardis", "tardis"))
    sides = {"buy": "BUYER", "sell": "SELLER"}
    assert found["trades"] == [
        [price, size, sides[side], event_ns // 1000 * 1000, recv_ns // 1000 * 1000]
        for price, size, side, _, event_ns, recv_ns in made.sql(TRADES)
    ]
    assert {rate for rate, _ in found["funding"]} == {0.0001}


def test_hftbacktest_accepts_the_order_and_plays_every_trade(
    made: Published, tmp_path: Path
) -> None:
    out = export(made, tmp_path / "npz", "hftbacktest")
    found = read("hftbacktest", "hftbacktest_reads.py", out / "binance-BTCUSDT.npz")
    trades = [
        [price, size, side == "buy", event_ns, recv_ns]
        for price, size, side, _, event_ns, recv_ns in made.sql(TRADES)
    ]
    assert found["rows"] == len(trades)
    # The last step of an elapsed second may hold the last trade back.
    assert found["trades"] == trades[: len(found["trades"])]
    assert len(found["trades"]) >= len(trades) - 1


def test_candles_and_tables_are_read_as_frames(made: Published, tmp_path: Path) -> None:
    candles = export(made, tmp_path / "candles", "ohlcv", "--bucket", "10 seconds")
    export(made, candles, "ohlcv", "--bucket", "10 seconds", "--as-parquet")
    tables = export(made, tmp_path / "tables", "parquet")
    found = read("candles", "candles_read.py", candles, tables)
    expected = made.sql(
        "SELECT recv_ns // 10000000000 * 10000000000 AS bucket, arg_min(price, recv_ns), "
        "max(price), min(price), arg_max(price, recv_ns), sum(quantity) "
        "FROM prices WHERE kind = 'last' AND symbol = 'BTCUSDT' "
        "GROUP BY bucket ORDER BY bucket"
    )
    assert found["candles"] == [list(row) for row in expected]
    assert found["same"]
    assert found["trades"] == 1
    for table, rows in found["tables"].items():
        assert made.sql(f"SELECT count(*) FROM {table}") == [(rows,)]
    assert {"prices", "whales", "funding", "liquidations", "listings"} <= set(found["tables"])

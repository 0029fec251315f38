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
from kit.frames import NS, T0, marker
from kit.market import market, news
from kit.records import Published

from recorder.export import tardis
from recorder.export.job import Job
from recorder.stream.event import Filter

from .by_hand import MARKETS, listed, trade

CONSUMERS = Path(__file__).parent / "consumers"
PLACE = os.environ.get("RECORDER_TEST_EXPORTS")

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(PLACE is None, reason="make test-exports has the environments"),
]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Published:
    """A market, and the venue's list of its perpetual before it."""
    made = Published(tmp_path_factory.mktemp("made"))
    perpetual = {
        "symbol": "BTCUSDT", "kind": "perpetual", "contract_type": "linear", "contract_size": 1,
        "contract_unit": "base", "tick_size": 0.1, "lot_size": 0.001,
    }  # fmt: skip
    told = {"exchange": "binance", "instruments": [perpetual]}
    made.seal("binance", [marker(0, "instruments", T0 - 2 * NS, "01" + "0" * 24, **told)])
    made.seal("binance", list(market("01" + "A" * 24)))
    made.seal("cryptolisting", list(news("01" + "B" * 24)))
    made.ingest(whale_usd=0.01)
    return made


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
    middle = f"{(T0 + 60 * NS) // NS}"  # two exports into one catalogue
    export(made, tmp_path / "catalog", "nautilus", "--until", middle)
    catalog = export(made, tmp_path / "catalog", "nautilus", "--since", middle)
    found = read("nautilus", "nautilus_reads.py", catalog)
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
        "SELECT 'BTCUSDT-PERP.BINANCE', position_side, price, quantity, event_ns, recv_ns "
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


def test_a_reader_of_tardis_files_knows_every_market(database: Any, tmp_path: Path) -> None:
    for n, (exchange, symbol, facts, price, size, dollars, *_) in enumerate(MARKETS):
        listed(database, symbol, exchange, 1, **facts)
        trade(database, 10**9 + n * 10**9, price, size, exchange=exchange, symbol=symbol,
              notional_usd=dollars)  # fmt: skip
    tardis.export(Job(database, tmp_path, Filter()), ["trades"])
    found = read("nautilus", "tardis_reads_all.py", tmp_path)
    assert dict(found) == {f"{m[7]} {m[1]}": m[6] for m in MARKETS}


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

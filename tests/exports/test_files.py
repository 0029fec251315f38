"""What is in the exported files; `test_consumers.py` has them read by the programs they are for."""

from __future__ import annotations

import csv
import gzip
import json
import struct
import zipfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest
from kit.commands import call
from kit.market import record
from kit.records import Published

from recorder.clock import NS
from recorder.export import hftbacktest, nautilus, ohlcv, tardis
from recorder.export.job import Job
from recorder.stream.event import Filter
from recorder.stream.span import Span

from .by_hand import MARKETS, listed, trade


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Published:
    return record(tmp_path_factory.mktemp("made") / "it's data")


def export(made: Published, out: Path, *arguments: str) -> list[str]:
    """Export into `out` and return the lines on stderr."""
    done = call("export", *arguments, "--out", out, "--data-dir", made.layout.root)
    assert done.returncode == 0, done.stderr
    assert [Path(line) for line in done.stdout.splitlines()] == [
        Path(line) for line in done.stdout.splitlines() if Path(line).exists()
    ]
    return done.stderr.splitlines()


def rows_of(path: Path) -> list[dict[str, str]]:
    with gzip.open(path, "rt", newline="") as stream:
        return list(csv.DictReader(stream))


def npz(path: Path) -> list[tuple[Any, ...]]:
    """The rows of an .npz file, read without numpy."""
    with zipfile.ZipFile(path) as archive:
        data = archive.read("data.npy")
    assert data[:8] == b"\x93NUMPY\x01\x00"
    [length] = struct.unpack_from("<H", data, 8)
    assert (10 + length) % 64 == 0
    return list(struct.iter_unpack("<QqqddQqd", data[10 + length :]))


def test_plain_parquet_holds_the_rows_of_each_table(made: Published, tmp_path: Path) -> None:
    said = export(made, tmp_path, "parquet", "--since", "1790000010", "--symbol", "BTCUSDT")
    found = {p.stem: pq.read_table(p) for p in tmp_path.glob("*.parquet")}
    assert set(found) == {"prices", "whales", "funding", "liquidations", "latency"}
    for name, table in found.items():
        expected = made.sql(
            f"SELECT recv_ns FROM {name} WHERE symbol = 'BTCUSDT' "
            "AND recv_ns >= 1790000010000000000 ORDER BY recv_ns"
        )
        assert table["recv_ns"].to_pylist() == [row[0] for row in expected]
    assert any("gap: binance: nothing from" in line and "(gone)" in line for line in said)


def test_tardis_files_have_its_names_columns_and_microseconds(
    made: Published, tmp_path: Path
) -> None:
    export(made, tmp_path, "tardis")
    trades = rows_of(tmp_path / "binance-futures_trades_2026-09-21_BTCUSDT.csv.gz")
    assert list(trades[0]) == [
        "exchange", "symbol", "timestamp", "local_timestamp", "id", "side", "price", "amount"
    ]  # fmt: skip
    [first] = made.sql(
        "SELECT event_ns // 1000, recv_ns // 1000, trade_id, side, price, quantity FROM prices "
        "WHERE kind = 'last' AND symbol = 'BTCUSDT' ORDER BY recv_ns LIMIT 1"
    )
    assert list(trades[0].values()) == ["binance-futures", "BTCUSDT", *map(str, first)]
    assert list(trades[0].values())[4:] == ["0", "sell", "100.0", "0.125"]
    forced = rows_of(tmp_path / "binance-futures_liquidations_2026-09-21_BTCUSDT.csv.gz")
    assert list(forced[0]) == list(trades[0])
    assert {row["side"] for row in forced} == {"sell"}  # longs were closed
    ticker = rows_of(tmp_path / "binance-futures_derivative_ticker_2026-09-21_BTCUSDT.csv.gz")
    assert list(ticker[0]) == [
        "exchange", "symbol", "timestamp", "local_timestamp", "funding_timestamp", "funding_rate",
        "predicted_funding_rate", "open_interest", "last_price", "index_price", "mark_price",
    ]  # fmt: skip
    assert (ticker[0]["last_price"], ticker[0]["mark_price"]) == ("100.0", "")
    assert (ticker[1]["last_price"], ticker[1]["mark_price"]) == ("100.0", "100.5")
    assert ticker[-1]["funding_timestamp"] == "1790006400000000"


def test_a_catalogue_of_nautilus_is_exact(made: Published, tmp_path: Path) -> None:
    export(made, tmp_path, "nautilus", "--type", "trades")
    [path] = (tmp_path / "data/trade_tick/NEWCUSDT.BINANCE").glob("*.parquet")
    assert path.name == ("2026-09-21T14-13-20-000000002Z_2026-09-21T14-15-19-000000371Z.parquet")
    table = pq.read_table(path, partitioning=None)
    metadata = {k.decode(): v.decode() for k, v in table.schema.metadata.items()}
    assert metadata == {
        "instrument_id": "NEWCUSDT.BINANCE", "price_precision": "1", "size_precision": "3"
    }  # fmt: skip
    raw = [int.from_bytes(value, "little", signed=True) for value in table["price"].to_pylist()]
    expected = made.sql("SELECT price FROM prices WHERE symbol = 'NEWCUSDT' ORDER BY recv_ns")
    assert [Decimal(value).scaleb(-16) for value in raw] == [Decimal(str(p)) for (p,) in expected]


def test_rows_of_hftbacktest_are_trades_of_both_sides(made: Published, tmp_path: Path) -> None:
    export(made, tmp_path, "hftbacktest")
    rows = npz(tmp_path / "binance-BTCUSDT.npz")
    expected = made.sql(
        "SELECT event_ns, recv_ns, price, quantity, side FROM prices "
        "WHERE kind = 'last' AND symbol = 'BTCUSDT' ORDER BY recv_ns"
    )
    assert len(rows) == 121
    assert [row[1:5] for row in rows] == [row[:4] for row in expected]
    sides = {"buy": 1 << 29, "sell": 1 << 28}
    assert [row[0] for row in rows] == [2 | 3 << 30 | sides[row[4]] for row in expected]


# -- rows made by hand


def test_sizes_and_names_are_those_of_the_reader(database: Any, tmp_path: Path) -> None:
    for n, (exchange, symbol, facts, price, size, dollars, *_) in enumerate(MARKETS):
        listed(database, symbol, exchange, 1, **facts)
        trade(database, 10 + n, price, size, exchange=exchange, symbol=symbol, notional_usd=dollars)
    tardis.export(csv_job := Job(database, tmp_path / "csv", Filter()), ["trades"])
    amounts = {}
    for written in csv_job.written:
        [row] = rows_of(written.path)
        amounts[row["exchange"], row["symbol"]] = float(row["amount"])
    assert amounts == {(m[7], m[1]): m[6] for m in MARKETS}
    assert csv_job.notes == []
    nautilus.export(job := Job(database, tmp_path / "catalog", Filter()), ["trades"])
    sizes = {}
    for written in job.written:
        [value] = pq.read_table(written.path, partitioning=None)["size"].to_pylist()
        name = written.path.parent.name
        sizes[name] = Decimal(int.from_bytes(value, "little", signed=True)).scaleb(-16)
    assert sizes == {m[8]: Decimal(str(m[6])) for m in MARKETS}
    hftbacktest.export(job := Job(database, tmp_path / "npz", Filter()))
    assert {
        written.path.stem: npz(written.path)[0][4] for written in job.written
    } == {f"{m[0]}-{m[1]}": m[6] for m in MARKETS}  # fmt: skip


def test_a_contract_is_valued_as_its_list_did_then(database: Any, tmp_path: Path) -> None:
    listed(database, at=1, kind="perpetual", contract_size=0.1, contract_unit="base")
    listed(database, at=100, kind="perpetual", contract_size=0.01, contract_unit="base")
    trade(database, 50, 10.0, 0.7)  # 7 contracts
    trade(database, 150, 10.0, 0.7)  # 70
    hftbacktest.export(job := Job(database, tmp_path, Filter()))
    assert [row[4] for row in npz(job.written[0].path)] == [7.0, 70.0]


def test_a_market_that_nothing_tells_is_said(database: Any, tmp_path: Path) -> None:
    trade(database, 10, 1.0, exchange="binance", symbol="NEWUSDT")
    trade(database, 11, 1.0, exchange="okx", symbol="A-USDT-SWAP")  # its form tells
    tardis.export(job := Job(database, tmp_path, Filter()), ["trades"])
    names = sorted(written.path.name.split("_")[0] for written in job.written)
    assert names == ["binance", "okex-swap"]
    assert "the market of 1 instruments is unknown (NEWUSDT of binance)" in job.notes[0]


def test_an_id_that_nothing_tells_is_said_too(database: Any, tmp_path: Path) -> None:
    trade(database, 10, 1.0, exchange="binance", symbol="NEWUSDT")
    trade(database, 11, 1.0, exchange="bybit", symbol="XRPRLUSD")
    trade(database, 12, 1.0, exchange="bybit", symbol="XRPUSD")  # its form tells
    trade(database, 13, 1.0, exchange="bitmex", symbol="XBTUSD")  # an id without a market
    nautilus.export(job := Job(database, tmp_path, Filter()), ["trades"])
    assert [note for note in job.notes if "unknown" in note] == [
        "the market of 2 instruments is unknown (NEWUSDT of binance, XRPRLUSD of bybit): the "
        "record has no list of the venue's instruments, so the ids have the venue's symbols alone, "
        "which nautilus_trader may use for another market"
    ]


def test_a_builders_market_has_the_names_of_its_readers(database: Any, tmp_path: Path) -> None:
    for n, symbol in enumerate(["xyz:TSLA", "flx:kPEPE", "PURR/USDC"]):
        trade(database, 10 + n, 1.0, exchange="hyperliquid", symbol=symbol)
    nautilus.export(job := Job(database, tmp_path / "n", Filter()), ["trades"])
    assert sorted(written.path.parent.name for written in job.written) == [
        "PURR-USDC-SPOT.HYPERLIQUID",
        "flx:kPEPE-USD-PERP.HYPERLIQUID",
        "xyz:TSLA-USD-PERP.HYPERLIQUID",
    ]
    assert job.notes == []
    tardis.export(job := Job(database, tmp_path / "t", Filter()), ["trades"])
    assert {row["exchange"] for w in job.written for row in rows_of(w.path)} == {"hyperliquid"}
    assert job.notes == []
    trade(database, 20, 0.5, exchange="hyperliquid", symbol="#10")  # the outcome of an event
    nautilus.export(job := Job(database, tmp_path / "o", Filter()), ["trades"])
    assert "the market of 1 instruments is unknown (#10 of hyperliquid)" in job.notes[0]


MINUTE = 60 * NS


@pytest.mark.parametrize(
    ("exchange", "fine", "whole"),
    [
        ("binance", "s@trade", "s@aggTrade"),
        ("okx", "trades-all:S-USDT-SWAP", "trades:S-USDT-SWAP"),
    ],
)
def test_two_streams_of_the_same_trades_are_one(
    database: Any, tmp_path: Path, exchange: str, fine: str, whole: str
) -> None:
    """Both streams were recorded in the first minute and the third, one in the second."""
    more = {"exchange": exchange, "symbol": "S-USDT-SWAP"}
    for at in (10, 2 * MINUTE + 10):
        trade(database, at, 5.0, 1.0, channel=fine, **more)
        trade(database, at + 1, 6.0, 1.0, channel=fine, **more)
        trade(database, at + 2, 6.0, 2.0, channel=whole, **more)
    trade(database, MINUTE + 10, 7.0, 4.0, channel=whole, **more)
    trade(database, 20, 8.0, None, channel="s@ticker", **more)
    ohlcv.export(job := Job(database, tmp_path / "csv", Filter()))
    lines = job.written[0].path.read_text().splitlines()
    assert [line.split(",")[1:6] for line in lines[1:]] == [
        ["5.0", "6.0", "5.0", "6.0", "2.0"],
        ["7.0", "7.0", "7.0", "7.0", "4.0"],
        ["5.0", "6.0", "5.0", "6.0", "2.0"],
    ]
    tardis.export(job := Job(database, tmp_path / "t", Filter()), ["trades"])
    assert [float(row["amount"]) for w in job.written for row in rows_of(w.path)] == [1, 1, 4, 1, 1]
    nautilus.export(job := Job(database, tmp_path / "n", Filter()), ["trades"])
    assert [written.rows for written in job.written] == [5]
    hftbacktest.export(job := Job(database, tmp_path / "h", Filter()))
    assert len(npz(job.written[0].path)) == 5


@pytest.mark.parametrize("first", [0, 1])
def test_one_catalogue_has_one_precision_an_instrument(
    first: int, database: Any, tmp_path: Path
) -> None:
    trade(database, 10, 3453.71, 0.17391)
    trade(database, 20, 3453.0, 1.0)
    spans = [Span(0, 15), Span(15, 100)]
    for span in (spans[first], spans[1 - first]):
        job = Job(database, tmp_path, Filter(span=span))
        nautilus.export(job, ["trades"])
    paths = sorted(tmp_path.rglob("*.parquet"))
    kept = [pq.read_schema(path).metadata for path in paths]
    assert [(m[b"price_precision"], m[b"size_precision"]) for m in kept] == [(b"2", b"5")] * 2
    assert sum(pq.read_metadata(path).num_rows for path in paths) == 2
    assert bool(job.notes) == bool(first)  # the whole one came first, or was raised


def test_precisions_are_those_of_the_list(database: Any, tmp_path: Path) -> None:
    listed(database, tick_size=0.01, lot_size=0.0001)
    trade(database, 10, 82650.0, 1.0)
    nautilus.export(job := Job(database, tmp_path, Filter()), ["trades"])
    metadata = pq.read_schema(job.written[0].path).metadata
    assert (metadata[b"price_precision"], metadata[b"size_precision"]) == (b"2", b"4")


def test_trades_that_were_received_in_another_order_are_two_rows_each(
    database: Any, tmp_path: Path
) -> None:
    trade(database, 100, 1.0, event_ns=90)
    trade(database, 110, 2.0, event_ns=80)
    trade(database, 120, 3.0, event_ns=500)  # their clock is ahead of ours
    job = Job(database, tmp_path, Filter())
    hftbacktest.export(job)
    rows = npz(tmp_path / "x-S.npz")
    exchange = [row for row in rows if row[0] & 1 << 31]
    local = [row for row in rows if row[0] & 1 << 30]
    assert [(row[1], row[3]) for row in exchange] == [(80, 2.0), (90, 1.0), (120, 3.0)]
    assert [(row[2], row[3]) for row in local] == [(100, 1.0), (110, 2.0), (120, 3.0)]
    assert all(row[1] <= row[2] for row in rows)
    assert any("event time after their receive time" in note for note in job.notes)


def test_a_volume_is_unknown_where_the_size_of_a_trade_is(database: Any, tmp_path: Path) -> None:
    minute = 60 * NS
    trade(database, minute, 5.0, 2.0)
    trade(database, minute + 1, 7.0, 1.0)
    trade(database, 3 * minute, 4.0, 1.0)
    trade(database, 3 * minute + 1, 3.0, 500.0, quantity_unit="contracts")
    trade(database, 3 * minute + 2, 9.0, 1.0, backfill=True)
    trade(database, 3 * minute + 3, 9.5, None)  # a ticker repeats some trade
    job = Job(database, tmp_path, Filter())
    ohlcv.export(job, "1 minute", "last", "parquet")
    [path] = tmp_path.glob("*.parquet")
    assert path.name == "x-S-1minute.parquet"
    rows = [tuple(row.values())[1:] for row in pq.read_table(path).to_pylist()]
    assert rows == [(5.0, 7.0, 5.0, 7.0, 3.0, 3.0, 2), (4.0, 4.0, 3.0, 3.0, None, 1.0, 2)]
    assert job.notes == [
        "1 trades are of unknown size: they were received in contracts before the venue's list of "
        "instruments stated the size of a contract"
    ]


def test_candles_of_a_ticker_have_no_volume(database: Any, tmp_path: Path) -> None:
    for second, price in enumerate((3.0, 5.0, 4.0)):
        trade(database, (60 + second) * NS, price, None)
    job = Job(database, tmp_path, Filter())
    ohlcv.export(job, "1 minute", "last", "parquet")
    [row] = pq.read_table(job.written[0].path).to_pylist()
    assert tuple(row.values())[1:] == (3.0, 5.0, 3.0, 4.0, None, None, 3)
    assert job.notes == []


def test_a_trade_in_contracts_of_unknown_value_is_a_trade_elsewhere(
    database: Any, tmp_path: Path
) -> None:
    trade(database, 10, 1.0)
    trade(database, 20, 2.0, 7.0, quantity_unit="contracts")
    trade(database, 30, 3.0, None)  # a ticker's
    trade(database, 40, 4.0, 9.0, off_book=True)
    hftbacktest.export(job := Job(database, tmp_path, Filter()))
    assert [row[4] for row in npz(job.written[0].path)] == [1.0, 7.0]
    assert job.notes == []


def test_a_price_of_many_digits_stays_exact(database: Any, tmp_path: Path) -> None:
    for at, price in enumerate((0.1, 1e-8, 123456.789, 1e-20, 1e15)):
        trade(database, 10 + at, price)
    job = Job(database, tmp_path, Filter())
    nautilus.export(job, ["trades"])
    [written] = job.written
    table = pq.read_table(written.path, partitioning=None)
    raw = [int.from_bytes(value, "little", signed=True) for value in table["price"].to_pylist()]
    assert raw == [10**15, 10**8, 1234567890000000000000]  # the two others are beyond its range
    assert table.schema.metadata[b"price_precision"] == b"8"


def test_names_from_a_venue_make_no_paths(database: Any, tmp_path: Path) -> None:
    trade(database, 10, 1.0, symbol="../A'B/C", exchange="../x")
    job = Job(database, tmp_path / "deep" / "out", Filter())
    for write in (ohlcv.export, hftbacktest.export, nautilus.export):
        write(job)
    for written in job.written:
        assert written.path.resolve().is_relative_to((tmp_path / "deep" / "out").resolve())


# -- refusals


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["ohlcv", "--bucket", "soon"], 2, "'soon' is not a duration"),
        (["ohlcv", "--bucket", "-1 minute"], 2, "not a duration"),
        (["ohlcv", "--bucket", "0 minutes"], 2, "holds nothing"),
        (["ohlcv", "--kind", "lats"], 2, "did you mean 'last'"),
        (["ohlcv", "--kind", "mid"], 1, "no event of this kind was received"),
        (["parquet", "--table", "price"], 2, "did you mean 'prices'"),
        (["tardis", "--table", "prices"], 2, "does not take --table"),
        (["nautilus", "--type", "trade"], 2, "did you mean 'trades'"),
        (["parquet", "--feed", "binanse"], 2, "did you mean 'binance'"),
        (["parquet", "--since", "2026-01-02", "--until", "2026-01-01"], 2, "an empty range"),
        (["parquet", "--since", "2030-01-01"], 1, "the record goes from 2026-09-21T14:13:19Z"),
        (["parquet", "--since", "next week"], 2, "'next week' is not a time"),
    ],
)
def test_what_cannot_be_exported_is_refused(
    arguments: list[str], code: int, message: str, made: Published, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    done = call("export", *arguments, "--out", out, "--data-dir", made.layout.root)
    assert (done.returncode, done.stdout) == (code, "")
    assert message in done.stderr
    assert not out.exists()


def test_an_existing_file_is_replaced_only_with_force(made: Published, tmp_path: Path) -> None:
    arguments = ["export", "parquet", "--table", "listings", "--json", "--out", tmp_path]
    arguments += ["--data-dir", made.layout.root]
    first = call(*arguments)
    assert json.loads(first.stdout) == {"path": str(tmp_path / "listings.parquet"), "rows": 1}
    again = call(*arguments)
    assert again.returncode == 2
    assert "the file exists" in again.stderr
    assert call(*arguments, "--force").returncode == 0
    assert [path.name for path in tmp_path.iterdir()] == ["listings.parquet"]


def test_an_instrument_of_two_feeds_asks_for_one(database: Any, tmp_path: Path) -> None:
    trade(database, 1, 1.0)
    trade(database, 2, 1.0, feed="g")
    with pytest.raises(Exception, match="comes from the feeds f and g"):
        hftbacktest.export(Job(database, tmp_path, Filter()))


def test_a_file_that_was_not_finished_is_not_left(tmp_path: Path) -> None:
    job = Job(duckdb.connect(), tmp_path, Filter())
    with pytest.raises(ZeroDivisionError), job.file(tmp_path / "x.csv") as temporary:
        temporary.write_text("half")
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []

"""`recorder backtest` at the command line: what it prints and writes, what it refuses."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result
from kit.frames import T0
from kit.records import Published

from recorder.cli.backtest import backtest as command
from recorder.clock import NS
from recorder.errors import RecorderError

MINE = """
from dataclasses import dataclass
from recorder.backtest import Order

def sells(event, as_of):
    if event.table == "listings":
        return [Order("sell", symbol="BTCUSDT", quantity=2)]

@dataclass
class Waits:
    seen: int = 0
    def on_event(self, event, as_of):
        self.seen += 1

def factory():
    return sells

def raises(event, as_of):
    if event.table == "liquidations":
        raise KeyError("nothing here")

number = 5
"""


def run(made: Published, *arguments: str | Path) -> Result:
    given = [*map(str, arguments), "--data-dir", str(made.layout.root)]
    return CliRunner().invoke(command, given)


def told(made: Published, *arguments: str | Path) -> dict[str, object]:
    """The outcome as JSON."""
    done = run(made, *arguments, "--json")
    assert done.exception is None, done.exception
    found: dict[str, object] = json.loads(done.stdout)
    return found


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "mine.py"
    path.write_text(MINE)
    return path


def test_a_worked_example_is_run_by_name_and_its_fills_are_written(
    made: Published, tmp_path: Path
) -> None:
    files = ("--fills", tmp_path / "fills.csv", "--equity", tmp_path / "equity.parquet")
    done = run(made, "fade", *files, "--plot", tmp_path / "equity.svg")
    assert done.exit_code == 0, done.output
    assert "fills      2, volume " in done.stdout
    assert "gap        binance: nothing from" in done.stdout
    with (tmp_path / "fills.csv").open(newline="") as stream:
        bought, sold = csv.DictReader(stream)
    assert (bought["side"], bought["price_kind"], sold["side"]) == ("buy", "last", "sell")
    equity = pq.read_table(tmp_path / "equity.parquet")
    assert equity["equity_usd"][0].as_py() == 10_000
    assert "equity" in (tmp_path / "equity.svg").read_text()
    assert {path.name for path in tmp_path.iterdir()} == {
        "fills.csv", "equity.parquet", "equity.svg"
    }  # fmt: skip


def test_what_is_chosen_reaches_the_harness(made: Published) -> None:
    plain = told(made, "listing")
    assert (plain["fills"], plain["events"]) == (1, 1)  # held for longer than the record
    assert plain["missed"] == {"no price within 60 s": 1}
    dear = told(made, "listing", "--costs", "100,200", "--latency", "20s", "--capital", "500")
    assert dear["fees_usd"] == pytest.approx(10.0)
    assert dear["capital_usd"] == 500
    drawn = told(made, "listing", "--latency", "recorded:cryptolisting", "--reaction", "0ms")
    assert drawn["fills"] == 1
    early = told(made, "listing", "--to", str((T0 + 10 * NS) // NS))
    assert (early["events"], early["fills"], early["gaps"]) == (0, 0, [])
    assert told(made, "listing", "--feed", "binance")["events"] == 0
    every = told(made, "listing", "--table", "listings", "--table", "prices")
    assert every["events"] == told(made, "listing", "--table", "prices")["events"] + 1  # type: ignore[operator]
    assert told(made, "listing", "--table", "prices", "--symbol", "NEWCUSDT")["events"] == 120


@pytest.mark.parametrize("name", ["mine.py:sells", "mine:sells", "mine:factory", "mine.py:Waits"])
def test_a_strategy_comes_from_a_file_or_a_module(name: str, mine: Path, made: Published) -> None:
    found = told(made, name)
    assert found["fills"] == (0 if name.endswith("Waits") else 1)
    assert found["events"] > 300  # type: ignore[operator]


def test_the_error_of_a_strategy_names_its_event_and_raw_frame(mine: Path, made: Published) -> None:
    done = run(made, "mine.py:raises")
    assert isinstance(done.exception, RecorderError)
    assert done.exception.exit_code == 1
    said = str(done.exception)
    assert "KeyError: 'nothing here'" in said
    assert "binance liquidations" in said
    assert '"e": "forceOrder"' in said


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["fad"], 2, "did you mean 'fade'"),
        (["mine"], 2, "module:object or file.py:object"),
        (["nowhere.py:x"], 2, "no such file"),
        (["nowhere:x"], 2, "no module 'nowhere'"),
        (["mine.py:sell"], 2, "did you mean 'sells'"),
        (["mine.py:number"], 2, "not a strategy"),
        (["broken.py:x"], 1, "cannot be loaded: NameError"),
        (["lacks.py:x"], 1, "cannot be loaded: ModuleNotFoundError: No module named 'nowhere'"),
        (["fade", "--latency", "soon"], 2, "'soon' is not a duration"),
        (["fade", "--latency", "recorded:nowhere"], 1, "feed 'nowhere' has no recorded latency"),
        (["fade", "--costs", "much"], 2, "'much' is not a fee in basis points"),
        (["fade", "--costs", "-5"], 2, "must not be negative"),
        (["fade", "--fills", "fills.txt"], 2, "FILE.parquet or FILE.csv"),
        (["fade", "--fills", "nowhere/fills.csv"], 2, "no such directory"),
        (["fade", "--plot", "equity.txt"], 2, "unknown format"),
        (["fade", "--feed", "binanc"], 2, "did you mean 'binance'"),
        (["fade", "--table", "price"], 2, "did you mean 'prices'"),
        (["fade", "--from", "2030-01-01"], 1, "the record goes from 2026-09-21"),
    ],
)
def test_what_cannot_be_run_is_refused(
    arguments: list[str], code: int, message: str, mine: Path, made: Published
) -> None:
    mine.with_name("broken.py").write_text("x = undefined")
    mine.with_name("lacks.py").write_text("import nowhere")
    before = set(mine.parent.iterdir())
    done = run(made, *arguments)
    assert isinstance(done.exception, RecorderError)
    assert (done.exception.exit_code, done.stdout) == (code, "")
    assert message in str(done.exception)
    assert {path for path in mine.parent.iterdir() if path.name != "__pycache__"} == before

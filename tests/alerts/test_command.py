"""`recorder alerts` as it is typed: settings, one look, a try, and kill -9."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from kit.commands import call, clean, command
from kit.frames import MS
from kit.journals import Writer

from recorder.alerts.service import plan
from recorder.errors import ConfigError, RecorderError
from recorder.settings.config import load

from .receiving import Answer, receiving

RULE = '[alerts.big]\ntable = "liquidations"\nwhen = "notional_usd > 1e6"\n'
LIQUIDATION = (
    b'{"e":"forceOrder","E":%d,"o":{"s":"BTCUSDT","S":"SELL","q":"1","p":"1","ap":"2%06d",'
    b'"z":"1","T":%d,"st":1}}'
)


def settings(place: Path, text: str) -> Path:
    path = place / "recorder.toml"
    path.write_text(text, "utf-8")
    return path


def eventually(condition: Callable[[], object]) -> None:
    """Wait until a condition holds."""
    for _ in range(6_000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("it never came true")


class Market:
    """A feed that is being recorded."""

    def __init__(self, data: Path) -> None:
        self._writer = Writer(data, "binance", now=time.time_ns())
        self._stream = self._writer.open()

    def liquidate(self, number: int) -> None:
        """One liquidation of two million and so many dollars, received now."""
        self._writer.now = time.time_ns()
        now = self._writer.now // MS
        self._writer.put(self._stream, LIQUIDATION % (now, number, now + number))
        self._writer.beat()


@pytest.mark.parametrize(
    ("text", "where", "says"),
    [
        ("[alerts.x]\n", "alerts.x", "either table"),
        ('[alerts.x]\ntable = "prices"\nhealth = "gap"\n', "alerts.x", "not both"),
        ('[alerts.x]\nhealth = "gap"\nwhen = "true"\n', "alerts.x", "needs table"),
        ('[alerts.x]\ntable = "prices"\nat_most = "10"\n', "alerts.x.at_most", "not a rate"),
        ('[alerts.x]\ntable = "prices"\nat_most = "0/min"\n', "alerts.x.at_most", "not a rate"),
        ('[alerts.x]\ntable = "prices"\ncooldown = "soon"\n', "alerts.x.cooldown", "10m"),
        ('[alerts.x]\ntable = "prices"\nwhem = "true"\n', "alerts.x.whem", "did you mean 'when'"),
        ('[alerts."a b"]\ntable = "prices"\n', "alerts", "'a b' is not a name"),
        ("[destinations.x]\n", "destinations.x", "exactly one of"),
        ('[destinations.x]\nwebhook = "ftp://h"\n', "destinations.x.webhook", "not an HTTP URL"),
        ('[destinations.x]\nwebhook = "https://u:p@h"\n', "destinations.x.webhook", "headers"),
        ("[destinations.x]\ncommand = []\n", "destinations.x.command", "not a program"),
        ('[destinations.x]\ncommand = "ls"\n', "destinations.x.command", "list"),
    ],
)
def test_wrong_settings_are_told_with_their_place(
    tmp_path: Path, text: str, where: str, says: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        load(settings(tmp_path, text))
    assert refused.value.where.endswith(f"recorder.toml:{where}")
    assert says in str(refused.value)


@pytest.mark.parametrize(
    ("text", "code", "says"),
    [
        ("", 2, "no alert is configured"),
        (RULE + 'to = "desk"\n', 2, "alerts.big.to: no destination 'desk'"),
        (RULE.replace("notional_usd", "notional"), 2, "alerts.big.when: Binder Error"),
        (RULE + 'title = "{price:,.0q}"\n', 2, "alerts.big.title"),
        (RULE + 'title = "{prise}"\n', 2, "no field {prise}"),
        (RULE.replace("liquidations", "liqidations"), 2, "did you mean 'liquidations'"),
        ('[alerts.x]\nhealth = ["gap", "silense"]\n', 2, "alerts.x.health: no condition 'silense'"),
        ('[alerts.x]\nhealth = "feed_sillent"\n', 2, "did you mean 'feed_silent'"),
        (RULE + '[destinations.bot]\ntelegram = "1"\n', 4, "RECORDER_BOT_TOKEN"),
    ],
)
def test_a_rule_that_cannot_work_is_refused_before_anything_runs(
    tmp_path: Path, text: str, code: int, says: str
) -> None:
    data = tmp_path / "data"
    with pytest.raises(RecorderError) as refused:
        plan(load(settings(tmp_path, text), data_dir=data), {})
    assert refused.value.exit_code == code
    assert says in str(refused.value)
    assert not data.exists()


@pytest.mark.process
def test_a_rule_is_tried_and_what_arrives_is_marked(tmp_path: Path) -> None:
    with receiving(Answer(200), Answer(500)) as there:
        text = f'{RULE}to = "desk"\n[destinations.desk]\nwebhook = "{there.url}"\n'
        arguments = (
            "alerts",
            "--config",
            settings(tmp_path, text),
            "--data-dir",
            tmp_path / "data",
        )
        done = call(*arguments, "--test", "big")
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("TEST ")
        assert "desk: delivered" in done.stderr
        assert there.requests[0].json["state"] == "test"
        failed = call(*arguments, "--test", "big")
        assert (failed.returncode, "desk: failed: HTTP 500" in failed.stderr) == (1, True)
        unknown = call(*arguments, "--test", "bigg")
        assert (unknown.returncode, "did you mean 'big'" in unknown.stderr) == (2, True)
    assert not (tmp_path / "data").exists()


@pytest.mark.process
def test_one_look_tells_what_is_new_since_the_last_one(tmp_path: Path) -> None:
    data, out = tmp_path / "data", tmp_path / "out"
    note = [sys.executable, "-c", f"import sys; open({str(out)!r}, 'a').write(sys.stdin.read())"]
    text = f'{RULE}to = "note"\n[destinations.note]\ncommand = {json.dumps(note)}\n'
    arguments = ("alerts", "--config", settings(tmp_path, text), "--data-dir", data, "--once")
    market = Market(data)
    market.liquidate(1)
    for number in (2, 3):
        done = call(*arguments)
        assert done.returncode == 0, done.stderr
        market.liquidate(number)
    assert call(*arguments).returncode == 0
    assert call(*arguments).returncode == 0
    usd = [json.loads(line)["event"]["notional_usd"] for line in out.read_text().splitlines()]
    assert usd == [2_000_001.0, 2_000_002.0, 2_000_003.0]


@pytest.mark.process
def test_kill_dash_nine_at_any_moment_tells_no_row_twice(tmp_path: Path) -> None:
    data = tmp_path / "data"
    market = Market(data)
    market.liquidate(0)
    text = f'{RULE}at_most = "1000/s"\n'
    arguments = command("alerts", "--config", settings(tmp_path, text), "--data-dir", data)
    log, state = data / "work/alerts.jsonl", data / "work/alerts.json"
    number = 0
    for wait in (0.0, 0.05, 0.4):
        process = subprocess.Popen(arguments, stderr=subprocess.DEVNULL, env=clean())
        try:
            eventually(state.exists)
            for _ in range(5):
                number += 1
                market.liquidate(number)
            time.sleep(wait)
        finally:
            process.kill()
            process.wait()
    process = subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True, env=clean())
    try:
        number += 1
        market.liquidate(number)
        eventually(lambda: f"2{number:06d}" in (log.read_text() if log.exists() else ""))
    finally:
        process.terminate()
        _, said = process.communicate(timeout=60)
    assert process.returncode == 0, said
    told = [json.loads(line)["event"]["notional_usd"] for line in log.read_text().splitlines()]
    assert len(told) == len(set(told)) > 0
    assert set(told) <= {2_000_000.0 + n for n in range(1, number + 1)}
    assert told[-1] == 2_000_000.0 + number

"""`recorder config`: every setting, where it comes from, and no secret."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from recorder.cli import cli
from recorder.errors import ConfigError

PAGE = Path(__file__).parents[1] / "docs/settings.md"

FULL = """\
raw_url = "s3://bucket/raw"
[capture]
rotate_mb = 16
[feeds.one]
url = "wss://user:s3cr3t@example.org/ws?key=s3cr3t"
rest_url = "https://example.org/s3cr3t"
key = "s3cr3t-s3cr3t-s3cr3t"
headers = { authorization = "s3cr3t" }
query = { key = "s3cr3t" }
subscribe = ['{"auth": "s3cr3t"}']
proxy = "http://user:s3cr3t@example.org:1"
channels = ["a"]
[feeds.two]
[alerts.big]
table = "whales"
to = ["hook"]
[destinations.hook]
webhook = "https://example.org/s3cr3t"
headers = { authorization = "s3cr3t" }
token = "s3cr3t-s3cr3t"
[destinations.program]
command = ["send", "--token", "s3cr3t"]
"""


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty working directory, and no variable of the recorder's."""
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.upper().startswith("RECORDER_"):
            monkeypatch.delenv(name)


def told(*words: str) -> dict[str, dict[str, Any]]:
    """What the command says, by setting."""
    done = CliRunner().invoke(cli, ["config", "--json", *words])
    assert done.exit_code == 0, done.output
    return {one["setting"]: one for one in map(json.loads, done.stdout.splitlines())}


def test_without_anything_all_are_defaults_and_init_is_named() -> None:
    found = told()
    assert {one["from"] for one in found.values()} == {"default"}
    assert found["capture.rotate_seconds"]["value"] == 300
    assert found["raw_url"] == {
        "setting": "raw_url", "value": None, "hidden": False, "from": "default",
    }  # fmt: skip
    done = CliRunner().invoke(cli, ["config"])
    assert re.search(r"^data_dir +\"data\" +default$", done.stdout, re.MULTILINE)
    assert "recorder init" in done.stderr
    assert CliRunner().invoke(cli, ["config", "--changed"]).stdout == ""


def test_flag_variable_and_file_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("my.toml").write_text(FULL)
    monkeypatch.setenv("RECORDER_CAPTURE__FSYNC_MS", "50")
    monkeypatch.setenv("RECORDER_FEEDS__TWO__LINES", "2")
    monkeypatch.setenv("RECORDER_CAPTURE__ROTATE_MB", "8")
    monkeypatch.setenv("RECORDER_CAPTURE__BUFFER_MB", "")  # as if it were not there
    found = told("--config", "my.toml", "--data-dir", "there")
    for name, value, origin in (
        ("data_dir", "there", "--data-dir"),
        ("capture.fsync_ms", 50, "RECORDER_CAPTURE__FSYNC_MS"),
        ("capture.rotate_mb", 8, "RECORDER_CAPTURE__ROTATE_MB"),
        ("feeds.two.lines", 2, "RECORDER_FEEDS__TWO__LINES"),
        ("feeds.one.lines", 1, "default"),
        ("capture.buffer_mb", 64, "default"),
        ("feeds.one.channels", ["a"], "my.toml"),
        ("alerts.big.table", "whales", "my.toml"),
    ):
        assert (found[name]["value"], found[name]["from"]) == (value, origin), name
    changed = told("--config", "my.toml", "--data-dir", "there", "--changed")
    assert changed == {k: v for k, v in found.items() if v["from"] != "default"}


def test_what_may_hold_a_secret_is_never_shown() -> None:
    Path("recorder.toml").write_text(FULL)
    for words in (["config"], ["config", "--json"], ["config", "--changed"]):
        done = CliRunner().invoke(cli, words)
        assert done.exit_code == 0 and "s3cr3t" not in done.output
    hidden = {name.rpartition(".")[2] for name, one in told().items() if one["hidden"]}
    assert hidden == {
        "url", "rest_url", "key", "headers", "query", "subscribe", "proxy", "webhook", "token",
        "command",
    }  # fmt: skip


def test_every_setting_of_the_page_is_shown() -> None:
    Path("recorder.toml").write_text(FULL)
    shown = {name.rpartition(".")[2] for name in told()}
    page = set(re.findall(r"^\| `(\w+)` \|", PAGE.read_text("utf-8"), re.MULTILINE))
    assert shown <= page and {"shard", "cache_gb", "whale_usd", "cooldown"} <= shown


def test_what_is_wrong_is_said_as_everywhere() -> None:
    Path("recorder.toml").write_text("[capture]\nrotate = 3\n")
    done = CliRunner().invoke(cli, ["config"])
    assert isinstance(done.exception, ConfigError)
    assert "recorder.toml:capture.rotate" in str(done.exception)

"""Options that several commands share mean the same on each, and a group is one argument."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import click
import pytest

from recorder.cli import COMMANDS, cli, options
from recorder.cli.options import LogOptions, PageOptions, RecordOptions
from recorder.errors import ConfigError, UsageError
from recorder.record.layout import Layout

SHARED = {"--config", "--data-dir", "--raw-url", "--tables-url", "--log-level", "--log-format"}
SHARED |= {"--shard", "--host", "--port", "--token-file", "--allow-host"}

#: What means something else there: init writes what the others read, top asks a remote page.
OTHERS = {("init", "--config"), ("init", "--data-dir"), ("top", "--token-file")}


def test_a_shared_option_means_the_same_on_each_command() -> None:
    meanings: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for name in COMMANDS:
        command = cli.get_command(click.Context(cli), name)
        assert command is not None
        for one in command.params:
            flag = one.opts[0]
            if flag in SHARED and (name, flag) not in OTHERS:
                text = (getattr(one, "help", None) or "").removeprefix("For serve: ").lower()
                meanings[flag].add((text, repr(one.type.to_info_dict())))
    assert {flag: len(found) for flag, found in meanings.items()} == dict.fromkeys(SHARED, 1)


def called(*arguments: str) -> dict[str, Any]:
    """What a command with every group is called with."""
    got: dict[str, Any] = {}

    @click.command()
    @options.tables
    @click.option("--limit", type=int)
    @options.page(8787)
    @options.logging
    @click.pass_context
    def command(ctx: click.Context, **given: Any) -> None:
        del ctx
        got.update(given)

    command.main(list(arguments), standalone_mode=False)
    return got


def test_a_group_of_options_is_one_argument() -> None:
    assert called("--limit", "3") == {
        "where": RecordOptions(),
        "limit": 3,
        "page": PageOptions("127.0.0.1", 8787),
        "logs": LogOptions("text", "info"),
    }
    got = called(
        "--config", "my.toml", "--data-dir", "d", "--tables-url", "lake", "--raw-url", "s3://b/p",
        "--host", "::1", "--port", "0", "--token-file", "t", "--allow-host", "a", "--allow-host",
        "b", "--log-format", "json", "--log-level", "debug",
    )  # fmt: skip
    assert got["where"] == RecordOptions(Path("my.toml"), Path("d"), "s3://b/p", "lake")
    assert got["page"] == PageOptions("::1", 0, Path("t"), ("a", "b"))
    assert got["logs"] == LogOptions("json", "debug")
    # A supervisor passes them on to its children.
    again = called(*got["where"].words(), *got["page"].words(), *got["logs"].words())
    assert again == got


def test_what_was_not_given_is_not_passed_on() -> None:
    assert RecordOptions().words() == PageOptions(None, None).words() == ()
    assert options.words(shard="3/8", data_dir=None) == ("--shard", "3/8")


def test_an_option_comes_before_the_settings_file(tmp_path: Path) -> None:
    file = tmp_path / "recorder.toml"
    file.write_text('data_dir = "there"\nraw_url = "file:///bucket"\n')
    settings = RecordOptions(file).settings()
    assert (settings.data_dir, settings.raw_url) == (Path("there"), "file:///bucket")
    settings = RecordOptions(file, tmp_path, "s3://b/p").settings(capture={"shard": "3/8"})
    assert (settings.data_dir, settings.raw_url) == (tmp_path, "s3://b/p")
    assert settings.capture.shard == "3/8"
    with pytest.raises(ConfigError, match="cannot be read"):
        RecordOptions(tmp_path / "missing.toml").settings()


def test_the_layout_is_the_directory_and_the_bucket_of_the_settings(tmp_path: Path) -> None:
    where = RecordOptions(data_dir=tmp_path)
    assert where.layout().root == where.layout(where.settings()).root == tmp_path
    with pytest.raises(UsageError, match="nothing is recorded here"):
        options.check_recorded(where.layout())
    sealed = tmp_path / "bucket/feed=binance/date=2026-01-31"
    sealed.mkdir(parents=True)
    (sealed / "20260131T000000Z-01KGAB00000000000000000000-000001.parquet").write_bytes(b"x")
    both = RecordOptions(data_dir=tmp_path, raw_url=f"file://{tmp_path}/bucket").layout()
    assert both.feeds() == ["binance"]
    options.check_recorded(both)


def test_the_tables_are_a_directory_s_or_a_lake_s(tmp_path: Path) -> None:
    file = tmp_path / "recorder.toml"
    file.write_text(f'data_dir = "{tmp_path}"\ntables_url = "lake"\nraw_url = "s3://b/p"\n')
    source = RecordOptions(file).source()
    assert (source.tables_url, source.raw_url) == ("lake", "s3://b/p")
    assert RecordOptions(file, tmp_path / "other").source().tables_url is None
    assert RecordOptions(file, tmp_path / "other").source().layout == Layout(tmp_path / "other")
    assert RecordOptions(file, tables_url="mine").source().tables_url == "mine"
    with pytest.raises(UsageError, match="--tables-url: excludes --data-dir"):
        RecordOptions(file, tmp_path, tables_url="mine").source()

"""The command line's manners: exit codes, messages, help; nothing half-done after a refusal."""

from __future__ import annotations

import json
import os
import re
import shlex
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from kit.pages import ROOT, generated

from recorder.answers import canned
from recorder.capture.sources import sources
from recorder.cli import COMMANDS, SUMMARIES, cli, main
from recorder.errors import RecorderError
from recorder.feeds import KINDS
from recorder.schema.tables import TABLES
from recorder.settings.config import load
from recorder.version import __version__

KEYLESS = {name: value for name, value in os.environ.items() if not name.startswith("RECORDER_")}

every_command = pytest.mark.parametrize("command", COMMANDS)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a command ended and what it said."""

    code: int
    out: str
    err: str


class Here:
    """An empty directory to run commands in, within this process."""

    def __init__(self, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.place, self._capsys = place, capsys

    def run(self, *arguments: str) -> Outcome:
        self._capsys.readouterr()
        code = 0
        try:
            main(list(arguments))
        except SystemExit as ending:
            code = int(ending.code or 0)
        captured = self._capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    def config(self, text: str) -> None:
        (self.place / "recorder.toml").write_text(text)

    def files(self) -> set[str]:
        return {str(path.relative_to(self.place)) for path in self.place.rglob("*")}

    def refuses(self, *arguments: str, code: int = 2) -> str:
        """Run what must be refused; its message. Nothing is written, nothing goes to stdout."""
        before = self.files()
        outcome = self.run(*arguments)
        assert outcome.code == code, outcome.err
        assert outcome.out == ""
        assert "Traceback" not in outcome.err
        assert self.files() == before
        return outcome.err


@pytest.fixture
def here(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Here]:
    monkeypatch.chdir(tmp_path)
    for name in set(os.environ) - set(KEYLESS):
        monkeypatch.delenv(name)
    yield Here(tmp_path, capsys)


def python(code: str, *arguments: str) -> str:
    """What a fresh interpreter prints."""
    child = [sys.executable, "-c", code, *arguments]
    return subprocess.run(child, capture_output=True, text=True, check=True, env=KEYLESS).stdout


# -- all commands


def test_an_unknown_command_is_answered_with_the_nearest(here: Here) -> None:
    said = here.refuses("captrue")
    assert "no command 'captrue'; did you mean 'capture'" in said


def test_the_version_is_told(here: Here) -> None:
    assert here.run("--version").out == f"recorder, version {__version__}\n"


@every_command
def test_an_unknown_option_is_refused(here: Here, command: str) -> None:
    assert "--nonsense" in here.refuses(command, "--nonsense")


@pytest.mark.parametrize("command", ["capture", "ingest", "query", "demo"])
def test_a_file_where_a_directory_is_due_is_refused(here: Here, command: str) -> None:
    (here.place / "file").write_text("mine")
    assert "'file' is a file" in here.refuses(command, "--data-dir", "file")
    assert (here.place / "file").read_text() == "mine"


@pytest.mark.parametrize("command", ["capture", "ingest"])
def test_a_settings_file_that_is_missing_is_named(here: Here, command: str) -> None:
    said = here.refuses(command, "--config", "missing.toml")
    assert said.startswith("recorder: missing.toml: cannot be read: No such file or directory\n")


@pytest.mark.parametrize("command", ["capture", "ingest", "demo"])
def test_a_wrong_setting_stops_every_command_that_reads_it(here: Here, command: str) -> None:
    here.config("[capture]\nrotate_mbs = 5\n")
    said = here.refuses(command)
    assert said == (
        "recorder: recorder.toml:capture.rotate_mbs: unknown setting\n"
        "  did you mean 'rotate_mb' or 'rotate_seconds'?\n"
    )


def test_a_failure_of_ours_is_one_message_and_debug_adds_the_traceback(
    here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(**options: object) -> None:
        raise ZeroDivisionError("what nobody expected")

    from recorder.cli.feeds import feeds

    monkeypatch.setattr(feeds, "callback", fail)
    said = here.refuses("feeds", code=1)
    assert said.startswith("recorder: ZeroDivisionError: what nobody expected\n")
    assert "recorder --debug feeds" in said
    debugged = here.run("--debug", "feeds")
    assert debugged.code == 1
    assert "Traceback" in debugged.err
    assert "in fail" in debugged.err


def test_debug_changes_no_exit_code(here: Here) -> None:
    outcome = here.run("--debug", "feeds", "nonsense")
    assert outcome.code == 2
    assert "Traceback" in outcome.err
    assert "recorder: no feed of kind 'nonsense'" in outcome.err


def test_every_error_has_its_documented_exit_code() -> None:
    def codes(kind: type[RecorderError]) -> dict[str, int]:
        inner = {n: c for sub in kind.__subclasses__() for n, c in codes(sub).items()}
        return {kind.__name__: kind.exit_code} | inner

    assert codes(RecorderError) == {
        "RecorderError": 1,
        "UsageError": 2,
        "ConfigError": 2,
        "NotConnectedError": 3,
        "CredentialsError": 4,
        "DataError": 1,
        "OtherVersionError": 1,
        "StoreError": 1,
        "CatalogueError": 1,
        "BusyError": 1,
        "LookAheadError": 1,
        "StrategyError": 1,
    }


# -- capture


def test_capture_without_a_feed_says_how_to_add_one(here: Here) -> None:
    said = here.refuses("capture")
    assert "no feed is configured" in said
    assert "recorder.toml" in said


def test_capture_of_an_unknown_kind_names_the_nearest(here: Here) -> None:
    here.config("[feeds.binanse]\n")
    said = here.refuses("capture")
    assert "feeds.binanse: no feed of kind 'binanse'" in said
    assert "did you mean 'binance'?" in said
    assert 'kind = "generic"' in said


def test_capture_of_a_feed_that_is_not_configured_names_the_nearest(here: Here) -> None:
    here.config("[feeds.binance]\n")
    said = here.refuses("capture", "--feed", "binanse")
    assert "no feed 'binanse' in the configuration" in said
    assert "'binance'" in said


def test_capture_of_a_bad_url_says_where_it_stands(here: Here) -> None:
    here.config('[feeds.mine]\nkind = "generic"\nurl = "http://example.org"\n')
    said = here.refuses("capture")
    assert said.startswith("recorder: recorder.toml:feeds.mine.url: not a WebSocket URL")


def test_capture_of_a_wrong_channel_says_where_it_stands(here: Here) -> None:
    here.config('[feeds.binance]\nchannels = ["nonsense"]\n')
    assert "feeds.binance.channels: 'nonsense' is not a channel" in here.refuses("capture")


@pytest.mark.parametrize("feed", ["cryptolisting", "smartmoney"])
def test_capture_without_a_key_names_the_variable(here: Here, feed: str) -> None:
    here.config(f"[feeds.{feed}]\n")
    said = here.refuses("capture", code=4)
    assert f"feeds.{feed}: this feed needs" in said
    assert f"RECORDER_{feed.upper()}_KEY" in said


def test_capture_with_a_readable_key_file_is_refused(here: Here) -> None:
    here.config('[feeds.smartmoney]\nkey_file = "key"\n')
    (here.place / "key").write_text("s3cr3t")
    (here.place / "key").chmod(0o644)
    said = here.refuses("capture", code=4)
    assert "chmod 600 key" in said
    assert "s3cr3t" not in said


def test_capture_into_a_directory_that_cannot_be_written(
    here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    here.config("[feeds.binance]\n")
    (here.place / "shut").mkdir(mode=0o500)
    if os.geteuid() == 0:  # who may write anywhere
        monkeypatch.setattr(os, "access", lambda path, mode: not mode & os.W_OK)
    for place in ("shut", "shut/deeper/still"):
        said = here.refuses("capture", "--data-dir", place)
        assert f"recorder: {place}: the data directory is not writable" in said
        assert "--data-dir" in said


def test_capture_into_a_directory_below_a_file(here: Here) -> None:
    here.config("[feeds.binance]\n")
    (here.place / "file").touch()
    assert "not writable" in here.refuses("capture", "--data-dir", "file/data")


@pytest.mark.parametrize("value", ["0", "-1", "soon"])
@pytest.mark.parametrize("option", ["--duration", "--connect-timeout"])
def test_capture_for_no_time_is_refused(here: Here, option: str, value: str) -> None:
    assert option in here.refuses("capture", option, value)


@pytest.mark.process
def test_capture_that_connects_to_nothing_in_time(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    (tmp_path / "recorder.toml").write_text(
        f'[feeds.mine]\nkind = "generic"\nurl = "ws://127.0.0.1:{port}"\n'
    )
    command = [sys.executable, "-m", "recorder", "capture", "--connect-timeout", "0.5"]
    command += ["--log-format", "json"]
    done = subprocess.run(
        command, cwd=tmp_path, env=KEYLESS, capture_output=True, text=True, check=False
    )
    assert done.returncode == 3
    events = [json.loads(line)["event"] for line in done.stderr.splitlines()]
    assert "nothing connected in time" in events
    assert done.stdout == ""


# -- ingest


@pytest.mark.parametrize("place", ["nowhere", "empty"])
def test_ingest_of_nothing_says_so_and_writes_nothing(here: Here, place: str) -> None:
    (here.place / "empty").mkdir()
    said = here.refuses("ingest", "--data-dir", place)
    assert said.startswith(f"recorder: {place}: nothing is recorded here\n")
    assert "recorder capture" in said


# -- query


def test_an_unknown_query_is_answered_with_the_nearest(here: Here) -> None:
    said = here.refuses("query", "whale_move")
    assert "no query 'whale_move'" in said
    assert "'whale_moves'" in said


def test_an_unknown_parameter_is_answered_with_the_nearest(here: Here) -> None:
    said = here.refuses("query", "whale_moves", "-p", "min_used", "1")
    assert "min_used" in said
    assert "min_usd" in said


def test_a_query_without_a_database_says_how_to_make_one(here: Here) -> None:
    said = here.refuses("query", "listings", code=1)
    assert said.startswith("recorder: data/recorder.duckdb: no database yet\n")
    assert "recorder ingest" in said


def test_a_query_of_what_is_no_database_says_how_to_renew_it(here: Here) -> None:
    (here.place / "data").mkdir()
    (here.place / "data/recorder.duckdb").write_text("not a database" * 1000)
    said = here.refuses("query", "listings", code=1)
    assert "recorder ingest --rebuild" in said


def test_a_query_in_an_unknown_format_is_refused(here: Here) -> None:
    assert "'xml'" in here.refuses("query", "listings", "--format", "xml")


def test_the_menu_names_every_query(here: Here) -> None:
    menu = here.run("query", "--list")
    assert menu.code == 0
    assert set(re.findall(r"^  (\w+) ", menu.out, re.MULTILINE)) == set(canned.load())
    headings = [line for line in menu.out.splitlines() if re.match(r"\w", line)]
    assert set(headings) == {query.topic or "More" for query in canned.load().values()}


# -- simulate


def test_an_unknown_service_is_refused(here: Here) -> None:
    assert "'nonsense'" in here.refuses("simulate", "nonsense")


@pytest.mark.parametrize("flag", [("--port", "70000"), ("--port", "-1"), ("--rate", "-1")])
def test_a_simulation_that_cannot_be_is_refused(here: Here, flag: tuple[str, str]) -> None:
    assert flag[0] in here.refuses("simulate", "smartmoney", *flag)


@pytest.mark.process
def test_a_port_that_is_taken_is_named(here: Here) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = here.refuses("simulate", "smartmoney", "--port", str(port))
    assert f"cannot listen on 127.0.0.1:{port}" in said
    assert "--port" in said


# -- feeds


def test_every_feed_is_listed(here: Here) -> None:
    listed = here.run("feeds")
    assert [line.split()[0] for line in listed.out.splitlines()][: len(KINDS)] == [*KINDS]
    objects = [json.loads(line) for line in here.run("feeds", "--json").out.splitlines()]
    assert [found["kind"] for found in objects][: len(KINDS)] == [*KINDS]
    for found in objects:
        assert found["title"]
        assert found["endpoints"] or found["kind"] == "generic"
        assert set(found["tables"]) <= set(TABLES)


@pytest.mark.parametrize("kind", KINDS)
def test_the_example_of_a_feed_is_a_configuration_that_works(here: Here, kind: str) -> None:
    shown = here.run("feeds", kind)
    assert shown.code == 0
    here.config(shown.out.split("in recorder.toml\n")[1])
    settings = load(None)
    [source] = sources(settings, dict.fromkeys(settings.feeds, "key:secret"))
    assert source.plans or source.unmatched


# -- init


def test_the_settings_that_init_writes_work(here: Here) -> None:
    outcome = here.run("init", *(word for kind in KINDS for word in ("--feed", kind)))
    assert outcome.code == 0, outcome.err
    assert outcome.out == ""
    assert "RECORDER_SMARTMONEY_KEY" in outcome.err
    settings = load(None)
    found = sources(settings, dict.fromkeys(settings.feeds, "key:secret"))
    assert [source.feed.kind for source in found] == [*KINDS]


def test_init_writes_nothing_over_and_says_what_is_wrong(here: Here) -> None:
    assert "no feed given" in here.refuses("init")
    assert "did you mean 'bybit'" in here.refuses("init", "--feed", "bibyt")
    here.config("# mine\n")
    assert "--force" in here.refuses("init", "--feed", "binance")
    assert (here.place / "recorder.toml").read_text() == "# mine\n"
    assert here.run("init", "--feed", "binance", "--force").code == 0
    assert list(load(None).feeds) == ["binance"]
    assert "not writable" in here.refuses("init", "--feed", "binance", "--config", "no/x.toml")


def test_an_unknown_feed_is_answered_with_the_nearest(here: Here) -> None:
    assert "did you mean 'generic'?" in here.refuses("feeds", "genric")


# -- completion


@pytest.mark.process
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_completion_script_is_printed(here: Here, shell: str) -> None:
    outcome = here.run("completion", shell)
    assert outcome.code == 0
    assert "_RECORDER_COMPLETE" in outcome.out


def test_an_unknown_shell_is_refused(here: Here) -> None:
    assert "'csh'" in here.refuses("completion", "csh")


@pytest.mark.process
@pytest.mark.parametrize(
    ("typed", "offered"),
    [("recorder cap", "capture"), ("recorder query whale_m", "whale_moves")],
)
def test_commands_and_queries_are_completed(typed: str, offered: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from recorder.cli import main; main()"],
        env=KEYLESS | {"COMP_TYPED": typed, "_RECORDER_COMPLETE": "bash_complete"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == [f"plain,{offered}"]


# -- help


def help_of(*command: str) -> str:
    """A command's help as a terminal of 100 columns shows it."""
    for name in command:
        found = cli.get_command(click.Context(cli), name)
        assert found is not None
        # click keeps the option as it was first made, for whoever ran the command by itself.
        found._help_option = None
    result = CliRunner().invoke(cli, [*command, "--help"], prog_name="recorder", terminal_width=100)
    assert result.exit_code == 0
    return result.output.rstrip()


def examples(text: str) -> list[list[str]]:
    """The commands that stand at the end of a help text, without the program's name."""
    ending = re.split(r"\n\s*Examples?:\n", text)[-1]
    return [shlex.split(found) for found in re.findall(r"recorder ([^)\n]+)", ending)]


@pytest.mark.parametrize("command", [(), *((name,) for name in COMMANDS)], ids=str)
def test_help_ends_with_an_example_that_can_be_typed(command: tuple[str, ...]) -> None:
    text = help_of(*command)
    assert re.search(r"\n\s*Examples?:(\n\s+[^\n]*recorder [^\n]*)+\Z", text), text[-300:]
    found = examples(text)
    assert found
    for name, *arguments in found:
        assert command in {(), (name,)}
        typed = cli.get_command(click.Context(cli), name)
        assert typed is not None
        typed.make_context(name, list(arguments))


def test_the_commands_and_their_summaries_are_the_same() -> None:
    assert list(COMMANDS) == list(SUMMARIES)
    assert all(re.fullmatch(r"[A-Z].{10,70}\.", text) for text in SUMMARIES.values())


def reference() -> str:
    """The generated part of docs/cli.md."""
    parts = [f"## recorder {name}\n\n```text\n{help_of(name)}\n```\n" for name in COMMANDS]
    return f"## recorder\n\n```text\n{help_of()}\n```\n\n" + "\n".join(parts)


def test_the_documentation_shows_every_command_s_help() -> None:
    before, _, _ = (ROOT / "docs/cli.md").read_text("utf-8").partition("## recorder\n")
    generated("docs/cli.md", before + reference())


# -- what is loaded


@pytest.mark.process
def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys\nfrom recorder.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "print(*sys.modules, sep='\\n')"
    )
    loaded = set(python(code).splitlines())
    heavy = {"duckdb", "pyarrow", "rich", "structlog", "pydantic", "websockets", "msgspec"}
    assert "recorder.cli" in loaded
    assert loaded & heavy == set()


@pytest.mark.process
def test_capture_loads_neither_duckdb_nor_pyarrow() -> None:
    code = (
        "import sys\nimport recorder.capture.capture, recorder.cli.capture\n"
        "import recorder.settings.config, recorder.log\n"
        "print(*sys.modules, sep='\\n')"
    )
    loaded = set(python(code).splitlines())
    assert "websockets" in loaded
    assert loaded & {"duckdb", "pyarrow"} == set()

"""Imports point down, and exchange knowledge stays where it belongs."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "recorder"

#: Packages and flat modules from the bottom to the top: each imports from those before it alone.
RANKS = (
    "version",
    "errors",
    "reporter",
    "clock",
    "times",  # what people write of times
    "frame",
    "durable",
    "backoff",
    "priority",
    "redact",
    "log",
    "shard",
    "service",  # how a service treats its clients
    "feed",  # what a feed is
    "feeds",
    "services",  # what the services of feeds say to clients in a replay
    "settings",
    "schema",
    "record",
    "bucket",
    "session",
    "capture",
    "answers",
    "tables",
    "stream",
    "plot",
    "player",
    "export",
    "backtest",
    "lake",
    "status",
    "alerts",
    "serve",
    "tui",
    "supervision",
    "simulate",
    "api",
    "cli",
    "__main__",
)

#: From the socket to the journal; the journal itself is read by both.
WRITING = {"session", "capture"}

#: Frames to tables to answers; the other half writes what these read.
READING = {"tables", "answers", "stream", "plot", "backtest", "export", "alerts", "status", "serve"}
READING |= {"lake"}

#: Reads settings as capture does, to try them: the only reader that may know the writing half.
DOCTOR = "status.doctor"

VENUES = (
    "cryptolisting|smartmoney|binance|bybit|okx|deribit|hyperliquid|bitmex|bitfinex|kraken|"
    "coinbase|upbit|bithumb|treeofalpha"
)


def name_of(path: Path) -> str:
    """`recorder/session/line.py` is `session.line`; the package itself is the empty name."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {name_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}


@cache
def tree(module: str) -> ast.Module:
    return ast.parse(FILES[module].read_text("utf-8"))


def imported(module: str) -> Iterator[str]:
    """Full names of what a module imports, wherever in it; `from a import b` gives `a.b`."""
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@cache
def ours(module: str) -> frozenset[str]:
    """The recorder's modules that a module imports."""
    found = set()
    for name in imported(module):
        if name.split(".")[0] == "recorder":
            inner = name.removeprefix("recorder").removeprefix(".")
            found.add(inner if inner in FILES else inner.rpartition(".")[0])
    return frozenset(found - {""})


@cache
def theirs(module: str) -> frozenset[str]:
    """The top names of everything else that a module imports."""
    return frozenset(name.split(".")[0] for name in imported(module)) - {"recorder"}


def within(module: str, *parts: str) -> bool:
    """True if a module is, or is inside, one of these."""
    return any(module == part or module.startswith(f"{part}.") for part in parts)


def beneath(*parts: str) -> list[str]:
    return [module for module in FILES if within(module, *parts)]


def rank(module: str) -> int:
    """The place of a module's package in RANKS."""
    return RANKS.index(module.partition(".")[0])


def test_every_package_has_a_rank() -> None:
    assert {module.partition(".")[0] for module in FILES} - {""} == set(RANKS)
    assert len(FILES) > 200


def test_every_import_points_down() -> None:
    """Wherever in a module the import stands, and for types alone too."""
    up = [
        f"{module} imports {other}"
        for module in FILES
        if module
        for other in ours(module)
        if rank(other) > rank(module)
    ]
    assert up == []


def test_no_module_imports_what_imports_it() -> None:
    in_order = TopologicalSorter({module: ours(module) for module in FILES}).static_order()
    assert set(in_order) >= set(FILES)  # a circle raises


def test_the_writing_half_knows_nothing_of_tables() -> None:
    for module in beneath(*WRITING, "record.journal"):
        assert not [name for name in ours(module) if within(name, *READING, "cli")], module
        assert not theirs(module) & {"duckdb", "pyarrow"}, module


def test_what_capture_loads_loads_no_database() -> None:
    reached, ahead = set(), ["capture.capture", "settings.config", "log", "redact"]
    while ahead:
        module = ahead.pop()
        if module not in reached:
            reached.add(module)
            ahead += ours(module)
    for module in sorted(reached):
        assert not theirs(module) & {"duckdb", "pyarrow"}, module


def test_the_reading_half_knows_nothing_of_connections() -> None:
    for module in set(beneath(*READING)) - {DOCTOR}:
        assert not [name for name in ours(module) if within(name, *WRITING, "cli")], module
        assert "websockets" not in theirs(module), module


def test_a_bucket_knows_nothing_of_tables_or_connections() -> None:
    for module in beneath("bucket"):
        assert not [name for name in ours(module) if within(name, *READING, *WRITING)], module
        assert "duckdb" not in theirs(module), module


def test_only_the_command_line_imports_the_command_line() -> None:
    for module in FILES:
        if any(within(name, "cli") for name in ours(module)):
            assert within(module, "cli") or module == "__main__", module


def test_replay_reads_finished_files_and_knows_nothing_of_capture() -> None:
    for module in beneath("player"):
        assert not [name for name in ours(module) if within(name, *WRITING, "cli")], module
        assert "duckdb" not in theirs(module), module
        sockets = within(module, "player.server", "player.client")
        assert sockets or "websockets" not in theirs(module), module


#: What computes and opens nothing.
PURE = {"__future__", "re", "collections", "importlib", "functools", "datetime", "hashlib", "hmac"}
PURE |= {"urllib", "msgspec", "typing"}


def test_a_feed_imports_feed_and_errors_alone() -> None:
    for module in beneath("feeds"):
        assert ours(module) <= {"feed", "errors"}, module
        assert theirs(module) <= PURE, module


def test_a_service_imports_service_and_feed_alone() -> None:
    for module in beneath("services"):
        assert ours(module) <= {"service", "feed", "feeds"}, module
        assert theirs(module) <= PURE, module


def test_only_a_replay_knows_how_services_treat_clients() -> None:
    for module in FILES:
        if any(within(name, "service", "services") for name in ours(module)):
            assert within(module, "services", "player"), module


def test_the_session_s_decisions_are_pure() -> None:
    assert theirs("session.machine") <= {"__future__", "collections", "dataclasses", "enum"}


def test_simulated_services_and_the_recorder_share_nothing() -> None:
    for module in beneath("simulate"):
        assert all(within(name, "simulate") for name in ours(module)), module
    for module in FILES:
        if any(within(name, "simulate") for name in ours(module)):
            assert within(module, "simulate", "cli.simulate"), module


def strings(module: str) -> Iterator[str]:
    """Every string of a module's code, docstrings left out."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree(module))
        if isinstance(node, documented) and node.body and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree(module)):
        is_text = isinstance(node, ast.Constant) and isinstance(node.value, str)
        if is_text and id(node) not in docstrings:
            yield node.value


def names(module: str) -> Iterator[str]:
    """Every name that a module's code uses or defines."""
    for node in ast.walk(tree(module)):
        for field in ("id", "attr", "arg", "name"):
            value = getattr(node, field, None)
            if isinstance(value, str):
                yield value


@pytest.mark.parametrize(
    "module",
    [
        m
        for m in FILES
        if not within(m, "feeds", "services", "simulate", "cli.demo", "cli.simulate")
    ],
)
def test_generic_code_knows_no_venue(module: str) -> None:
    """Prose may name one as an example; a name, a word or a quoted word in SQL may not."""
    word = re.compile(rf"\S*({VENUES})\S*|.*(['\"])\S*({VENUES})\S*\2.*", re.I | re.S)
    assert [name for name in names(module) if re.search(VENUES, name, re.I)] == []
    assert [text for text in strings(module) if word.fullmatch(text)] == []

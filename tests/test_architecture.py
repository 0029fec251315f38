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
    "coding",  # how a service packs the text of its frames
    "endpoints",  # where the venues are
    "verdict",  # what the end of a connection means
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
    "coinbase|upbit|bithumb|treeofalpha|htx|huobi|gateio|bitget"
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


def test_a_feed_imports_feed_errors_and_endpoints_alone() -> None:
    for module in beneath("feeds"):
        assert ours(module) <= {"feed", "errors", "endpoints"}, module
        assert theirs(module) <= PURE, module


def test_a_service_imports_service_and_feed_alone() -> None:
    for module in beneath("services"):
        assert ours(module) <= {"service", "feed", "feeds"}, module
        assert theirs(module) <= PURE, module


def test_only_a_replay_knows_how_services_treat_clients() -> None:
    for module in FILES:
        if any(within(name, "service", "services") for name in ours(module)):
            assert within(module, "services", "player"), module


def test_a_layout_is_names_alone() -> None:
    """What differs from place to place is a store's (`record.store`), and no heir's."""
    heirs = [
        f"{module}.{node.name}"
        for module in FILES
        for node in ast.walk(tree(module))
        if isinstance(node, ast.ClassDef)
        and any(ast.unparse(base).split(".")[-1] == "Layout" for base in node.bases)
    ]
    assert heirs == []


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


#: What opens a sealed file or maps any: names of pyarrow and of `record` that only `record` uses.
OPENERS = {"ParquetFile", "ParquetDataset", "read_table", "read_schema", "read_metadata"}
OPENERS |= {"memory_map", "mmap", "sealed_file", "parquet_file", "dataset", "FileSystemDataset"}

#: How Python opens a path, or reads it whole.
READS = {"open", "read_bytes", "read_text"}

#: Methods of a layout that return where a segment is.
PATHS = {"journal", "parquet", "look"}

#: Arrow data sets that are not the record's files, or that hand paths of `record` to SQL.
DATA_SETS = {
    "answers.frames",  # the view `frames` of a bucket: DuckDB reads through the data set
    "lake.files",  # a lake's own tables
    "lake.read",
}


def calls(node: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    """Each call below a node, with the last part of the name that it calls."""
    for one in ast.walk(node):
        if isinstance(one, ast.Call):
            yield getattr(one.func, "attr", getattr(one.func, "id", "")), one


def mentions(node: ast.AST, paths: set[str]) -> bool:
    """True if an expression asks a layout for a segment's path, is one, or spells one."""
    return any(name in PATHS for name, _ in calls(node)) or any(
        (isinstance(one, ast.Name) and one.id in paths)
        or (
            isinstance(one, ast.Constant)
            and isinstance(one.value, str)
            and one.value.endswith((".journal", ".parquet"))
        )
        for one in ast.walk(node)
    )


def opened(source: ast.Module) -> list[str]:
    """What a module opens of the record itself, each with its line."""
    result = []
    for node in ast.walk(source):
        if isinstance(node, ast.Import | ast.ImportFrom):
            of = getattr(node, "module", None) or ""
            names = (f"{of}.{alias.name}".strip(".") for alias in node.names)
            own = [n for n in names if within(n, "recorder.record.journal.reader", "mmap")]
            result += [f"{node.lineno}: import {name}" for name in own]
    result += [f"{call.lineno}: {name}" for name, call in calls(source) if name in OPENERS]
    for function in ast.walk(source):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        paths: set[str] = set()
        for node in ast.walk(function):
            if isinstance(node, ast.Assign | ast.For) and mentions(
                node.value if isinstance(node, ast.Assign) else node.iter, set()
            ):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                paths |= {n.id for t in targets for n in ast.walk(t) if isinstance(n, ast.Name)}
        for name, call in calls(function):
            if name in READS and any(mentions(part, paths) for part in (call.func, *call.args)):
                result.append(f"{call.lineno}: {name}")
    return sorted(set(result))


def test_only_record_opens_journals_and_sealed_files() -> None:
    """Others hand whole files to a bucket, or paths to SQL."""
    for module in set(FILES) - set(beneath("record", "bucket")):
        found = opened(tree(module))
        if module in DATA_SETS:
            found = [one for one in found if not one.endswith(("dataset", "Dataset"))]
        if module == "export.nautilus":  # it raises the precision of its catalogue's own files
            found = [one for one in found if not one.endswith(("read_schema", "read_table"))]
        assert found == [], module


@pytest.mark.parametrize(
    "planted",
    [
        "from recorder.record.journal import reader",
        "def f():\n    from recorder.record.journal.reader import blocks",
        "import mmap",
        "import pyarrow.parquet as pq\nfile = pq.ParquetFile(layout.parquet(feed, stem))",
        "from pyarrow.parquet import read_table\nrows = read_table(path)",
        "import pyarrow.dataset as ds\nrows = ds.dataset([path])",
        "from recorder.record import sealed\nwith sealed.sealed_file(path) as file: pass",
        "def f():\n    with layout.journal(feed, stem).open('rb') as file: pass",
        "def f():\n    fd = os.open(layout.journal(feed, stem), os.O_RDONLY)",
        "def f():\n    path = layout.parquet(feed, stem)\n    return path.read_bytes()",
        "def f():\n    for path in raw.glob('*.parquet'):\n        open(path)",
        "def f():\n    return open(f'{stem}' + '.journal', 'rb').read()",
    ],
)
def test_whoever_opens_the_record_is_found(planted: str) -> None:
    assert opened(ast.parse(planted))


def test_who_opens_something_else_is_left_alone() -> None:
    harmless = (
        "def f():\n    path = layout.parquet(feed, stem)\n    return path.stat(), open(other)"
    )
    assert opened(ast.parse(harmless)) == []


def classes(source: ast.Module) -> list[str]:
    return [node.name for node in ast.walk(source) if isinstance(node, ast.ClassDef)]


def twice(places: dict[str, ast.Module]) -> dict[str, list[str]]:
    """Class names that occur more than once, with the modules that have them."""
    owners: dict[str, list[str]] = {}
    for module, source in places.items():
        for name in classes(source):
            owners.setdefault(name, []).append(module)
    return {name: modules for name, modules in owners.items() if len(modules) > 1}


def test_a_class_s_name_says_which_class_it_is() -> None:
    assert twice({module: tree(module) for module in FILES}) == {}


def test_a_second_class_of_a_name_is_found() -> None:
    first, second = ast.parse("class Part: ..."), ast.parse("def f():\n    class Part: ...")
    assert twice({"a": first, "b": second}) == {"Part": ["a", "b"]}

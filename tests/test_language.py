"""Prose in code, help, messages and pages uses plain words: what it avoids is listed here."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

#: What to avoid, and what to write instead.
BANNED = {
    r"anew": "again, rebuild",
    r"so (?:many|much|long|often|old)(?! that)": "this many, this long",
    r"hears?(?: of)?|heard of": "receives, learns of, is called with",
    r"(?:is|are|was|were|be|been|being) (?:told|said)": "name the actor",
    r"tells?": "report, say, write, return",
    r"giv(?:e|es|en|ing) (?:\w+ ){0,3}free": "release",
    r"giv(?:e|es|en|ing) back": "return, release",
    r"let(?:s|ting)? (?:\w+ ){0,3}go": "release, close",
    r"dear(?:er|est)?": "expensive, slow",
    r"in the midst": "in the middle",
    r"whence": "from where",
    r"embrac\w+": "contain",
    r"(?:can(?:not)?|to) be had": "available",
    r"who(?:ever)? (?:reads|asks|comes|watches|looks|knows)": "readers, clients, callers",
    r"fares?": "status",
    r"(?:go(?:es|ing)?|went) on": "continue",
    r"of (?:its|their|our|one's) own": "own, separate",
    r"stands?(?! for\b)": "is, exists",
    r"(?<!there )(?:is|are) (?:no|none)(?! (?:longer|more|such|fewer|later|earlier)\b)": "is not a",
    r"believed?": "trusted",
    r"by who knows": "",
    r"bothered": "disturbed, asked",
    r"abreast": "merged",
    r"beneath": "below",
}
_BANNED = re.compile(rf"(?<![\w-])(?:{'|'.join(BANNED)})(?![\w-])", re.I)

#: Docstrings of functions begin with a verb: not with these.
NOUNS = re.compile(
    r"(?:The|A|An|What|How|Where|Which|Who|When|It|Its|True|One|Those|All|Each|Every)\b"
)

#: Not rewritten yet; `docs/` is left to its own rewriting, the rest of this list has to be empty.
PENDING = ("docs/",)

#: Names of functions, variables and arguments that say nothing of their subject.
NAMES = re.compile(
    r"_?(?:anew|told|tell|tells|whence|abreast|dear|sieve|courier|sentry|lookout|hearing)"
)


def pending(path: Path) -> bool:
    return str(path.relative_to(ROOT)).startswith(PENDING)


def files(*patterns: str) -> list[Path]:
    found = {path for pattern in patterns for path in ROOT.glob(pattern) if path.is_file()}
    return sorted(path for path in found if "vendor" not in path.parts and not pending(path))


PYTHON = files("recorder/**/*.py", "benchmarks/**/*.py", "examples/**/*.py")
TEXTS = files("*.md", "docs/**/*.md", "benchmarks/*.md", "deploy/**/*", "queries/**/*.sql")
TEXTS += files("recorder/serve/page/**/*.js", "recorder/serve/page/**/*.html")
TEXTS = [path for path in TEXTS if path.name not in {"CHANGELOG.md"} and path.suffix != ".json"]


def prose(path: Path) -> Iterator[tuple[int, str]]:
    """The comments, docstrings and messages of a module, each with its line."""
    text = path.read_text("utf-8")
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:
            for number, line in enumerate(node.value.splitlines()):
                yield node.lineno + number, line


def faults(path: Path, lines: Iterator[tuple[int, str]]) -> list[str]:
    place = path.relative_to(ROOT)
    return [
        f"{place}:{number}: '{match[0]}' in: {line.strip()[:100]}"
        for number, line in lines
        for match in [_BANNED.search(line)]
        if match
    ]


def test_the_list_finds_what_it_is_for() -> None:
    for line in (
        "make the rows anew",
        "Give it so long to become healthy.",
        "`warn` hears of what is skipped",
        "the subscription is said when it opens",
        "is no sealed file: its columns are others",
        "nobody who watches it",
        "how the recorder fares",
    ):
        assert _BANNED.search(line), line
    for line in (
        "so that it is",
        "a * stands for a symbol",
        "there is no database",
        "it is no longer",
    ):
        assert not _BANNED.search(line), line


@pytest.mark.parametrize("path", PYTHON, ids=lambda path: str(path.relative_to(ROOT)))
def test_code_keeps_to_plain_words(path: Path) -> None:
    assert faults(path, prose(path)) == []


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_pages_and_queries_keep_to_plain_words(path: Path) -> None:
    assert faults(path, iter(enumerate(path.read_text("utf-8").splitlines(), 1))) == []


@pytest.mark.parametrize("path", PYTHON, ids=lambda path: str(path.relative_to(ROOT)))
def test_docstrings_of_functions_begin_with_a_verb(path: Path) -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{node.lineno}: {node.name}: {text.splitlines()[0]}"
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and not any("property" in ast.unparse(mark) for mark in node.decorator_list)
        and (text := ast.get_docstring(node))
        and NOUNS.match(text)
    ]
    assert wrong == []


@pytest.mark.parametrize("path", PYTHON, ids=lambda path: str(path.relative_to(ROOT)))
def test_names_are_usual_words(path: Path) -> None:
    names = {
        value
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        for field in ("id", "attr", "arg", "name")
        if isinstance(value := getattr(node, field, None), str)
    }
    assert sorted(name for name in names if NAMES.fullmatch(name)) == []

"""The documentation says what the code does."""

from __future__ import annotations

import re
from collections.abc import Collection

import pytest
from kit.pages import ROOT, generated
from test_architecture import RANKS

from recorder.feeds import KINDS, feed
from recorder.schema.state import ABOUT, CONDITIONS, LEDGER, PRUNED
from recorder.schema.table import Column, Table
from recorder.schema.tables import COMMON, TABLES
from recorder.tables.normalise import load


def tables_page() -> str:
    """docs/tables.md as it should be."""

    def section(table: Table, known: Collection[Column] = ()) -> list[str]:
        own = [c for c in table.columns if c not in known]
        rows = [f"| `{c.name}` | {c.type} | {c.comment} |" for c in own]
        head = [
            f"## {table.name}",
            "",
            table.comment,
            "",
            "| column | type | what |",
            "|---|---|---|",
        ]
        return [*head, *rows, ""]

    lines = [
        "# The tables of recorder.duckdb",
        "",
        "Times are integer nanoseconds since epoch, UTC; unknown is NULL, never zero. Every row of",
        "every table but the last four begins with the common columns. The view `raw` holds the",
        "raw frames (see [record.md](record.md)); every [canned query](queries.md) is a table",
        "macro.",
        "",
    ]
    about = (
        "They lead each row back to its raw frame. `connections` and `gaps` have no `channel`: "
        "their `line_group` names a group of channels."
    )
    lines += section(Table("common columns", about, COMMON))
    for table in TABLES.values():
        lines += section(table, COMMON)
    for table in (LEDGER, PRUNED, CONDITIONS, ABOUT):
        lines += section(table)
    return "\n".join(lines)


def test_the_tables_page_lists_every_table_and_column() -> None:
    generated("docs/tables.md", tables_page())


def test_the_architecture_page_lists_the_packages_in_their_order() -> None:
    text = (ROOT / "docs/architecture.md").read_text("utf-8")
    table = text.partition("## Packages")[2].partition("\n## ")[0]
    listed = re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)
    assert listed == [name for name in RANKS if name != "__main__"]


@pytest.mark.parametrize("page", ["docs/architecture.md", "CONTRIBUTING.md"])
def test_the_pages_for_developers_name_only_what_exists(page: str) -> None:
    text = (ROOT / page).read_text("utf-8")
    paths = re.findall(r"`((?:recorder|queries|tests|docs)/[\w./-]+)`", text)
    inner = re.findall(r"`((?!tests|recorder|docs)[a-z]+/[\w/]+\.py)`", text)
    paths += [f"recorder/{path}" for path in inner]
    paths += [
        str((ROOT / page).parent.joinpath(link).resolve().relative_to(ROOT))
        for link in re.findall(r"\]\(([^)#:]+)\)", text)
    ]
    assert len(paths) > 5
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_the_readme_links_only_to_what_exists() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    links = re.findall(r"\]\(([^)#:]+)\)", text)
    assert len(links) >= 8
    assert [link for link in links if not (ROOT / link).exists()] == []


@pytest.mark.parametrize("name", ["cryptolisting", "smartmoney", "binance"])
def test_every_feed_with_sql_fills_the_tables_it_promises(name: str) -> None:
    from recorder.feeds import feed

    found = feed(name)
    sections = load(name).sections
    filled = {s.name for s in sections if s.kind == "table"} - {"rejects"}
    assert filled == set(found.tables)


def test_the_design_tables_all_exist() -> None:
    promised = {"whales", "funding", "liquidations", "listings", "prices", "latency"}
    promised |= {"open_interest", "flows", "signals", "alerts", "system_status"}
    promised |= {"connections", "gaps", "rejects", "instruments"}
    assert set(TABLES) == promised


@pytest.mark.parametrize("kind", [kind for kind in KINDS if feed(kind).normalise])
def test_the_meaning_of_columns_is_told_for_every_feed(kind: str) -> None:
    told = (ROOT / "docs/semantics.md").read_text("utf-8")
    found = re.search(rf"^\| {kind}\b|, {kind}\b", told, re.MULTILINE)
    assert found, f"docs/semantics.md: no row of a table begins with `| {kind}`"


RULES = (
    "unit of a size", "side of a trade", "side of a liquidation", "price of a liquidation",
    "trades off the book", "open interest", "interval of a rate", "copies are equal by",
    "frames are equal by", "sent again", "snapshot or delta", "left out by the venue",
)  # fmt: skip


def test_every_rule_is_answered_for_every_feed() -> None:
    text = (ROOT / "docs/semantics.md").read_text("utf-8")
    section = text.split("## Every rule, every feed")[1].split("\n## ")[0]
    answers: dict[tuple[str, str], str] = {}
    feeds: list[str] = []
    for line in section.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if line.startswith("| rule |"):
            feeds = cells[1:]
        elif cells[0] in RULES:
            answers |= {(cells[0], name): cell for name, cell in zip(feeds, cells[1:], strict=True)}
    wanted = {(rule, kind) for rule in RULES for kind in KINDS if feed(kind).normalise}
    where = "docs/semantics.md, section 'Every rule, every feed'"
    silent = sorted({kind for _, kind in wanted - answers.keys()})
    assert silent == [], f"{where}: add a column for each of these feeds"
    assert answers.keys() == wanted, f"{where}: a rule is missing, or a feed is unknown"
    assert [place for place, cell in answers.items() if not cell] == []

"""Plant faults into the canned queries, and count those that the references find.

    python -m reference.faults [RECORDS [QUERY ...]]      # from tests/

Each fault changes one place of a query's SQL: a border that is or is not part of an interval, the
other end of an order, a row that ought to be left out. A reference finds it if any of the random
records gives another answer. A fault that is not found may change nothing (a tie that cannot be).
"""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
from hypothesis import HealthCheck, Phase, given, settings
from kit import made

from recorder.answers import canned

from .test_answers import QUERIES, REFERENCES, ask, put, same
from .worlds import worlds

#: What is changed, and into what.
CHANGES = (
    (r" <= ", " < "),
    (r" >= ", " > "),
    (r"(?<![<>]) < ", " <= "),
    (r" > ", " >= "),
    (r" IS NOT TRUE", " IS NOT FALSE"),
    (r"\bmax\(", "min("),
    (r"\bmin\(", "max("),
    (r"\barg_max\(", "arg_min("),
    (r"\barg_min\(", "arg_max("),
    (r"\bavg\(", "median("),
    (r"\bcount\(DISTINCT ", "count("),
    (r"\bsum\((?=\w\.)", "max("),
    (r" / 1e9\b", " / 1e6"),
    (r" / 1e6\b", " / 1e9"),
    (r" \* 24\b", " * 23"),
    (r"\[0\.5, ", "[0.6, "),
    (r"0\.99\b", "0.9"),
    (r" = 1\b", " = 2"),
    (r" IS NOT DISTINCT FROM ", " = "),
    (r" % 24\b", " % 23"),
)
#: Lines that only a parameter switches on, which nobody gives here.
SWITCHED = re.compile(r"\$\w+ IS NULL|^\s*--")


def faults(sql: str) -> Iterator[tuple[str, str]]:
    """Yield what a fault changes, and the SQL with it."""
    lines = sql.splitlines()
    for number, line in enumerate(lines):
        if SWITCHED.search(line):
            continue
        for pattern, other in CHANGES:
            for found in re.finditer(pattern, line):
                wrong = line[: found.start()] + other + line[found.end() :]
                text = "\n".join([*lines[:number], wrong, *lines[number + 1 :]])
                yield f"{line.strip()}  ->  {wrong.strip()}", text


def drawn(count: int) -> list[dict[str, Any]]:
    """Return the richest of four times as many random records."""
    records: list[dict[str, Any]] = []

    @settings(
        max_examples=4 * count, phases=[Phase.generate], database=None,
        suppress_health_check=list(HealthCheck), derandomize=True, deadline=None,
    )  # fmt: skip
    @given(worlds())
    def draw(world: dict[str, Any]) -> None:
        records.append(world)

    draw()
    return sorted(records, key=lambda record: -sum(map(len, record.values())))[:count]


def missed(
    db: duckdb.DuckDBPyConnection, name: str, records: Sequence[Any]
) -> tuple[int, list[str]]:
    """Return how many faults of a query there are, and those that its reference does not find."""
    query = QUERIES[name.partition(":")[0]]
    left = {
        what: sql for what, sql in faults(query.sql) if _runs(db, replace(query, sql=sql), name)
    }
    total = len(left)
    for record in records:
        put(db, record)
        right = REFERENCES[name](record)
        for what, sql in list(left.items()):
            db.execute(canned.macro_sql(replace(query, sql=sql)))
            try:
                same(ask(db, name), right)
            except AssertionError:
                del left[what]
        if not left:
            break
    db.execute(canned.macro_sql(query))
    return total, list(left)


def _runs(db: duckdb.DuckDBPyConnection, query: canned.Query, name: str) -> bool:
    """Return False for a fault that is an error by itself."""
    try:
        db.execute(canned.macro_sql(query))
        ask(db, name)
    except duckdb.Error:
        return False
    return True


def main(count: int = 40, *names: str) -> None:
    """Print the score of each reference."""
    warnings.simplefilter("ignore")
    records = drawn(count)
    place = Path(tempfile.mkdtemp()) / "recorder.duckdb"
    with made.database(place) as db:
        db.execute("SET threads = 1")
        for name in names or REFERENCES:
            total, left = missed(db, name, records)
            print(f"{name}: {total - len(left)} of {total}", flush=True)
            for what in left:
                print(f"    {what}", flush=True)
    shutil.rmtree(place.parent)


if __name__ == "__main__":
    main(int((sys.argv[1:] or ["40"])[0]), *sys.argv[2:])

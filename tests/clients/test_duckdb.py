"""Which DuckDB reads the published database: real older versions, each in its environment."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from kit.market import record

PLACE = os.environ.get("RECORDER_TEST_CLIENTS")

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(PLACE is None, reason="make test-clients installs the versions"),
]

#: Reads every table and `raw`, and calls every table macro without arguments.
LOOK = """
import duckdb, json, sys
try:
    db = duckdb.connect(sys.argv[1], read_only=True)
except duckdb.Error as error:
    sys.exit(print(json.dumps([str(error)])))
names = db.execute("SELECT table_name FROM duckdb_tables() WHERE NOT internal").fetchall()
counts = {name: len(db.execute(f'FROM "{name}"').fetchall()) for [name] in names}
counts["raw"] = db.execute("SELECT count(*) FROM raw").fetchone()[0]
macros = {}
for [name] in db.execute("SELECT DISTINCT function_name FROM duckdb_functions() "
                         "WHERE NOT internal AND function_type = 'table_macro'").fetchall():
    try:
        macros[name] = len(db.execute(f'FROM "{name}"()').fetchall())
    except duckdb.Error as error:
        macros[name] = str(error)
print(json.dumps([counts, macros]))
"""


def seen(python: str, database: Path) -> list[dict[str, object]]:
    done = subprocess.run(
        [python, "-c", LOOK, str(database)], capture_output=True, text=True, check=False
    )
    assert done.stdout, done.stderr
    found: list[dict[str, object]] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return record(tmp_path_factory.mktemp("made")).layout.database


@pytest.mark.parametrize("version", ["1.4.2", "1.5.6"])
def test_an_older_version_reads_what_the_present_one_reads(database: Path, version: str) -> None:
    import sys

    ours = seen(sys.executable, database)
    theirs = seen(f"{PLACE}/duckdb-{version}/bin/python", database)
    assert len(ours[1]) > 20 and not [m for m, rows in ours[1].items() if isinstance(rows, str)]
    assert theirs == ours


def test_a_version_that_is_too_old_says_so(database: Path) -> None:
    [error] = seen(f"{PLACE}/duckdb-1.3.2/bin/python", database)
    assert "version number 67" in str(error)

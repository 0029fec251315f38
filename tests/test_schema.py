"""The tables' columns and their version change together."""

from __future__ import annotations

import hashlib
import json

from recorder.schema.state import ABOUT, CONDITIONS, LEDGER, PRUNED
from recorder.schema.tables import SCHEMA_VERSION, TABLES

#: Each version of the tables, with the digest of its columns.
VERSIONS = {
    7: "b727c5544e1dbede",
    8: "b727c5544e1dbede",
    9: "9a8500946448eca2",
    10: "af9efcf38b5c6610",
}


def digest() -> str:
    """Return a digest of the names and types of all columns, in their order."""
    tables = [*TABLES.values(), LEDGER, PRUNED, CONDITIONS, ABOUT]
    columns = {one.name: [(c.name, c.type) for c in one.columns] for one in tables}
    return hashlib.sha256(json.dumps(columns).encode()).hexdigest()[:16]


def test_a_change_of_the_columns_raises_the_version() -> None:
    columns, version = digest(), SCHEMA_VERSION
    assert VERSIONS.get(version) in (None, columns), (
        "the columns changed: raise SCHEMA_VERSION in recorder/schema/tables.py, so that an older"
        f' database is refused, and add to VERSIONS here: {version + 1}: "{columns}",'
    )
    assert version in VERSIONS, f'add to VERSIONS here: {version}: "{columns}",'

"""Tables of another version of the recorder: how a database says so, and what to do."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import duckdb

from recorder.errors import OtherVersionError
from recorder.schema.tables import SCHEMA_VERSION


def version_in(db: duckdb.DuckDBPyConnection) -> str | None:
    """Return the version of the tables in the current database; None if there are none."""
    return about(db, "schema")


def about(db: duckdb.DuckDBPyConnection, name: str) -> str | None:
    """Return a value that the current database states of itself; None where it does not."""
    # Results are read to their end: the connection accepts nothing else before.
    if not db.execute("FROM duckdb_tables() WHERE table_name = 'about'").fetchall():
        return None
    rows = db.execute("SELECT value FROM about WHERE name = ?", [name]).fetchall()
    return str(rows[0][0]) if rows else None


def digest(statements: Sequence[str]) -> str:
    """Return by what a database states which statements made it."""
    return hashlib.blake2b("\n".join(statements).encode(), digest_size=16).hexdigest()


def of_another_version(found: str, where: Path | str) -> OtherVersionError:
    """Return the error for tables that this version can neither read nor write."""
    older = found.isdecimal() and int(found) < SCHEMA_VERSION
    rebuild = "rebuild them from the raw record: recorder ingest --rebuild"
    return OtherVersionError(
        f"tables of {'an older' if older else 'a newer'} version ({found}); "
        f"this recorder's are of version {SCHEMA_VERSION}",
        where=str(where),
        hint=rebuild if older else f"use the recorder that wrote them, or {rebuild}",
    )


def explained(db: duckdb.DuckDBPyConnection) -> OtherVersionError | None:
    """Return why a query failed if the current database has tables of another version."""
    try:
        found = version_in(db)
        if found in (None, str(SCHEMA_VERSION)):
            return None
        sql = "SELECT path FROM duckdb_databases() WHERE database_name = current_database()"
        [(place,)] = db.execute(sql).fetchall()
    except duckdb.Error:
        return None
    return of_another_version(str(found), place or "the database")

"""The source of the tables, a data directory or a lake, and connections to it."""

from __future__ import annotations

import re
from dataclasses import dataclass

import duckdb

from recorder.answers import database, frames, sandbox
from recorder.answers.canned import Query
from recorder.answers.sandbox import QueryLimits
from recorder.record.layout import Layout


@dataclass(frozen=True, slots=True)
class TableSource:
    """The tables of a data directory, or of a lake if there is a `tables_url`."""

    layout: Layout
    tables_url: str | None = None
    raw_url: str | None = None

    def connect(self, query: Query | None = None) -> duckdb.DuckDBPyConnection:
        """Connect to the tables and macros; with `query`, only to the tables that it reads.

        Raises:
            DataError: there is no database or lake, or it cannot be read.
            BusyError: another process is writing it.
            StoreError, CredentialsError: a bucket cannot be read.
        """
        if self.tables_url is not None:
            from recorder.lake import read

            return read.connect(self.tables_url, raw_url=self.raw_url, query=query)
        # A canned query that reads no raw frames needs neither journals nor a bucket.
        if query is None or re.search(r"\braw\b", query.sql):
            return frames.connect(self.layout, self.raw_url)
        return database.connect(self.layout.database)

    def sandboxed(self, limits: QueryLimits) -> duckdb.DuckDBPyConnection:
        """Connect for a user's own SQL, which can read the record and nothing else.

        Raises:
            DataError, BusyError, StoreError, CredentialsError: as for `connect`.
        """
        if self.tables_url is None:
            return sandbox.connect(self.layout, limits, self.raw_url)
        from recorder.lake import read

        connection = read.connect(
            self.tables_url, raw_url=self.raw_url, settings=sandbox.settings(limits)
        )
        sandbox.shut(connection)
        sandbox.freeze(connection)
        return connection

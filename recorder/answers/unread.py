"""The error of a query that failed because Arrow could not read a file."""

from __future__ import annotations

from recorder.errors import DataError

#: DuckDB's message for an error inside Arrow.
_FAILED = "reading the Arrow source failed: "


def unread(error: Exception) -> DataError | None:
    """Return the error for an unreadable file; None if the query failed for another reason."""
    _, found, why = str(error).partition(_FAILED)
    if not found:
        return None
    hint = "run the query again: the file may have been replaced meanwhile"
    return DataError(f"a file cannot be read: {why.splitlines()[0]}", hint=hint)

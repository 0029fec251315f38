"""What it means that a query failed while Arrow read files."""

from __future__ import annotations

from recorder.errors import DataError

#: DuckDB's words for what went wrong below Arrow.
_FAILED = "reading the Arrow source failed: "


def unread(error: Exception) -> DataError | None:
    """The error for a file that could not be read; None if that is not why a query failed."""
    _, found, why = str(error).partition(_FAILED)
    if not found:
        return None
    hint = "ask again: what was read may have been replaced meanwhile"
    return DataError(f"a file cannot be read: {why.splitlines()[0]}", hint=hint)

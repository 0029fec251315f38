"""What a person reads of an error that no part of the recorder expected: what, where, what next."""

from __future__ import annotations

import errno
import sys

from recorder.errors import RecorderError

_OWNER = "run it as the owner of the data directory"
_ROOM = "free space, or prune (recorder prune), then run this again: what was done is kept"

#: By the error's number: what it means, and what to do next.
_NUMBERS = {
    errno.ENOSPC: ("the disk is full", _ROOM),
    errno.EDQUOT: ("the quota of the disk is used up", _ROOM),
    errno.EROFS: ("the file system is read-only", "see the kernel's log (dmesg) for why"),
    errno.EACCES: (
        "this user may not read or write it",
        "run it as the owner of the data directory",
    ),
    errno.EPERM: ("this user may not do that", _OWNER),
    errno.EMFILE: ("too many files are open", "allow more: ulimit -n 4096"),
    errno.ENFILE: ("too many files are open on this machine", "end other programs"),
    errno.EIO: ("the disk fails", "see the kernel's log (dmesg); copy the record to another disk"),
    errno.ENOMEM: ("no memory is left", "end other programs, or allow this one more"),
}
#: What DuckDB's messages say of the same, and the words of them that find it.
_TEXTS = {
    "No space left on device": errno.ENOSPC,
    "Disk quota exceeded": errno.EDQUOT,
    "Read-only file system": errno.EROFS,
    "Permission denied": errno.EACCES,
    "Too many open files": errno.EMFILE,
    "Input/output error": errno.EIO,
}


def explained(error: BaseException) -> RecorderError | None:
    """Return an error with its cause and what to do next; None if the cause is not known."""
    if isinstance(error, OSError) and error.errno in _NUMBERS:
        what, hint = _NUMBERS[error.errno]
        return RecorderError(what, where=str(error.filename or ""), hint=hint)
    if isinstance(error, MemoryError):
        what, hint = _NUMBERS[errno.ENOMEM]
        return RecorderError(what, hint=hint)
    if isinstance(error, OverflowError) and "time" in str(error):
        hint = "set this machine's clock: times after the year 2262 do not fit into 64 bits"
        return RecorderError("the clock is far in the future", hint=hint)
    return _of_database(error)


def _of_database(error: BaseException) -> RecorderError | None:
    duckdb = sys.modules.get("duckdb")  # not loaded: the error is not its
    if duckdb is None or not isinstance(error, duckdb.Error):
        return None
    text = str(error)
    for words, number in _TEXTS.items():
        if words in text:
            what, hint = _NUMBERS[number]
            return RecorderError(what, where=_file_in(text), hint=hint)
    first = text.splitlines()[0] if text else type(error).__name__
    if isinstance(error, duckdb.OutOfMemoryException):
        hint = "end other programs, or take a smaller part (a feed, a range of time)"
        return RecorderError(f"the database needs more memory: {first}", hint=hint)
    lost = (duckdb.IOException, duckdb.FatalException, duckdb.InternalException,
            duckdb.SerializationException)  # fmt: skip
    if isinstance(error, (*lost, duckdb.TransactionException)):
        hint = "run it again; if that does not help, rebuild the tables: recorder ingest --rebuild"
        return RecorderError(f"the database failed: {first}", hint=hint)
    return None


def _file_in(text: str) -> str:
    """Return the first quoted path in a message; an empty text if there is none."""
    paths = [part for part in text.replace("'", '"').split('"')[1::2] if "/" in part]
    return paths[0] if paths else ""

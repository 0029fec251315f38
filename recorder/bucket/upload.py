"""Uploads of sealed files to the bucket, and removal of local files that the bucket has.

Runs in a separate process, so that capture never loads pyarrow and never waits for a network:
`python -m recorder.bucket.upload DATA_DIR URL KEEP_HOURS`; with `--check` as KEEP_HOURS it checks
that the bucket accepts objects. A killed run loses no file, and the next run continues its work.

An upload sends the whole file, reads it back, compares the two, and writes a note. If the object
exists with the same bytes, it is not sent again; an object with other bytes is never overwritten.
"""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from recorder import durable
from recorder.bucket import copied_heads, spool
from recorder.bucket.spool import SpooledFile
from recorder.bucket.store import Store
from recorder.clock import NS
from recorder.errors import BusyError, DataError, RecorderError, StoreError
from recorder.priority import behind_capture
from recorder.record import heads
from recorder.record.layout import Layout
from recorder.reporter import QUIET, Reporter

HOUR_NS = 3600 * NS

#: The exit code if the bucket is unavailable: neither the settings nor a file are at fault.
AWAY = 75


@dataclass(slots=True)
class UploadResult:
    """The outcome of a run: numbers of files, and bytes sent."""

    files: int = 0
    bytes: int = 0
    dropped: int = 0
    failed: int = 0
    waiting: int = 0


def run(
    layout: Layout,
    store: Store,
    keep_ns: int,
    reporter: Reporter = QUIET,
) -> UploadResult:
    """Upload the waiting files, oldest first; drop uploaded files that are older than `keep_ns`.

    `reporter` is warned of each file that cannot be uploaded, and takes progress in bytes.

    Raises:
        BusyError: another process uploads from this data directory.
        StoreError: the bucket is unavailable or refuses; files uploaded until then have notes.
        CredentialsError: the store rejects the key.
    """
    lock = durable.claim(layout.work / ".upload.lock", "an upload")
    try:
        result = UploadResult()
        for file in spool.waiting(layout, store.url):
            _try(layout, store, file, result, reporter)
            reporter.progress(file.bytes)
        copied_heads.upload(layout, store)
        _drop(layout, store, keep_ns, result, reporter)
        result.waiting = len(spool.waiting(layout, store.url))
        return result
    finally:
        os.close(lock)


def _try(
    layout: Layout, store: Store, file: SpooledFile, result: UploadResult, reporter: Reporter
) -> None:
    """Upload one file; warn if that fails because of the file."""
    try:
        sent = send(layout, store, file)
    except FileNotFoundError:
        return  # pruned just now
    except (DataError, OSError) as error:
        result.failed += 1
        reporter.warn(f"not sent: {error}")
        return
    result.files += sent
    result.bytes += file.bytes if sent else 0


def send(layout: Layout, store: Store, file: SpooledFile) -> bool:
    """Upload one file and write its note; return False if the bucket had it already.

    Raises:
        DataError: the bucket has an object of this name with other bytes.
        FileNotFoundError: the file is gone.
    """
    # Read it whole first: a disk error half-way must not make a partial object.
    data = file.path.read_bytes()
    digest = blake2b(data).hexdigest()
    size = store.size(file.feed, file.stem)
    if size is None:
        store.put(file.feed, file.stem, data)
        size = store.size(file.feed, file.stem)
    else:
        data = b""
    if size != file.bytes or store.digest(file.feed, file.stem) != digest:
        raise DataError(
            f"the object has other bytes than {file.path}",
            where=store.where(file.feed, file.stem),
            hint="both are kept: compare them (recorder verify), then move one of them away",
        )
    spool.note(layout, file, store.url, digest)
    return bool(data)


def _drop(
    layout: Layout, store: Store, keep_ns: int, result: UploadResult, reporter: Reporter
) -> None:
    """Remove local files that are old enough, if the bucket has them."""
    now_ns = time.time_ns()
    for file in spool.files(layout):
        if now_ns - file.sealed_ns < keep_ns or not spool.is_noted(layout, file, store.url):
            continue
        if _is_whole(layout, store, file):
            line = heads.Dropped(file.stem, store.url, now_ns)
            with heads.claimed(layout, file.feed):
                heads.note_dropped(layout, file.feed, [line])
            file.path.unlink(missing_ok=True)
            result.dropped += 1
        else:
            where = store.where(file.feed, file.stem)
            reporter.warn(f"{where}: removed or changed after it was sent")
        spool.forget(layout, file.feed, file.stem)


def _is_whole(layout: Layout, store: Store, file: SpooledFile) -> bool:
    """Read the object again, and return True if it has the bytes of the local file.

    The local file may be the last good copy: neither size nor note say what the bucket has today.
    """
    if store.size(file.feed, file.stem) != file.bytes:
        return False
    try:
        local = blake2b(file.path.read_bytes()).hexdigest()
        return store.digest(file.feed, file.stem) == local == spool.digest_of(layout, file)
    except FileNotFoundError:
        return False


def main(arguments: list[str]) -> int:
    """Upload the waiting files of a data directory, or check the bucket; return an exit code.

    Warnings go to stderr; the number and size of the files that still wait to stdout, as JSON.
    """
    data_dir, url, hours = arguments
    layout = Layout(Path(data_dir))
    try:
        if hours == "--check":
            Store(url, attempts=1).check_writable()
            return 0
        result = run(layout, Store(url), int(float(hours) * HOUR_NS), Reporter(_warn))
        code = 1 if result.failed else 0
    except BusyError:
        code = 0  # another process is uploading
    except RecorderError as error:
        _warn(str(error))
        code = AWAY if isinstance(error, StoreError) and error.away else error.exit_code
    if hours != "--check":
        left = spool.waiting(layout, url)
        print(json.dumps({"files": len(left), "bytes": sum(file.bytes for file in left)}))
    return code


def _warn(text: str) -> None:
    print(text, file=sys.stderr)


if __name__ == "__main__":
    behind_capture(10)
    sys.exit(main(sys.argv[1:]))

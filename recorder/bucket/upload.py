"""Sending sealed files to the bucket, and dropping them here once they are safe there.

Runs as a process of its own (`python -m recorder.bucket.upload DATA_DIR URL KEEP_HOURS`, or with
`--check` in the hours' place to see that the bucket takes objects): capture never loads pyarrow and
never waits for a network. Killed anywhere, it leaves every file where it was; the next run goes on.

A file is sent whole, read back, compared, and noted. An object that is there already and has the
same bytes is not sent again; one with other bytes is never written over.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from recorder import durable
from recorder.bucket import spool
from recorder.bucket.spool import Spooled
from recorder.bucket.store import Store
from recorder.clock import NS
from recorder.errors import BusyError, DataError, RecorderError, StoreError
from recorder.priority import behind_capture
from recorder.record.layout import Layout

HOUR_NS = 3600 * NS

#: The exit code of a run that found the bucket away: that is no fault of ours or of a file.
AWAY = 75

Warn = Callable[[str], None]
Tell = Callable[[int], None]


@dataclass(slots=True)
class Sent:
    """What one run did."""

    files: int = 0
    bytes: int = 0
    dropped: int = 0
    failed: int = 0
    waiting: int = 0


def run(
    layout: Layout,
    store: Store,
    keep_ns: int,
    warn: Warn,
    tell: Tell = lambda size: None,
) -> Sent:
    """Send everything that waits, the oldest first, and drop what was kept long enough.

    `warn` hears of each file that cannot be sent; `tell(bytes)` of progress.

    Raises:
        BusyError: another process sends from here.
        StoreError: the bucket is away or refuses; what was sent until then is noted.
        CredentialsError: the store refuses our key.
    """
    lock = durable.claim(layout.work / ".upload.lock", "an upload")
    try:
        done = Sent()
        for file in spool.waiting(layout, store.url):
            _try(layout, store, file, done, warn)
            tell(file.bytes)
        _drop(layout, store, keep_ns, done, warn)
        done.waiting = len(spool.waiting(layout, store.url))
        return done
    finally:
        os.close(lock)


def _try(layout: Layout, store: Store, file: Spooled, done: Sent, warn: Warn) -> None:
    """Send one file; one that cannot be sent is told of, and the others go on."""
    try:
        sent = send(layout, store, file)
    except FileNotFoundError:
        return  # pruned just now
    except (DataError, OSError) as error:
        done.failed += 1
        warn(f"not sent: {error}")
        return
    done.files += sent
    done.bytes += file.bytes if sent else 0


def send(layout: Layout, store: Store, file: Spooled) -> bool:
    """Bring one file into the bucket and note it; False: it was there already.

    Raises:
        DataError: the bucket holds other bytes under this name.
        FileNotFoundError: the file is gone.
    """
    # Read whole before anything is sent: a disk that fails half-way must not make half an object.
    data = file.path.read_bytes()
    digest = blake2b(data).hexdigest()
    there = store.size(file.feed, file.stem)
    if there is None:
        store.put(file.feed, file.stem, data)
        there = store.size(file.feed, file.stem)
    else:
        data = b""
    if there != file.bytes or store.digest(file.feed, file.stem) != digest:
        raise DataError(
            f"other bytes than {file.path} holds",
            where=store.where(file.feed, file.stem),
            hint="both are kept: compare them (recorder verify), then move one of them away",
        )
    spool.note(layout, file, store.url, digest)
    return bool(data)


def _drop(layout: Layout, store: Store, keep_ns: int, done: Sent, warn: Warn) -> None:
    """Remove files here that the bucket has, as soon as they are old enough."""
    now_ns = time.time_ns()
    for file in spool.files(layout):
        if now_ns - file.sealed_ns < keep_ns or not spool.is_noted(layout, file, store.url):
            continue
        if store.size(file.feed, file.stem) == file.bytes:
            file.path.unlink(missing_ok=True)
            done.dropped += 1
        else:
            warn(f"{store.where(file.feed, file.stem)}: gone or changed since it was sent")
        spool.forget(layout, file.feed, file.stem)


def main(arguments: list[str]) -> int:
    """Send what waits under a data directory.

    One line per note on stderr; at the end what still waits, as JSON on stdout.
    """
    data_dir, url, hours = arguments
    layout = Layout(Path(data_dir))
    try:
        if hours == "--check":
            Store(url, attempts=1).check_writable()
            return 0
        done = run(layout, Store(url), int(float(hours) * HOUR_NS), _say)
        code = 1 if done.failed else 0
    except BusyError:
        code = 0  # somebody is at it
    except RecorderError as error:
        _say(str(error))
        code = AWAY if isinstance(error, StoreError) and error.away else error.exit_code
    if hours != "--check":
        left = spool.waiting(layout, url)
        told = {"files": len(left), "bytes": sum(file.bytes for file in left)}
        print(json.dumps(told))
    return code


def _say(text: str) -> None:
    print(text, file=sys.stderr)


if __name__ == "__main__":
    behind_capture(10)
    sys.exit(main(sys.argv[1:]))

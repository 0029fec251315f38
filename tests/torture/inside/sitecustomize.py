"""Loaded first by the recorder's processes under test; does what the environment asks for.

TORTURE_SYNCS=FILE    note each sync: what, its size before, start, and once more with its end
                      if it succeeded
TORTURE_CLOCK=FILE    the wall clock is off by so many seconds as FILE says at the moment
TORTURE_SLOW_MB=N     journals are written at N megabytes a second
"""

import json
import os
import time


def _path(fd: int) -> str:
    return os.readlink(f"/proc/self/fd/{fd}")  # noqa: PTH115 - of no more than os


def _note_syncs(place: str) -> None:
    notes = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def note(*facts: object) -> None:
        os.write(notes, json.dumps(facts).encode() + b"\n")

    def noting(sync):
        def noted(fd: int) -> None:
            path, size = _path(fd), os.fstat(fd).st_size
            start = time.monotonic()
            note(path, size, start, None)
            sync(fd)
            note(path, size, start, time.monotonic())

        return noted

    os.fdatasync, os.fsync = noting(os.fdatasync), noting(os.fsync)


def _shift_the_clock(place: str) -> None:
    real = time.time_ns

    def shifted() -> int:
        with open(place, encoding="ascii") as file:  # noqa: PTH123 - of no more than os
            return real() + int(float(file.read()) * 1e9)

    time.time_ns = shifted


def _slow_down(megabytes: float) -> None:
    write = os.write

    def slow(fd: int, data: bytes) -> int:
        if len(data) > 1 and _path(fd).endswith((".journal", ".new")):
            time.sleep(len(data) / (megabytes * 1e6))
        return write(fd, data)

    os.write = slow


if "TORTURE_SYNCS" in os.environ:
    _note_syncs(os.environ["TORTURE_SYNCS"])
if "TORTURE_CLOCK" in os.environ:
    _shift_the_clock(os.environ["TORTURE_CLOCK"])
if "TORTURE_SLOW_MB" in os.environ:
    _slow_down(float(os.environ["TORTURE_SLOW_MB"]))

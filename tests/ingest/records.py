"""The old names of `tests/kit`, for tests that are not converted yet."""

from kit.commands import clean, command, recorder, start
from kit.frames import CONNECTION, MS, RUN, T0, US, events, frames_of, marker, table
from kit.recordings import lines, shared
from kit.records import Published as Record
from kit.records import assert_same
from kit.rows import TRADED
from kit.rows import Bench as Workbench

from recorder.clock import NS

__all__ = [
    "CONNECTION",
    "MS",
    "NS",
    "RUN",
    "T0",
    "TRADED",
    "US",
    "Record",
    "Workbench",
    "assert_same",
    "clean",
    "command",
    "events",
    "frames_of",
    "lines",
    "marker",
    "recorder",
    "shared",
    "start",
    "table",
]

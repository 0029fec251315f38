"""A reporter takes the warnings and the progress of long work."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


def _ignore(report: object) -> None:
    """Take a report, and do nothing."""


@dataclass(frozen=True, slots=True)
class Reporter:
    """Takes reports; without arguments it ignores them.

    `warn(text)` is called with what a person must know: something was left out, or is late.
    `progress(count)` is called after each step, with what was done in it: frames, or the bytes of
    an upload.
    """

    warn: Callable[[str], None] = _ignore
    progress: Callable[[int], None] = _ignore


#: Ignores every report.
QUIET = Reporter()

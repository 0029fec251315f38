"""What `recorder ingest` does about files of other hosts that come late."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from recorder.clock import iso
from recorder.record.layout import Layout, run_of

if TYPE_CHECKING:
    from recorder.tables.late_files import Late
    from recorder.tables.rules import Rules

Warn = Callable[[str], None]


class Lateness:
    """Hears of late files: keeps them for `renew`; or, while following, says what to do."""

    def __init__(self, warn: Warn, *, following: bool) -> None:
        self.found: list[Late] = []
        self._warn, self._following = warn, following
        self._told: set[tuple[str, str]] = set()

    def __call__(self, late: Late) -> bool:
        """True if the feed is to be left as it is: its rows are made anew."""
        if not self._following:
            self.found.append(late)
            return True
        if (late.feed, run_of(late.stem)) not in self._told:
            self._told.add((late.feed, run_of(late.stem)))
            self._warn(
                f"{late.stem} of '{late.feed}' came late: frames that another host brought too may "
                f"be rows twice. End this ingest, then: recorder ingest --rebuild --feed "
                f"{late.feed} --from {iso(late.from_ns)}"
            )
        return False


def renew(layout: Layout, rules: Callable[[str], Rules], found: list[Late], warn: Warn) -> None:
    """Make the rows of late feeds anew, from where they came late on; says so, and what it cannot.

    The caller must not hold the tables.
    """
    from recorder.errors import RecorderError
    from recorder.tables.rebuild.run import Scope, rebuild

    for late in found:
        since = iso(late.from_ns)
        warn(f"'{late.feed}': {late.stem} came late; rows are made anew from {since} on")
        try:
            rebuild(layout, rules, Scope((late.feed,), late.from_ns, None, late.wait_ns), warn)
        except RecorderError as error:
            warn(f"rows of '{late.feed}' could not be made anew, some may be there twice: {error}")

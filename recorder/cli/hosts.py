"""How `recorder ingest` treats files of other hosts that arrive late."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from recorder.clock import iso
from recorder.record.layout import Layout, run_of
from recorder.reporter import Reporter

if TYPE_CHECKING:
    from recorder.tables.late_files import Late
    from recorder.tables.rules import Rules


class LateSegments:
    """A collector of late segments, for `rebuild_late`; with `following` it only warns of them.

    It warns once per feed and run. Segments that have lost frames are collected in any case, unless
    they are among `tried`.
    """

    def __init__(self, reporter: Reporter, *, following: bool, tried: Collection[str] = ()) -> None:
        self.segments: list[Late] = []
        self._tried = tried
        self._reporter, self._following = reporter, following
        self._warned: set[tuple[str, str]] = set()

    def __call__(self, late: Late) -> bool:
        """Return True if ingest must skip the feed because its rows are rebuilt afterwards."""
        if late.lost and late.stem in self._tried:
            return False
        if late.lost or not self._following:
            if all(late.stem != one.stem for one in self.segments):
                self.segments.append(late)
            return True
        if (late.feed, run_of(late.stem)) not in self._warned:
            self._warned.add((late.feed, run_of(late.stem)))
            self._reporter.warn(
                f"{late.stem} of '{late.feed}' arrived late: frames of two hosts may have "
                f"duplicate rows. Stop this ingest, then: recorder ingest --rebuild "
                f"--feed {late.feed} --since {iso(late.from_ns)}"
            )
        return False


def rebuild_late(
    layout: Layout, rules: Callable[[str], Rules], segments: list[Late], reporter: Reporter
) -> None:
    """Rebuild the rows of each late segment's feed from its time on; warn of each and of failures.

    The caller must not hold the tables' lock.
    """
    from recorder.errors import RecorderError
    from recorder.tables.rebuild.run import Scope, rebuild

    for late in segments:
        since = iso(late.from_ns)
        why = "arrived late"
        if late.lost:
            why = f"is the first segment that lost ingested frames, {late.lost} in all (power cut?)"
        reporter.warn(f"'{late.feed}': {late.stem} {why}; rebuilding its rows from {since} on")
        try:
            rebuild(layout, rules, Scope((late.feed,), late.from_ns, None, late.wait_ns), reporter)
        except RecorderError as error:
            reporter.warn(
                f"cannot rebuild the rows of '{late.feed}', some may be duplicates: {error}"
            )

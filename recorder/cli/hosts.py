"""What `recorder ingest` does about files of other hosts that come late."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from recorder.clock import iso
from recorder.record.layout import Layout, run_of
from recorder.reporter import Reporter

if TYPE_CHECKING:
    from recorder.tables.late_files import Late
    from recorder.tables.rules import Rules


class Lateness:
    """Takes late segments: keeps them for `renew`; or, while following, warns and says what to do.

    A run of a feed is warned of once.
    """

    def __init__(self, reporter: Reporter, *, following: bool) -> None:
        self.segments: list[Late] = []
        self._reporter, self._following = reporter, following
        self._warned: set[tuple[str, str]] = set()

    def __call__(self, late: Late) -> bool:
        """Return True if the feed is to be left as it is, because its rows are rebuilt."""
        if not self._following:
            self.segments.append(late)
            return True
        if (late.feed, run_of(late.stem)) not in self._warned:
            self._warned.add((late.feed, run_of(late.stem)))
            self._reporter.warn(
                f"{late.stem} of '{late.feed}' came late: frames that another host brought too may "
                f"be rows twice. End this ingest, then: recorder ingest --rebuild --feed "
                f"{late.feed} --from {iso(late.from_ns)}"
            )
        return False


def renew(
    layout: Layout, rules: Callable[[str], Rules], segments: list[Late], reporter: Reporter
) -> None:
    """Rebuild the rows of late segments' feeds from there on; warn of it, and of what fails.

    The caller must not hold the tables.
    """
    from recorder.errors import RecorderError
    from recorder.tables.rebuild.run import Scope, rebuild

    for late in segments:
        since = iso(late.from_ns)
        reporter.warn(f"'{late.feed}': {late.stem} came late; rows are made anew from {since} on")
        try:
            rebuild(layout, rules, Scope((late.feed,), late.from_ns, None, late.wait_ns), reporter)
        except RecorderError as error:
            reporter.warn(
                f"rows of '{late.feed}' could not be made anew, some may be there twice: {error}"
            )

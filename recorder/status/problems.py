"""The verdict on a recorder: the problems that an operator must act on. Pure.

Names, severities, thresholds and hints are in `conditions.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from recorder.bucket import spool as spooled
from recorder.clock import NS, iso
from recorder.errors import OtherVersionError
from recorder.status import conditions as are
from recorder.status import line_problems
from recorder.status.bucket import Waiting
from recorder.status.model import SEVERITIES, Disk, FeedStatus, Problem
from recorder.status.scene import Scene
from recorder.times import duration

if TYPE_CHECKING:
    from recorder.settings.config import Settings


def problems(scene: Scene) -> list[Problem]:
    """Return every problem, the worst first."""
    found = [*_capture(scene), *_feeds(scene), *_tables(scene)]
    found += disk(scene.disk, str(scene.layout.root))
    found += clock(_synchronised(scene), "the capturing host")
    found += spool(scene.config, scene.spool, scene.at_ns)
    return sorted(found, key=lambda problem: SEVERITIES.index(problem.severity))


# -- capture and its feeds


def _capture(scene: Scene) -> Iterator[Problem]:
    journals = str(scene.layout.journals)
    if not scene.feeds:
        yield are.NOTHING_RECORDED.problem("nothing is recorded here", str(scene.layout.root))
    elif not scene.capture.running:
        last = scene.newest_ns
        what = "capture is not running" + (f"; the record ends at {iso(last)}" if last else "")
        yield are.CAPTURE_STOPPED.problem(what, journals, since_ns=last)
    if scene.capture.unwritable:
        what = "connections are open, but the journal takes nothing"
        yield are.JOURNAL_UNWRITABLE.problem(what, journals, since_ns=scene.newest_ns)


def _feeds(scene: Scene) -> Iterator[Problem]:
    for feed in scene.feeds:
        directory = str(scene.layout.journal_dir(feed.name))
        yield from journals(feed.name, scene.waiting[feed.name], directory, _unsealed(scene, feed))
        if damaged := scene.damaged.get(feed.name):
            what = f"{damaged} damaged files were set aside"
            yield are.FILES_DAMAGED.problem(what, f"{directory}/damaged", feed=feed.name)
    if not scene.capture.running:
        return
    recorded = {feed.name: feed for feed in scene.feeds if feed.recorded}
    for name in scene.expected:
        if name in recorded:
            yield from line_problems.lines(scene, recorded[name])
            yield from line_problems.gaps(scene, recorded[name])
        else:
            what, pid = "configured, but no process records it", scene.capture.pid or "its pid"
            yield are.FEED_NOT_RECORDED.problem(what, name, feed=name, pid=pid)


def journals(
    feed: str, waiting: int, directory: str, since_ns: int | None = None
) -> Iterator[Problem]:
    """Find too many journals of a feed that are not sealed, or one that waits since `since_ns`."""
    if waiting > are.UNSEALED.base or since_ns is not None:
        what = f"{waiting} journals wait to be sealed"
        what += "" if since_ns is None else f", one of them since {iso(since_ns)}"
        yield are.JOURNALS_UNSEALED.problem(what, directory, feed=feed, since_ns=since_ns)


def _unsealed(scene: Scene, feed: FeedStatus) -> int | None:
    """Return since when (ns) a feed's journal has waited to be sealed; None if not too long.

    Capture seals what an earlier one left when it starts, so its start counts, too.
    """
    since_ns, began_ns = scene.waiting_since[feed.name], scene.capture.since_ns
    if since_ns is None or began_ns is None or not feed.recorded:
        return None
    since_ns = max(since_ns, began_ns)
    return since_ns if scene.at_ns - since_ns > are.UNSEALED_FOR.ns else None


# -- the tables


def _tables(scene: Scene) -> Iterator[Problem]:
    where, ingest, trouble = str(scene.layout.database), scene.ingest, scene.database
    if trouble is not None:
        other = isinstance(trouble, OtherVersionError)
        condition = are.DATABASE_VERSION if other else are.DATABASE_DAMAGED
        yield condition.problem(trouble.what, trouble.where or where, hint=trouble.hint)
    known_ns = ingest.newest_ns or ingest.published_ns  # the tables hold nothing newer
    if trouble is None and known_ns is not None and scene.newest_ns is not None:
        behind_ns = scene.newest_ns - known_ns
        late = f"the tables are {duration(behind_ns)} behind the record"
        if behind_ns > 0 and not ingest.running:
            yield are.INGEST_STOPPED.problem(f"ingest is not running; {late}", where)
        elif behind_ns > are.BEHIND.ns:
            yield are.TABLES_BEHIND.problem(late, where, since_ns=known_ns)
    if scene.rejected is not None and scene.rejected >= are.REJECTED.base:
        what = f"{scene.rejected:,} frames were rejected within {are.REJECTED_WITHIN}"
        yield are.REJECTS_RISING.problem(what, where)


# -- the machine; `doctor` makes these checks before anything is recorded


def disk(found: Disk | None, where: str) -> Iterator[Problem]:
    """Find a disk that is full or soon will be."""
    if found is None:
        return
    hours, what = found.hours_left, f"{found.free_bytes / 1e9:,.1f} GB free"
    if hours is not None:
        what += f", at the present rate full in {duration(int(hours * 3600 * NS))}"
    left = float("inf") if hours is None else hours
    if found.free_bytes < are.FULL_BYTES.base or left < are.FULL_HOURS.value:
        yield are.DISK_FULL.problem(what, where)
    elif left < are.FILLING_HOURS.value:
        yield are.DISK_FILLING.problem(what, where)


def _synchronised(scene: Scene) -> bool | None:
    """Return False if a line's last note reports an unsynchronised clock; None without notes."""
    noted = [
        known.synchronised
        for feed in scene.feeds
        if feed.recorded
        for known in scene.lives[feed.name].newest()
        if known.closed_ns is None and known.synchronised is not None
    ]
    return all(noted) if noted else None


def clock(synchronised: bool | None, where: str) -> Iterator[Problem]:
    """Find a clock that is not synchronised; `synchronised` None: unknown, not a problem."""
    if synchronised is False:
        what = "the clock is not synchronised"
        yield are.CLOCK_UNSYNCHRONISED.problem(what, where)


def spool(config: Settings | None, found: Waiting | None, at_ns: int) -> Iterator[Problem]:
    """Find sealed files that wait for the bucket: too large, or for too long."""
    if config is None or config.raw_url is None or found is None:
        return
    budget, where = config.bucket.spool_gb, config.raw_url
    level = spooled.level(found.bytes, budget)
    if level != spooled.WELL:
        condition = are.SPOOL_FULL if level == spooled.OVER else are.SPOOL_FILLING
        what = spooled.warning(found.files, found.bytes, budget) or ""
        yield condition.problem(what, where, since_ns=found.oldest_ns)
    elif found.oldest_ns is not None and at_ns - found.oldest_ns > are.SPOOL_WAITS.ns:
        what = f"{found.files:,} sealed files wait for the bucket, since {iso(found.oldest_ns)}"
        yield are.SPOOL_WAITING.problem(what, where, since_ns=found.oldest_ns)

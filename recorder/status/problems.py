"""What an operator has to act on. Pure: a scene in, problems out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from recorder.clock import NS, iso
from recorder.errors import DataError
from recorder.feed import Options, Refusal, Verdict
from recorder.feeds import feed as feed_of
from recorder.record.layout import Layout
from recorder.settings.keys import key_variable
from recorder.status import bucket
from recorder.status.model import (
    CLOSED,
    CRITICAL,
    OPEN,
    WARNING,
    Capture,
    Connection,
    Disk,
    FeedStatus,
    Ingest,
    Problem,
)

if TYPE_CHECKING:
    from recorder.settings.config import Settings
    from recorder.status.connection_state import Lives

#: A connection that is missing no longer than this is on its way back.
GRACE_NS = 30 * NS

#: While a recorder runs, no line waits so long between two attempts unless it gave up.
_GAVE_UP_NS = 900 * NS

#: Tables that are so far behind the record are a problem.
_BEHIND_NS = 300 * NS

#: Proof of life reaches the disk with a connection's notes: so much later, at the worst.
_NOTE_SECONDS = 15.0

_SILENCE_SECONDS = 60.0
_FEW_HOURS, _SHORT_HOURS = 2.0, 24.0
_LEAST_FREE = 100_000_000
_MANY_WAITING = 12
_MANY_REJECTS = 10
_MANY_LINES = 3


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything that problems are found in."""

    at_ns: int
    layout: Layout
    config: Settings | None
    capture: Capture
    ingest: Ingest
    disk: Disk | None
    feeds: tuple[FeedStatus, ...]
    lives: Mapping[str, Lives]
    waiting: Mapping[str, int]
    """Journals of each feed that are not sealed."""
    database: DataError | None
    rejected: int
    """Frames rejected lately."""
    limits: Mapping[str, float]
    """After how many seconds without a proof of life a feed is silent."""
    spool: bucket.Waiting | None = None

    @property
    def expected(self) -> list[str]:
        """Feeds that ought to be recorded."""
        if self.config is not None and self.config.feeds:
            return sorted(self.config.feeds)
        return [feed.name for feed in self.feeds if feed.recorded]


def limit_of(name: str, kind: str | None, config: Settings | None) -> float:
    """Seconds without a proof of life on disk after which a feed is silent."""
    chosen = config.feeds.get(name) if config else None
    if chosen is not None and chosen.silence_seconds is not None:
        return chosen.silence_seconds + _NOTE_SECONDS
    limit = _SILENCE_SECONDS
    with suppress(Exception):  # a plug-in that is gone, a plan that needs what is not known here
        feed = feed_of((chosen.kind if chosen else None) or kind or name)
        plans = feed.plan(
            Options(name, key="none", url=feed.endpoints[0] if feed.endpoints else None)
        )
        limit = max(plan.silence for plan in plans)
    return limit + _NOTE_SECONDS


def problems(scene: Scene) -> Iterator[Problem]:
    """The worst first."""
    found = [*_capture(scene), *_feeds(scene), *_disk(scene), *_tables(scene), *_clock(scene)]
    found += bucket.problems(scene.config, scene.spool, scene.at_ns)
    yield from sorted(found, key=lambda problem: problem.severity != CRITICAL)


# -- capture and its feeds


def _capture(scene: Scene) -> Iterator[Problem]:
    journals = str(scene.layout.journals)
    if not scene.feeds:
        what = "nothing is recorded here"
        hint = "start: recorder capture; or name the data directory: --data-dir"
        yield Problem(CRITICAL, what, str(scene.layout.root), hint)
    elif not scene.capture.running:
        last = max((lives.written_ns or 0 for lives in scene.lives.values()), default=0)
        since = f"; the record ends at {iso(last)}" if last else ""
        yield Problem(
            CRITICAL, f"capture is not running{since}", journals, "start it: recorder capture"
        )
    if scene.capture.unwritable:
        yield Problem(
            CRITICAL,
            "connections are open, but the journal takes nothing",
            journals,
            "see capture's log; check free space and the disk, or restart a process that hangs",
        )


def _feeds(scene: Scene) -> Iterator[Problem]:
    if not scene.capture.running:
        return
    there = {feed.name: feed for feed in scene.feeds}
    for name in scene.expected:
        feed = there.get(name)
        if feed is None or not feed.recorded:
            pid = f" (kill -HUP {scene.capture.pid})" if scene.capture.pid else ""
            hint = f"have capture read its settings again{pid}, or look into its log"
            yield Problem(CRITICAL, "configured, but no process records it", name, hint)
        else:
            yield from _lines(scene, feed)


def _lines(scene: Scene, feed: FeedStatus) -> Iterator[Problem]:
    begun = scene.capture.since_ns or 0
    opened = any(one.opened_ns is not None for one in scene.lives[feed.name].known.values())
    if not feed.connections and not opened and scene.at_ns - begun > GRACE_NS:
        hint = "see capture's log, and try: recorder doctor --connect"
        yield Problem(CRITICAL, "it never connected", feed.name, hint)
    away: list[Problem] = []
    well = {one.line_group for one in feed.connections if _well(scene, one)}
    for one in feed.connections:
        severity = WARNING if one.line_group in well else CRITICAL
        if one.state == CLOSED:
            away += _missing(scene, feed, one, severity)
        elif not _well(scene, one):
            silent = (scene.at_ns - (one.heard_ns or one.opened_ns or scene.at_ns)) / NS
            what = f"silent for {_long(silent)}, although the connection is open"
            hint = "capture ends a silent connection itself; if this lasts, see its log"
            yield Problem(severity, what, _place(one), hint)
    yield from _together(feed, away)
    if scene.waiting[feed.name] > _MANY_WAITING:
        what = f"{scene.waiting[feed.name]} journals wait to be sealed"
        hint = "see capture's log for why sealing fails"
        yield Problem(WARNING, what, str(scene.layout.journal_dir(feed.name)), hint)


def _well(scene: Scene, one: Connection) -> bool:
    limit_ns = int(scene.limits[one.feed] * NS)
    return one.state == OPEN and scene.at_ns - (one.heard_ns or 0) <= limit_ns


def _missing(scene: Scene, feed: FeedStatus, one: Connection, severity: str) -> Iterator[Problem]:
    """A line without a connection, too long or for good."""
    key = (one.line_group, one.line)
    without = scene.at_ns - (scene.lives[feed.name].away_since(key) or scene.at_ns)
    tried = scene.at_ns - (one.closed_ns or scene.at_ns)
    fatal = _fatal(feed, one)
    if fatal is None and without <= GRACE_NS:
        return
    why = (one.reason or "no reason is known").removeprefix("cannot connect: ")
    if one.opened_ns is None:
        what = f"cannot connect for {_long(without / NS)}: {why}"
    else:
        what = f"not connected for {_long(without / NS)}: {why}"
    hint = "see capture's log, and try: recorder doctor --connect"
    if fatal is not None or tried > _GAVE_UP_NS:
        what = f"gave up: {why}"
        hint = "restart capture when the cause is gone"
        if fatal is not None and fatal.exit_code == 4:  # credentials
            hint = f"set {key_variable(feed.name)} to a valid key and restart capture"
    if severity == WARNING:
        what += "; another line covers it"
    yield Problem(severity, what, _place(one), hint)


def _together(feed: FeedStatus, away: list[Problem]) -> Iterator[Problem]:
    """A service that is gone takes all its lines along: that is one problem, not a dozen."""
    if len(away) < _MANY_LINES or len(away) < len(feed.connections):
        yield from away
        return
    worst = min(
        away, key=lambda problem: (problem.severity != CRITICAL, "gave up" not in problem.what)
    )
    what = f"none of its {len(away)} lines is connected; {worst.where}: {worst.what}"
    yield Problem(worst.severity, what, feed.name, worst.next)


def _fatal(feed: FeedStatus, one: Connection) -> Verdict | None:
    """What the feed's own rules say of this end, if they forbid another attempt."""
    with suppress(Exception):  # a plug-in's rules may be anyone's code
        rules = feed_of(feed.kind or feed.name)
        if one.opened_ns is None and one.code is not None:
            verdict: Verdict | None = rules.on_refused(Refusal(one.code, {}, ""))
        else:
            reason = (one.reason or "").removeprefix(f"closed {one.code} ")
            verdict = rules.on_close(one.code, reason)
        return verdict if verdict is not None and verdict.fatal else None
    return None


# -- the machine and the tables


def _disk(scene: Scene) -> Iterator[Problem]:
    disk, where = scene.disk, str(scene.layout.root)
    hint = "free space, prune old raw files (recorder prune), or move the data directory"
    if disk is None:
        return
    if disk.free_bytes < _LEAST_FREE:
        yield Problem(CRITICAL, f"{disk.free_bytes / 1e6:,.0f} MB free: full", where, hint)
    elif disk.hours_left is not None and disk.hours_left < _SHORT_HOURS:
        severity = CRITICAL if disk.hours_left < _FEW_HOURS else WARNING
        what = f"at the present rate the disk is full in {disk.hours_left:,.1f} hours"
        yield Problem(severity, what, where, hint)


def _tables(scene: Scene) -> Iterator[Problem]:
    database, ingest = str(scene.layout.database), scene.ingest
    if scene.database is not None:
        hint = scene.database.hint
        yield Problem(CRITICAL, scene.database.what, scene.database.where, hint)
    elif ingest.published_ns is not None:
        newest = max((lives.written_ns or 0 for lives in scene.lives.values()), default=0)
        known = ingest.newest_ns or ingest.published_ns
        behind = newest - known
        if behind > _BEHIND_NS:
            what = f"the tables are {_long(behind / NS)} behind the record"
            running = "see ingest's log" if ingest.running else "start it: recorder ingest --follow"
            if not ingest.running:
                what += ", and ingest is not running"
            yield Problem(WARNING, what, database, running)
    if scene.rejected >= _MANY_REJECTS:
        what = f"{scene.rejected:,} frames were rejected within 10 minutes"
        hint = "see why: recorder sql 'SELECT feed, reason, count(*) FROM rejects GROUP BY ALL'"
        yield Problem(WARNING, what, database, hint)


def _clock(scene: Scene) -> Iterator[Problem]:
    told = [
        known.synchronised
        for feed in scene.feeds
        if feed.recorded
        for known in scene.lives[feed.name].newest()
        if known.closed_ns is None and known.synchronised is not None
    ]
    if told and not all(told):
        what = "the clock is not synchronised: receive timestamps are only as good as it is"
        yield Problem(WARNING, what, "the capturing host", "run an NTP client such as chrony")


def _place(one: Connection) -> str:
    parts = [one.feed, one.line_group or "", f"line {one.line}" if one.line else ""]
    return " ".join(part for part in parts if part)


def _long(seconds: float) -> str:
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"

"""The one table of what can be wrong with a recorder.

Each condition has a stable name, a severity, its thresholds and what to do next. `problems.py`
detects conditions. Alerts, metrics, `deploy/prometheus/alerts.yml` and the tables in the
documentation are generated from this table: thresholds are defined nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass

from recorder.bucket.spool import NEARLY_PART
from recorder.clock import NS
from recorder.settings.alerts import LASTING
from recorder.status.model import CRITICAL, INFO, WARNING, Problem

#: The units of thresholds in seconds and bytes; counts and per cent are 1.
_UNITS = {
    "ms": 0.001, "s": 1, "min": 60, "h": 3600, "GiB": 1 << 30, "%": 1, "frames": 1, "journals": 1,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Threshold:
    """A value with its unit, one of `_UNITS`; `setting` names the setting that changes it."""

    value: float
    unit: str
    setting: str = ""

    def __post_init__(self) -> None:
        if self.unit not in _UNITS:
            raise ValueError(f"unknown unit of a threshold: '{self.unit}'; add it to _UNITS")

    @property
    def base(self) -> float:
        """The value in seconds or bytes; a count unchanged."""
        return self.value * _UNITS[self.unit]

    @property
    def ns(self) -> int:
        """The value of a time in nanoseconds."""
        return int(self.base * NS)

    def __str__(self) -> str:
        return f"{self.value:g} {self.unit}"


# -- thresholds

#: A line that lost its connection has this long to reconnect.
AWAY = Threshold(30, "s")

#: A running recorder never waits this long between two attempts of a line, unless it gave up.
GAVE_UP = Threshold(15, "min")

#: The silence limit of a feed that sets none, and how late a sign of life reaches the disk.
SILENCE = Threshold(60, "s", "feeds.NAME.silence_seconds")
NOTED = Threshold(15, "s")

#: How long open connections may write nothing to the journal; `stats_seconds` * 4 if longer.
UNWRITTEN = Threshold(45, "s", "capture.stats_seconds")

FULL_BYTES = Threshold(1, "GiB")
FULL_HOURS = Threshold(2, "h")
FILLING_HOURS = Threshold(24, "h")

BEHIND = Threshold(5, "min")
REJECTED = Threshold(10, "frames")
REJECTED_WITHIN = Threshold(10, "min")
GAP_WITHIN = Threshold(10, "min")
UNSEALED = Threshold(12, "journals")
#: Sealing a journal takes about a second. One that waits this long beside a running capture is not
#: being sealed: the child process hangs, or fails again and again.
UNSEALED_FOR = Threshold(10, "min")

SPOOL_OVER = Threshold(100, "%", "bucket.spool_gb")
SPOOL_NEARLY = Threshold(100 * NEARLY_PART, "%", "bucket.spool_gb")
SPOOL_WAITS = Threshold(15, "min")


@dataclass(frozen=True, slots=True)
class Condition:
    """One thing that can be wrong."""

    name: str
    severity: str
    group: str
    """The word for this and related conditions in an alert's `health`."""
    meaning: str
    """When the condition holds: one sentence without a full stop."""
    hint: str
    """What to do next; `{key}` is the variable of a feed's key, `{pid}` is capture's pid."""
    thresholds: tuple[Threshold, ...] = ()
    hold: float = LASTING
    """Seconds for which it must hold before an alert; 0 if a threshold is a time already."""
    of_feed: bool = False
    """The condition is about one feed, so its metric has that label."""
    history: bool = False
    """The condition needs the tables or today's record, which `recorder health` does not read."""
    event: bool = False
    """Each occurrence is a separate alert, without an alert when it ends."""

    def problem(
        self,
        what: str,
        where: str,
        *,
        feed: str = "",
        since_ns: int | None = None,
        hint: str = "",
        **values: object,
    ) -> Problem:
        """Return the problem that holds now; `values` fill in the hint, `hint` replaces it."""
        return Problem(
            condition=self.name,
            severity=self.severity,
            what=what,
            where=where,
            next=hint or self.hint.format(**values),
            threshold=self.threshold,
            feed=feed,
            since_ns=since_ns,
        )

    @property
    def threshold(self) -> str:
        """The thresholds as text."""
        return ", ".join(map(str, self.thresholds))

    @property
    def settings(self) -> tuple[str, ...]:
        """The settings that change the thresholds."""
        return tuple(one.setting for one in self.thresholds if one.setting)

    @property
    def expression(self) -> str:
        """The Prometheus expression that is true while the condition holds."""
        return f'recorder_problem{{condition="{self.name}"}} > 0'


_LOG = "see capture's log, and try: recorder doctor --connect"
_ROOM = "free space, prune old raw files (recorder prune), or move the data directory"
_INGEST = "see ingest's log; if it does not run: recorder ingest --follow"
_REBUILD = "rebuild it from the raw record: recorder ingest --rebuild"
_BUCKET = "see capture's log; try: recorder doctor, recorder upload"

# -- capture

NOTHING_RECORDED = Condition(
    "nothing_recorded", CRITICAL, "capture", "the data directory holds no record",
    "start: recorder capture; or name the data directory: --data-dir",
)  # fmt: skip
CAPTURE_STOPPED = Condition(
    "capture_stopped", CRITICAL, "capture", "no process records",
    "start it: recorder capture, or recorder run",
)  # fmt: skip
FEED_NOT_RECORDED = Condition(
    "feed_not_recorded", CRITICAL, "capture",
    "a feed is in the settings, capture runs, and no process records the feed",
    "have capture read its settings again (kill -HUP {pid}), or see its log", of_feed=True,
)  # fmt: skip

# -- connections

FEED_NEVER_CONNECTED = Condition(
    "feed_never_connected", CRITICAL, "silence",
    f"a feed has had no connection, {AWAY} after capture began", _LOG,
    (AWAY,), hold=0, of_feed=True,
)  # fmt: skip
FEED_AWAY = Condition(
    "feed_away", CRITICAL, "silence",
    f"a line is not connected for more than {AWAY}, and no other line covers it", _LOG,
    (AWAY,), hold=0, of_feed=True,
)  # fmt: skip
FEED_SILENT = Condition(
    "feed_silent", CRITICAL, "silence",
    "an open connection gave no sign of life within the feed's limit of silence"
    f" (if it has none: {SILENCE}; {NOTED} more to reach the disk), and no other line covers it",
    "capture ends a silent connection itself; if this lasts, see its log",
    (SILENCE, NOTED), of_feed=True,
)  # fmt: skip
FEED_GAVE_UP = Condition(
    "feed_gave_up", CRITICAL, "silence",
    f"a line's end was final, or it made no attempt for {GAVE_UP}, and no other line covers it",
    "restart capture when the cause is gone", (GAVE_UP,), hold=0, of_feed=True,
)  # fmt: skip
CREDENTIALS_REFUSED = Condition(
    "credentials_refused", CRITICAL, "silence",
    "the service refused a line's key for good, and no other line covers it",
    "set {key} to a valid key and restart capture", hold=0, of_feed=True,
)  # fmt: skip
LINE_AWAY = Condition(
    "line_away", WARNING, "line",
    "a line is away, silent, or gave up, and another line covers it", _LOG,
    hold=0, of_feed=True,
)  # fmt: skip

# -- gaps

GAP_UNCOVERED = Condition(
    "gap_uncovered", WARNING, "gap",
    f"within the last {GAP_WITHIN} no line was connected, or frames are missing by their number",
    "see when and why: recorder query gaps; a second line covers the loss of one (lines = 2)",
    (GAP_WITHIN,), hold=0, of_feed=True, history=True, event=True,
)  # fmt: skip
GAP_COVERED = Condition(
    "gap_covered", INFO, "gap",
    f"a line was without a connection within the last {GAP_WITHIN}, and another line covered it",
    "nothing is missing; see when and why: recorder query gaps",
    (GAP_WITHIN,), hold=0, of_feed=True, history=True, event=True,
)  # fmt: skip

# -- the disk, the journal and the bucket

JOURNAL_UNWRITABLE = Condition(
    "journal_unwritable", CRITICAL, "disk",
    f"connections are open, but for {UNWRITTEN} nothing reached the journal (four times"
    " `stats_seconds`, if that is longer), or its file system is read-only",
    "see capture's log; check free space and the disk, or restart a process that hangs",
    (UNWRITTEN,),
)  # fmt: skip
DISK_FULL = Condition(
    "disk_full", CRITICAL, "disk",
    f"less than {FULL_BYTES} is free, or at the present rate the disk is full within {FULL_HOURS}",
    _ROOM, (FULL_BYTES, FULL_HOURS),
)  # fmt: skip
DISK_FILLING = Condition(
    "disk_filling", WARNING, "disk",
    f"at the present rate the disk is full within {FILLING_HOURS}", _ROOM, (FILLING_HOURS,),
)  # fmt: skip
JOURNALS_UNSEALED = Condition(
    "journals_unsealed", WARNING, "sealing",
    f"more than {UNSEALED} of one feed wait to be sealed, or capture runs and one has waited for"
    f" {UNSEALED_FOR}",
    "see capture's log for why sealing fails; a process recorder.record.seal that hangs may be"
    " killed: the next one seals what it left", (UNSEALED, UNSEALED_FOR), of_feed=True,
)  # fmt: skip
FILES_DAMAGED = Condition(
    "files_damaged", WARNING, "sealing",
    "files of a feed could not be read to their end, and are in `journal/<feed>/damaged`",
    "what was readable is sealed; see why: recorder verify; move the files away to end this",
    of_feed=True,
)  # fmt: skip
SPOOL_FULL = Condition(
    "spool_full", CRITICAL, "spool",
    f"the sealed files that wait for the bucket take more than {SPOOL_OVER} of `spool_gb`", _BUCKET,
    (SPOOL_OVER,),
)  # fmt: skip
SPOOL_FILLING = Condition(
    "spool_filling", WARNING, "spool",
    f"the sealed files that wait for the bucket take {SPOOL_NEARLY} of `spool_gb` or more", _BUCKET,
    (SPOOL_NEARLY,),
)  # fmt: skip
SPOOL_WAITING = Condition(
    "spool_waiting", WARNING, "spool",
    f"a sealed file has waited for the bucket for more than {SPOOL_WAITS}", _BUCKET,
    (SPOOL_WAITS,), hold=0,
)  # fmt: skip

# -- the tables

INGEST_STOPPED = Condition(
    "ingest_stopped", WARNING, "ingest",
    "there are tables, the record has gone beyond them, and no process ingests",
    "start it: recorder ingest --follow, or recorder run",
)  # fmt: skip
TABLES_BEHIND = Condition(
    "tables_behind", WARNING, "ingest",
    f"ingest runs, and the tables are more than {BEHIND} behind the record", _INGEST, (BEHIND,),
)  # fmt: skip
DATABASE_DAMAGED = Condition(
    "database_damaged", CRITICAL, "ingest", "the published database cannot be read", _REBUILD,
)  # fmt: skip
DATABASE_VERSION = Condition(
    "database_version", CRITICAL, "ingest",
    "the published database has the tables of another version", _REBUILD, history=True,
)  # fmt: skip
REJECTS_RISING = Condition(
    "rejects_rising", WARNING, "rejects",
    f"of the frames received within the last {REJECTED_WITHIN}, {REJECTED} or more were rejected",
    "see why: recorder sql 'SELECT feed, reason, count(*) FROM rejects GROUP BY ALL'",
    (REJECTED, REJECTED_WITHIN), hold=0, history=True,
)  # fmt: skip

# -- the machine

CLOCK_UNSYNCHRONISED = Condition(
    "clock_unsynchronised", WARNING, "clock",
    "the kernel of the capturing host says that its clock is not synchronised",
    "run an NTP client such as chrony: receive timestamps are only as good as the clock",
)  # fmt: skip

#: Every condition above, by its name, in this order.
CONDITIONS = {one.name: one for one in tuple(globals().values()) if isinstance(one, Condition)}

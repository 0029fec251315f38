"""The recorder's health as conditions that begin and end: what is told, and when. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from recorder.clock import NS, day, iso

if TYPE_CHECKING:
    from recorder.status.model import Status

#: Less room than this is told; hours at the present rate, and bytes.
_HOURS, _BYTES = 24.0, 1 << 30

#: Tables that are so far behind the newest frame are told, in seconds.
_BEHIND_NS = 300 * NS


@dataclass(frozen=True, slots=True)
class Found:
    """A condition that holds now."""

    condition: str
    subject: str
    severity: str
    what: str
    next: str

    @property
    def key(self) -> str:
        """What makes it the same one the next time."""
        return f"{self.condition} {self.subject}"


def conditions(status: Status) -> Iterator[Found]:
    """What is not well at the moment. A gap is no state: see `Gaps`."""
    if not status.capture.running:
        what = "nothing is being recorded: capture does not run"
        yield Found("capture", "capture", "critical", what, "recorder capture, or recorder run")
    if status.capture.unwritable:
        what, hint = "the disk refuses the journal", "make room, or look at the disk's errors"
        yield Found("disk", "journal", "critical", what, hint)
    yield from _disk(status)
    yield from _ingest(status)
    for feed in status.feeds:
        if feed.recorded and not feed.fresh:
            last = iso(feed.last_frame_ns) if feed.last_frame_ns else "never"
            what = f"{feed.name} is silent: no proof of life; last frame {last}"
            yield Found("silence", feed.name, "critical", what, "recorder status")


def _disk(status: Status) -> Iterator[Found]:
    disk = status.disk
    if disk is None:
        return
    hours, hint = disk.hours_left, "make room: recorder prune, or a larger disk"
    if disk.free_bytes < _BYTES or (hours is not None and hours < _HOURS):
        left = "" if hours is None else f", enough for {hours:.0f} hours"
        severity = "critical" if disk.free_bytes < _BYTES else "warning"
        what = f"the disk is nearly full: {disk.free_bytes / 1e9:.1f} GB free{left}"
        yield Found("disk", "space", severity, what, hint)


def _ingest(status: Status) -> Iterator[Found]:
    newest = max((feed.last_frame_ns or 0 for feed in status.feeds), default=0)
    if not status.ingest.running:
        what = "the tables stand still: ingest does not run"
        hint = "recorder ingest --follow, or recorder run"
        yield Found("ingest", "ingest", "warning", what, hint)
    elif status.ingest.newest_ns is not None and newest - status.ingest.newest_ns > _BEHIND_NS:
        minutes = (newest - status.ingest.newest_ns) / NS / 60
        what = f"the tables are {minutes:.0f} minutes behind"
        yield Found("ingest", "ingest", "warning", what, "recorder status")


class Gaps:
    """Finds gaps that began since the last look, from the day's counts."""

    def __init__(self, known: Mapping[str, int] | None = None, known_day: str = "") -> None:
        self.known, self.day = dict(known or {}), known_day

    def new(self, status: Status, quiet: Collection[str] = ()) -> list[Found]:
        """The feeds with more gaps than at the last look. The first look only learns.

        The `quiet` feeds are left out for now: what is new of them is counted later.
        """
        today, first = day(status.at_ns), not self.day
        if self.day != today:
            self.known, self.day = {} if not first else self.known, today
        found = []
        for feed in status.feeds:
            if feed.gaps_today is None or (feed.name in quiet and not first):
                continue
            more = feed.gaps_today - self.known.get(feed.name, 0)
            self.known[feed.name] = feed.gaps_today
            if more > 0 and not first:
                covered = feed.uncovered_seconds_today == 0
                what = f"{feed.name}: {more} new {'gap' if more == 1 else 'gaps'}"
                what += ", covered by another line" if covered else ""
                severity = "info" if covered else "warning"
                found.append(Found("gap", feed.name, severity, what, "recorder query gaps"))
        return found


@dataclass(slots=True)
class _Held:
    """One condition over time; times are seconds."""

    found: Found
    since: float
    told: bool = False
    told_at: float | None = None
    ended: bool = False


class Watch:
    """One rule's conditions: what to tell, so that nobody is told the same again and again.

    A condition is told once it lasted `lasting` seconds, and its end if it had been told. It is not
    told again within `cooldown` seconds after it was told, though it may end and begin meanwhile.
    """

    def __init__(self, lasting: float, cooldown: float, *, resolved: bool) -> None:
        self._lasting, self._cooldown, self._resolved = lasting, cooldown, resolved
        self._held: dict[str, _Held] = {}

    def look(self, now: float, found: Iterable[Found]) -> list[tuple[Found, bool]]:
        """What is to be told now: each with True where it is over."""
        there = {one.key: one for one in found}
        tell: list[tuple[Found, bool]] = []
        for key, one in there.items():
            held = self._held.setdefault(key, _Held(one, now))
            if held.ended:
                held.since, held.ended = now, False
            held.found = one
            if self._to_tell(held, now):
                held.told, held.told_at = True, now
                tell.append((one, False))
        for key in [key for key in self._held if key not in there]:
            held = self._held[key]
            if held.told and self._resolved:
                tell.append((held.found, True))
            held.told, held.ended = False, True
            if held.told_at is None or now - held.told_at >= self._cooldown:
                del self._held[key]
        return tell

    def _to_tell(self, held: _Held, now: float) -> bool:
        cool = held.told_at is None or now - held.told_at >= self._cooldown
        return not held.told and cool and now - held.since >= self._lasting

    # -- over a restart

    def state(self, now: float) -> list[dict[str, Any]]:
        """What was told, for the state file; times as seconds ago."""
        return [
            {
                "found": [h.found.condition, h.found.subject, h.found.severity, h.found.what,
                          h.found.next],
                "told": h.told,
                "told_ago": now - h.told_at,
            }
            for h in self._held.values()
            if h.told_at is not None
        ]  # fmt: skip

    def restore(self, now: float, state: Iterable[Mapping[str, Any]], away: float) -> None:
        """Go on from there, after having been away for so many seconds."""
        for one in state:
            found, told_at = Found(*one["found"]), now - one["told_ago"] - away
            self._held[found.key] = _Held(found, told_at, one["told"], told_at, not one["told"])

"""The problems of a recorded feed's lines, and the gaps of the last minutes. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace

from recorder.clock import NS, iso
from recorder.feed import CREDENTIALS, Refusal, Verdict
from recorder.feeds import feed as feed_of
from recorder.record.gaps import LineGap
from recorder.settings.keys import key_variable
from recorder.status import conditions as are
from recorder.status.model import CLOSED, OPEN, Connection, FeedStatus, Problem
from recorder.status.scene import Scene
from recorder.times import duration

#: If all lines of a feed are away, and at least this many, they are one problem.
_MANY_LINES = 3

#: For this long after a gap, another line may still prove that it was connected.
_UNDECIDED_NS = 60 * NS


def lines(scene: Scene, feed: FeedStatus) -> Iterator[Problem]:
    """Find lines that are away, silent, or gave up."""
    begun = scene.capture.since_ns or 0
    opened = any(one.opened_ns is not None for one in scene.lives[feed.name].known.values())
    if not feed.connections and not opened and scene.at_ns - begun > are.AWAY.ns:
        what = "it never connected"
        yield are.FEED_NEVER_CONNECTED.problem(what, feed.name, feed=feed.name, since_ns=begun)
    healthy = {one.line_group for one in feed.connections if _healthy(scene, one)}
    away: list[Problem] = []
    for one in feed.connections:
        found = _line(scene, feed, one)
        if found is not None and one.line_group in healthy:
            found = _covered(found)
        if found is not None and one.state == CLOSED:
            away.append(found)
        elif found is not None:
            yield found
    yield from _merged(feed, away)


def _line(scene: Scene, feed: FeedStatus, one: Connection) -> Problem | None:
    """Return the problem of one line, without regard to other lines; None if it is healthy."""
    if one.state == CLOSED:
        return _closed(scene, feed, one)
    if _healthy(scene, one):
        return None
    since = one.heard_ns or one.opened_ns or scene.at_ns
    what = f"silent for {duration(scene.at_ns - since)}, although the connection is open"
    found = are.FEED_SILENT.problem(what, _place(one), feed=feed.name, since_ns=since)
    return replace(found, threshold=f"{scene.limits[feed.name]:g} s")


def _place(one: Connection) -> str:
    parts = [one.feed, one.line_group or "", f"line {one.line}" if one.line else ""]
    return " ".join(part for part in parts if part)


def _healthy(scene: Scene, one: Connection) -> bool:
    limit_ns = int((scene.limits[one.feed] + 2 * (one.poll_seconds or 0)) * NS)
    return one.state == OPEN and scene.at_ns - (one.heard_ns or 0) <= limit_ns


def _closed(scene: Scene, feed: FeedStatus, one: Connection) -> Problem | None:
    """Return the problem of a line without a connection; None while it may reconnect."""
    since = scene.lives[feed.name].away_since((one.line_group, one.line)) or scene.at_ns
    tried = scene.at_ns - max(one.closed_ns or scene.at_ns, one.retry_ns or 0)
    why = (one.reason or "no reason is known").removeprefix("cannot connect: ")
    final = _final(feed, one)
    if final == CREDENTIALS:
        condition, what = are.CREDENTIALS_REFUSED, f"gave up: {why}"
    elif final is not None or tried > are.GAVE_UP.ns:
        condition, what = are.FEED_GAVE_UP, f"gave up: {why}"
    elif scene.at_ns - since > are.AWAY.ns:
        lost = "cannot connect" if one.opened_ns is None else "not connected"
        condition, what = are.FEED_AWAY, f"{lost} for {duration(scene.at_ns - since)}: {why}"
    else:
        return None
    key = key_variable(feed.name)
    return condition.problem(what, _place(one), feed=feed.name, since_ns=since, key=key)


def _covered(problem: Problem) -> Problem:
    """Return the same problem for a line that another line covers."""
    return replace(
        problem,
        condition=are.LINE_AWAY.name,
        severity=are.LINE_AWAY.severity,
        what=f"{problem.what}; another line covers it",
    )


def _merged(feed: FeedStatus, away: list[Problem]) -> Iterator[Problem]:
    """Yield the problems of lines that are away, as one problem if the whole service is away."""
    if len(away) < _MANY_LINES or len(away) < len(feed.connections):
        yield from away
        return
    worst = min(away, key=lambda one: one.condition == are.FEED_AWAY.name)
    what = f"none of its {len(away)} lines is connected; {worst.where}: {worst.what}"
    yield replace(worst, what=what, where=feed.name)


def _final(feed: FeedStatus, one: Connection) -> int | None:
    """Return the exit code of an end that forbids another attempt; None if it does not.

    The record's marker has it. The tables do not: there the feed's rules decide, by the recorded
    reason.
    """
    if one.exit_code is not None:
        return one.exit_code
    with suppress(Exception):  # a plug-in's code may raise anything
        rules = feed_of(feed.kind or feed.name)
        reason = one.reason or ""
        if one.opened_ns is None and one.code is not None:
            verdict: Verdict | None = rules.on_refused(Refusal(one.code, {}, reason, keyed=True))
            if "credentials refused" not in reason:  # what a feed could not say of the key
                verdict = None
        else:
            verdict = rules.on_close(one.code, reason.removeprefix(f"closed {one.code} "))
        return verdict.exit_code if verdict is not None and verdict.fatal else None
    return None


# -- gaps


def gaps(scene: Scene, feed: FeedStatus) -> Iterator[Problem]:
    """Find recent gaps of a feed. A gap that lasts is reported as a line that is away."""
    if feed.gaps_today is None:
        return
    lives, from_ns = scene.lives[feed.name], scene.at_ns - are.GAP_WITHIN.ns
    recent = [gap for gap in lives.gaps(scene.at_ns, recorded=True) if _is_recent(gap, scene.at_ns)]
    covered = [gap for gap in recent if gap.covered]
    bare = [gap for gap in recent if not gap.covered and not _undecided(scene, feed, gap)]
    holes = [(at_ns, missing) for at_ns, missing in lives.holes if at_ns > from_ns]
    if bare or holes:
        since = max([gap.from_ns for gap in bare] + [at_ns for at_ns, _ in holes])
        parts = [f"{_without(bare, scene.at_ns)} without cover"] if bare else []
        parts += [f"{sum(missing for _, missing in holes):,} frames missing by number"][
            : len(holes)
        ]
        what = f"{', '.join(parts)}, the last at {iso(since)}"
        yield are.GAP_UNCOVERED.problem(what, feed.name, feed=feed.name, since_ns=since)
    if covered:
        since = max(gap.from_ns for gap in covered)
        length = _without(covered, scene.at_ns)
        what = f"{length} on one line, covered by another, the last at {iso(since)}"
        yield are.GAP_COVERED.problem(what, feed.name, feed=feed.name, since_ns=since)


def _is_recent(gap: LineGap, at_ns: int) -> bool:
    """Return True if a gap ended recent, or lasts and is too short for a line that is away."""
    if gap.to_ns is None:
        return at_ns - gap.from_ns <= are.AWAY.ns
    return at_ns - gap.to_ns < are.GAP_WITHIN.ns


def _undecided(scene: Scene, feed: FeedStatus, gap: LineGap) -> bool:
    """Return True if another line is open that may yet prove that it covered the gap."""
    if gap.to_ns is None or scene.at_ns - gap.to_ns > _UNDECIDED_NS:
        return False
    return any(
        one.line_group == gap.last.line_group
        and one.line != gap.last.line
        and one.state == OPEN
        and (one.opened_ns or scene.at_ns) <= gap.from_ns
        for one in feed.connections
    )


def _without(gaps: Sequence[LineGap], at_ns: int) -> str:
    """Return the number of gaps and their total length, as text."""
    seconds = sum(gap.seconds(0, at_ns) for gap in gaps)
    return f"{len(gaps)} {'gap' if len(gaps) == 1 else 'gaps'} ({duration(int(seconds * NS))})"

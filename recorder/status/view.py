"""The status for people: a table on a terminal, else plain lines."""

from __future__ import annotations

from collections.abc import Iterator

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from recorder.answers.cells import visible
from recorder.clock import NS, day, iso
from recorder.status.model import (
    CRITICAL,
    INFO,
    OPEN,
    WARNING,
    Connection,
    DayStatus,
    FeedStatus,
    Problem,
    Status,
)
from recorder.times import age, duration

NONE = "-"


def panels(status: Status) -> RenderableType:
    """Return the whole status."""
    parts: list[RenderableType] = [Text(f"{title(status)}\n", style="bold"), machine(status)]
    if status.feeds:
        parts += [feeds(status), days(status), connections(status)]
    parts.append(problems(status))
    return Group(*parts)


def title(status: Status) -> str:
    """Return the verdict, the data directory, the host and the time, as one line."""
    how = "healthy" if status.healthy else "UNHEALTHY"
    return visible(f"{how}  {status.data_dir} on {status.host}  {iso(status.at_ns)}")


def machine(status: Status) -> Table:
    """Return the processes and the disk, one per line."""
    table = Table.grid(padding=(0, 2))
    for name, says in machine_lines(status):
        table.add_row(Text(name, style="dim"), Text(visible(says)))
    return table


def machine_lines(status: Status) -> Iterator[tuple[str, str]]:
    """Yield the name and status of each process and of the disk."""
    capture, ingest, disk = status.capture, status.ingest, status.disk
    if capture.running:
        since = iso(capture.since_ns) if capture.since_ns else NONE
        stuck = "; the journal takes nothing" if capture.unwritable else ""
        yield "capture", f"running since {since}, pid {capture.pid or NONE}{stuck}"
    else:
        yield "capture", "not running"
    says = "running" if ingest.running else "not running"
    if ingest.newest_ns is not None:
        says += f", newest frame {age(ingest.newest_ns, status.at_ns)} old"
    if ingest.database_bytes is not None:
        says += f", {amount(ingest.database_bytes)}B"
    if ingest.rejects is not None:
        says += f", {ingest.rejects:,} rejects"
    yield "ingest", says
    if disk is not None:
        hours = disk.hours_left
        left = "" if hours is None else f", enough for {duration(int(hours * 3600 * NS))}"
        yield "disk", f"{amount(disk.free_bytes)}B of {amount(disk.total_bytes)}B free{left}"


def feeds(status: Status) -> Table:
    """Return a table with a row for each feed."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title_justify="left")
    table.add_column("feed")
    table.add_column("state")
    for name in ("frames/s", "bytes/s", "last", "again", "gaps", "gap s", "bare s", "missing"):
        table.add_column(name, justify="right")
    for feed in status.feeds:
        table.add_row(*map(Text, map(visible, feed_cells(status, feed))))
    return table


def feed_cells(status: Status, feed: FeedStatus) -> tuple[str, ...]:
    """Return a feed's cells."""
    return (
        feed.name,
        state_of(feed),
        f"{feed.frames_per_second:,.1f}",
        amount(feed.bytes_per_second),
        _age(status, feed.last_frame_ns),
        _count(feed.reconnects_today),
        _count(feed.gaps_today),
        _seconds(feed.gap_seconds_today),
        _seconds(feed.uncovered_seconds_today),
        _count(feed.frames_missing_today),
    )


def days(status: Status) -> Table:
    """Return a table with the conditions of each feed's today and yesterday."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("feed", no_wrap=True)
    table.add_column("today", no_wrap=True, overflow="ellipsis", ratio=1)
    table.add_column("yesterday", no_wrap=True, overflow="ellipsis", ratio=1)
    for feed in status.feeds:
        cells = (feed.name, *conditions(status, feed))
        table.add_row(*map(Text, map(visible, cells)))
    return table


def conditions(status: Status, feed: FeedStatus) -> tuple[str, str]:
    """Return today's condition of a feed, and yesterday's."""
    return condition(feed.today, status.at_ns), condition(feed.yesterday, status.at_ns)


def condition(one: DayStatus | None, at_ns: int) -> str:
    """Return a day's condition with its bare time and its first cause, and how old today's is."""
    if one is None:
        return NONE
    bare = f" {duration(int(one.bare_seconds * NS))}" if one.bare_seconds >= 1 else ""
    why = f" ({one.causes[0]})" if one.causes else ""
    old = "" if at_ns - one.judged_ns < 120 * NS else f", {age(one.judged_ns, at_ns)} ago"
    return f"{one.condition}{bare}{why}{old if one.day == day(at_ns) else ''}"


def state_of(feed: FeedStatus) -> str:
    """Return a feed's state in a word."""
    if not feed.recorded:
        return "not recorded"
    return "fresh" if feed.fresh else "SILENT"


def connections(status: Status) -> Table:
    """Return a table with a row for each line's newest connection."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("feed", "group", "line", "state"):
        table.add_column(name, no_wrap=True)
    for name in ("frames/s", "heard", "rtt ms", "lag ms", "clock ms", "uptime"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("why")  # this column shrinks on a narrow terminal
    for feed in status.feeds:
        for one in feed.connections:
            *cells, why = map(visible, connection(status, one))
            table.add_row(*map(Text, cells), Text(why, no_wrap=True, overflow="ellipsis"))
    return table


def connection(status: Status, one: Connection) -> tuple[str, ...]:
    """Return a connection's cells."""
    return (
        one.feed,
        one.line_group or NONE,
        one.line or NONE,
        one.state if one.state == OPEN else one.state.upper(),
        f"{one.frames_per_second:,.1f}",
        _age(status, one.heard_ns),
        _milli(one.rtt_seconds),
        _milli(one.lag_seconds),
        _milli(None if one.clock_error_ns is None else one.clock_error_ns / NS),
        NONE if one.uptime is None else f"{one.uptime * 100:.2f}%",
        "" if one.state == OPEN else one.reason or "",
    )


def problems(status: Status) -> RenderableType:
    """Return all problems, each with what to do next."""
    if not status.problems:
        return Text("no problems", style="green")
    parts = []
    for problem in status.problems:
        first, *rest = problem_lines(problem)
        parts.append(Text(first, style=COLOURS[problem.severity]))
        parts += [Text(line) for line in rest]
    return Group(*parts)


#: The colour of a problem, by severity.
COLOURS = {CRITICAL: "red", WARNING: "yellow", INFO: "cyan"}


def problem_lines(problem: Problem) -> list[str]:
    """Return a problem as two lines of text."""
    what = f"{problem.severity.upper()} {problem.where}: {problem.what}"
    return [visible(what), visible(f"  {problem.next}")]


def lines(status: Status) -> Iterator[str]:
    """Yield the status as stable plain lines, one item per line, for logs and scripts."""
    yield title(status)
    for name, says in machine_lines(status):
        yield visible(f"{name}: {says}")
    for feed in status.feeds:
        cells = dict(zip(_WORDS, feed_cells(status, feed)[1:], strict=True))
        yield visible(f"feed {feed.name}: " + _pairs(cells))
        today, yesterday = conditions(status, feed)
        yield visible(f"condition {feed.name}: today={today!r} yesterday={yesterday!r}")
        for one in feed.connections:
            values = dict(zip(_CONNECTION_WORDS, connection(status, one)[2:], strict=True))
            why = values.pop("why")
            group = f" {one.line_group}" if one.line_group else ""
            tail = f" why={why!r}" if why else ""
            yield visible(f"connection {feed.name}{group}: {_pairs(values)}{tail}")
    for problem in status.problems:
        yield from problem_lines(problem)


_WORDS = (
    "state", "frames/s", "bytes/s", "last", "reconnects", "gaps", "gap_s", "uncovered_s", "missing"
)  # fmt: skip
_CONNECTION_WORDS = (
    "line", "state", "frames/s", "heard", "rtt_ms", "lag_ms", "clock_ms", "uptime", "why"
)  # fmt: skip


def _pairs(values: dict[str, str]) -> str:
    return " ".join(f"{name}={value}" for name, value in values.items())


# -- numbers


def amount(value: float) -> str:
    """Return a number with a decimal prefix: 1.5k, 72.3G."""
    for unit in ("", "k", "M", "G", "T"):
        if abs(value) < 999.5 or unit == "T":
            return f"{value:,.0f} {unit}".rstrip() if not unit else f"{value:,.1f} {unit}"
        value /= 1000
    raise AssertionError


def _age(status: Status, at_ns: int | None) -> str:
    return NONE if at_ns is None else age(at_ns, status.at_ns)


def _count(value: int | None) -> str:
    return NONE if value is None else f"{value:,}"


def _seconds(value: float | None) -> str:
    return NONE if value is None else f"{value:,.1f}"


def _milli(value: float | None) -> str:
    return NONE if value is None else f"{value * 1000:,.1f}"

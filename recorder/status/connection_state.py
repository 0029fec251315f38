"""The state of one feed from its frames and markers: connections, rates, today's gaps."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from recorder.clock import DAY_NS, NS
from recorder.record.gaps import FOR_EVER, Lifetime, Line, LineGap, gaps
from recorder.record.skim import Entry, FrameCount, Marker
from recorder.status.model import CLOSED, LOST, OPEN, Connection

#: Rates are averages over this many whole seconds.
WINDOW = 10

#: Finished gaps are recomputed for this long: another line may still prove that it covered them.
_SETTLED_NS = 60 * NS

#: With more connections than this, gaps are recomputed at most every 10 s.
_MANY = 1_000


@dataclass(slots=True)
class ConnectionState:
    """One connection, or one failed attempt (it closed and never opened)."""

    connection: str
    line_group: str | None = None
    line: str | None = None
    url: str | None = None
    opened_ns: int | None = None
    closed_ns: int | None = None
    code: int | None = None
    reason: str | None = None
    heard_ns: int | None = None
    frames: int = 0
    next_seq: int = 0
    rtt: float | None = None
    clock_error_ns: int | None = None
    synchronised: bool | None = None
    lag: float | None = None
    exit_code: int | None = None
    first_ns: int = 0
    first_frame_ns: int | None = None
    poll_seconds: float | None = None
    retry_ns: int | None = None
    seconds: deque[tuple[int, int, int]] = field(default_factory=lambda: deque(maxlen=3 * WINDOW))
    """Second, frames and bytes of each of the last seconds in which frames arrived."""

    @property
    def key(self) -> Line:
        """The group and line of the connection."""
        return self.line_group, self.line

    @property
    def began_ns(self) -> int:
        """The time by which a line's connections are sorted."""
        return self.opened_ns or self.first_ns

    def life(self, *, recorded: bool) -> Lifetime | None:
        """Return the connection's lifetime, for finding gaps; None for a failed attempt.

        If no process records the feed (`recorded` False), an open connection counts as lost.
        """
        if self.opened_ns is None:
            return None
        return Lifetime(
            *(self.line_group, self.line, self.connection, self.opened_ns, self.closed_ns),
            *(self.heard_ns, self.reason),
            lost=not recorded,
            first_frame_ns=self.first_frame_ns,
        )

    def began(self, at_ns: int) -> bool:
        """Note a frame at a time; return True if it is the first one."""
        first = self.first_frame_ns is None
        self.first_frame_ns = at_ns if first else min(self.first_frame_ns or at_ns, at_ns)
        return first

    def rates(self, now_ns: int, since_ns: int) -> tuple[float, float]:
        """Return frames and bytes per second over the watched part of the last seconds."""
        end = now_ns // NS
        begin = min(max(end - WINDOW, since_ns // NS), end - 1)
        lately = [one for one in self.seconds if begin <= one[0] < end]
        span = end - begin
        return sum(one[1] for one in lately) / span, sum(one[2] for one in lately) / span


class FeedState:
    """The connections, counts and gaps of one feed."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.known: dict[str, ConnectionState] = {}
        self.frames = self.bytes = 0
        self.last_frame_ns: int | None = None
        self.written_ns: int | None = None
        """Receive timestamp of the newest frame or marker in the record."""
        self.since_ns: int | None = None
        self.holes: deque[tuple[int, int]] = deque(maxlen=100_000)
        """When frames were found missing by number (ns), and how many."""
        self._tried: dict[Line, int] = {}
        self._gaps: list[LineGap] = []
        self._computed = (0, -1, False)
        self._changed_ns = 0
        self._changes = 0

    # -- input

    def seed(self, connections: Iterable[ConnectionState], written_ns: int | None = None) -> None:
        """Begin with the connections of the tables; `written_ns`: their newest frame or marker."""
        self.written_ns = written_ns
        for one in connections:
            self.known[one.connection] = one
            self._change(one.closed_ns or one.heard_ns or one.first_ns)

    def take(self, entries: Iterable[Entry], *, counted: bool = True) -> None:
        """Add runs and markers; `counted` False: do not count frames, which predate the watcher."""
        for one in entries:
            known = self.known.get(one.connection)
            if known is None:
                at_ns = one.recv_ns if isinstance(one, Marker) else one.last_ns
                known = self.known[one.connection] = ConnectionState(one.connection, first_ns=at_ns)
            if isinstance(one, FrameCount):
                self._run(known, one, counted=counted)
            else:
                self._marker(known, one)

    def _run(self, known: ConnectionState, run: FrameCount, *, counted: bool) -> None:
        # The tables have counted the others.
        unknown = run.end_seq - max(run.first_seq, known.next_seq)
        self._number(known, run.first_seq, run.end_seq, run.last_ns)
        if run.missing:
            self.holes.append((run.last_ns, run.missing))
        if not run.frames:
            return
        if known.opened_ns is None and known.line is None and run.first_seq > 0:
            known.opened_ns = _begun_ns(known.connection)  # its `open` marker was earlier
            self._change(run.last_ns)
        known.frames += min(run.frames, max(unknown, 0))
        known.heard_ns = max(known.heard_ns or 0, run.last_ns)
        if known.began(run.last_ns if run.first_ns is None else run.first_ns):
            self._change(run.last_ns)
        self.last_frame_ns = max(self.last_frame_ns or 0, run.last_ns)
        self._written(run.last_ns)
        if counted:
            self.frames += run.frames
            self.bytes += run.bytes
            second = run.last_ns // NS
            seconds = known.seconds
            if seconds and seconds[-1][0] == second:
                _, frames, size = seconds.pop()
                seconds.append((second, frames + run.frames, size + run.bytes))
            else:
                seconds.append((second, run.frames, run.bytes))
            self.since_ns = min(self.since_ns or run.last_ns, run.last_ns)

    def _number(self, known: ConnectionState, first: int, end: int, at_ns: int) -> None:
        """Note the frames missing between the expected number and `first`; then expect `end`."""
        fresh = not known.next_seq and known.line is None and known.opened_ns is None
        if first > known.next_seq and not fresh:
            self.holes.append((at_ns, first - known.next_seq))
        known.next_seq = max(known.next_seq, end)

    def _marker(self, known: ConnectionState, marker: Marker) -> None:
        fields = marker.fields
        if marker.kind == "instruments":
            # The venue's list did not arrive on a connection.
            self.known.pop(known.connection, None)
            return
        self._number(known, marker.seq, marker.seq + 1, marker.recv_ns)
        self._written(marker.recv_ns)
        if marker.kind == "answer":
            self._answered(known, marker)
            return
        if marker.kind not in {"open", "closed", "stats"}:
            return
        known.line_group = _text(fields.get("group")) or known.line_group
        known.line = _text(fields.get("line")) or known.line
        known.url = _text(fields.get("url")) or known.url
        known.poll_seconds = _real(fields.get("every")) or known.poll_seconds
        heard = _whole(fields.get("heard_ns"))
        if heard is not None:
            known.heard_ns = max(known.heard_ns or 0, heard)
            if marker.kind != "open" and heard > (known.opened_ns or 0) and known.began(heard):
                self._change(marker.recv_ns)
        if marker.kind == "open":
            known.opened_ns = marker.recv_ns
            known.heard_ns = max(known.heard_ns or 0, marker.recv_ns)
        elif marker.kind == "closed":
            known.closed_ns = marker.recv_ns
            known.code, known.reason = _whole(fields.get("code")), _text(fields.get("reason"))
            known.exit_code = _whole(fields.get("exit_code"))
            known.retry_ns = _whole(fields.get("retry_ns"))
            if known.opened_ns is None and fields.get("opened") is True:
                known.opened_ns = _begun_ns(known.connection)
        else:
            self._stats(known, fields)
            return
        self._tried.setdefault(known.key, marker.recv_ns)
        self._change(marker.recv_ns)

    def _answered(self, known: ConnectionState, marker: Marker) -> None:
        """Note a polled answer: a proof of life, whether its body was new or not."""
        known.heard_ns = max(known.heard_ns or 0, marker.recv_ns)
        if known.began(marker.recv_ns):
            self._change(marker.recv_ns)

    def _stats(self, known: ConnectionState, fields: dict[str, Any]) -> None:
        known.rtt, known.lag = _real(fields.get("rtt")), _real(fields.get("loop_lag"))
        clock = fields.get("clock")
        if isinstance(clock, dict):
            known.clock_error_ns = _whole(clock.get("error_ns"))
            known.synchronised = clock.get("synchronised") is True
        if known.opened_ns is None:
            known.opened_ns = _begun_ns(known.connection)
            self._change(known.heard_ns or known.opened_ns)

    def _written(self, at_ns: int) -> None:
        self.written_ns = max(self.written_ns or 0, at_ns)

    def _change(self, at_ns: int) -> None:
        self._changed_ns = max(self._changed_ns, at_ns)
        self._changes += 1

    # -- results

    def away_since(self, key: Line) -> int | None:
        """Return when a line lost its connection (ns): its last proof of life or its first try."""
        own = [one for one in self.known.values() if one.key == key]
        ends = [one.closed_ns or one.heard_ns or 0 for one in own if one.opened_ns is not None]
        return max(ends, default=None) or self._tried.get(key)

    def gaps(self, now_ns: int, *, recorded: bool) -> list[LineGap]:
        """Return the gaps that reach into today or still last."""
        at_ns, changes, was_recorded = self._computed
        settled = self._changed_ns < at_ns - _SETTLED_NS
        many = len(self.known) > _MANY and now_ns - at_ns < 10 * NS
        same = changes == self._changes and was_recorded == recorded
        if not (same and settled) and not many:
            lives = (one.life(recorded=recorded) for one in self.known.values())
            self._gaps = gaps(life for life in lives if life is not None)
            self._computed = (now_ns, self._changes, recorded)
        day = now_ns - now_ns % DAY_NS
        return [gap for gap in self._gaps if gap.to_ns is None or gap.to_ns > day]

    def first_opened(self, key: Line) -> int:
        """Return when the line's oldest known connection was opened (ns)."""
        own = (one.opened_ns for one in self.known.values() if one.key == key)
        return min((at_ns for at_ns in own if at_ns is not None), default=FOR_EVER)

    def newest(self) -> list[ConnectionState]:
        """Return each line's newest connection; an open one precedes a newer failed attempt."""
        newest: dict[Line, ConnectionState] = {}
        for one in self.known.values():
            if one.line is None:
                continue
            other = newest.get(one.key)
            if other is None or _rank(one) > _rank(other):
                newest[one.key] = one
        return [newest[key] for key in sorted(newest, key=lambda key: (key[0] or "", key[1] or ""))]

    def reconnects(self, day_ns: int) -> int:
        """Return how many connections opened since `day_ns` followed another on their line."""
        first: dict[Line, int] = {}
        opened = [one for one in self.known.values() if one.opened_ns is not None]
        for one in opened:
            first[one.key] = min(first.get(one.key, FOR_EVER), one.opened_ns or 0)
        return sum(one.opened_ns > max(day_ns - 1, first[one.key]) for one in opened)  # type: ignore[operator]  # opened ones only

    def forget(self, before_ns: int) -> None:
        """Drop connections that ended before `before_ns`, except each line's newest."""
        newest = {one.connection for one in self.newest()}
        latest: dict[Line, ConnectionState] = {}
        for one in self.known.values():
            if one.opened_ns and one.began_ns >= latest.get(one.key, one).began_ns:
                latest[one.key] = one
        keep = newest | {one.connection for one in latest.values()}
        for name, one in list(self.known.items()):
            ended = one.closed_ns or one.heard_ns or one.first_ns
            if name not in keep and (ended < before_ns or one.opened_ns is None):
                del self.known[name]
        while self.holes and self.holes[0][0] < before_ns:
            self.holes.popleft()


def connection(
    lives: FeedState,
    known: ConnectionState,
    gaps: Iterable[LineGap],
    now_ns: int,
    *,
    recorded: bool,
) -> Connection:
    """Return a connection's status; `gaps` are the gaps of its feed."""
    since_ns = lives.since_ns or now_ns
    state = CLOSED if known.closed_ns is not None else OPEN if recorded else LOST
    return Connection(
        feed=lives.name,
        line_group=known.line_group,
        line=known.line,
        connection=known.connection,
        url=known.url,
        state=state,
        opened_ns=known.opened_ns,
        closed_ns=known.closed_ns,
        code=known.code,
        reason=known.reason,
        heard_ns=known.heard_ns,
        frames=known.frames,
        frames_per_second=known.rates(now_ns, since_ns)[0] if state == OPEN else 0.0,
        rtt_seconds=known.rtt,
        clock_error_ns=known.clock_error_ns,
        lag_seconds=known.lag,
        exit_code=known.exit_code,
        poll_seconds=known.poll_seconds,
        retry_ns=known.retry_ns,
        uptime=_uptime(known, lives.first_opened(known.key), gaps, now_ns),
    )


def _uptime(
    known: ConnectionState, first_ns: int, gaps: Iterable[LineGap], now_ns: int
) -> float | None:
    day = now_ns - now_ns % DAY_NS
    begin = max(day, first_ns)
    if begin >= now_ns:
        return None
    own = (gap for gap in gaps if gap.key == known.key)
    without = sum(gap.seconds(day, now_ns) for gap in own)
    return max(0.0, 1 - without / ((now_ns - begin) / NS))


def _rank(one: ConnectionState) -> tuple[bool, int, str]:
    return one.opened_ns is not None and one.closed_ns is None, one.began_ns, one.connection


_CROCKFORD = {letter: value for value, letter in enumerate("0123456789ABCDEFGHJKMNPQRSTVWXYZ")}


def _begun_ns(connection: str) -> int:
    """Return when a connection was begun (ns): its id has the milliseconds."""
    number = 0
    for letter in connection[:10]:
        number = number * 32 + _CROCKFORD.get(letter, 0)
    return number * 1_000_000


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _real(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None

"""A record that changes while it is read: written, doubted, sealed, merged between any two steps.

The frames that were appended are the witness: whoever reads must get each of them once, in order.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from recorder import frame
from recorder.clock import DAY_NS, NS, Clock, ulid
from recorder.record import compact, footers, seal
from recorder.record.journal import sync
from recorder.record.journal.block import RECORD
from recorder.record.journal.writer import Journal, Limits, Reports, Stream
from recorder.record.layout import Layout, run_of
from recorder.record.store import LocalStore

FEED = "toy"
#: A morning long ago, so that its day is closed.
T0 = 20_000 * DAY_NS + 3600 * NS

#: What happens, and a number that decides what is left open in it.
Happened = list[tuple[str, int]]

#: What names a frame, and its content.
Place = tuple[str, int, bytes]

#: What can happen to a record.
EVENTS = ("put", "put", "put", "open", "beat", "fail", "rotate", "back", "seal", "close", "pack")


class World:
    """One run of one feed, written with a clock moved by hand."""

    def __init__(self, root: Path, run: int = 0, now: int = T0) -> None:
        self.layout, self.now = Layout(root), now
        self.run = ulid(T0, bytes([run] * 10))
        self.appended: list[Place] = []
        self.times: list[int] = []
        self._journal = Journal(
            self.layout,
            FEED,
            self.run,
            limits=Limits(),
            clock=Clock(lambda: self.now, lambda: self.now - T0),
            about={"kind": "generic", "schema": "1"},
            reports=Reports(),
        )
        self._streams: list[Stream] = []
        self.do("open", 0)

    def do(self, event: str, dice: int) -> None:
        """Let something happen; `dice` decides what is open in it."""
        happen: dict[str, Callable[[int], None]] = {
            "put": self._put,
            "open": lambda dice: self._open(),
            "beat": lambda dice: self._pulse(None),
            "fail": lambda dice: self._pulse(OSError(5, "Input/output error")),
            "rotate": lambda dice: self._journal.rotate(),
            "back": self._back,
            "seal": self._seal,
            "close": lambda dice: self._close(),
            "pack": self._pack,
        }
        happen[event](dice)

    def let(self, events: Iterable[tuple[str, int]]) -> None:
        """Let these things happen one after the other."""
        for event in events:
            self.do(*event)

    def settle(self) -> None:
        """Make everything durable, and seal it."""
        self._close()
        assert self.run not in map(run_of, self.layout.active(FEED))

    def _open(self) -> None:
        entropy = self.run[-8:].encode() + bytes([0, len(self._streams)])
        self._streams.append(Stream(ulid(self.now, entropy)))

    def _put(self, dice: int) -> None:
        self.now += 1_000_000
        stream = self._streams[dice % len(self._streams)]
        payloads = [b"%d-%d" % (len(self.appended), index) for index in range(1 + dice % 3)]
        for index, payload in enumerate(payloads):
            self.appended.append((stream.connection, stream.next_seq + index, payload))
            self.times.append(self.now)
        records = [part for p in payloads for part in (RECORD.pack(frame.TEXT, len(p)), p)]
        self._journal.write(stream, self.now, self.now - T0, records, sum(map(len, records)))

    def _pulse(self, failure: OSError | None) -> None:
        jobs = self._journal.pulse()
        self._journal.synced(jobs, failure or sync.run(jobs) if jobs else None)

    def _back(self, dice: int) -> None:
        self.now -= (1 + dice % 3) * NS

    def _seal(self, dice: int) -> None:
        stems = self.layout.active(FEED)
        if stems:
            seal.seal(self.layout, FEED, stems[dice % len(stems)])

    def _close(self) -> None:
        """End all journals and seal them."""
        for _ in range(2):
            self._journal.rotate()
            self._pulse(None)
        assert seal.main([str(self.layout.root)]) == 0

    def _pack(self, dice: int) -> None:
        """The same, and merge the files."""
        self._close()
        done = {stem for _, held in footers.files(self.layout, FEED) for stem in held}
        for day in compact.plan(self.layout, FEED, done, T0 + 3 * DAY_NS, (1 << 12) << dice % 8):
            compact.compact(self.layout, day, level=1)


@dataclass(frozen=True)
class _RestlessStore(LocalStore):
    world: World
    events: deque[tuple[str, int]]

    def _stir(self) -> None:
        if self.events:
            self.world.do(*self.events.popleft())

    def active(self, feed: str) -> list[str]:
        self._stir()
        found = super().active(feed)
        self._stir()
        return found

    def sealed(self, feed: str) -> list[str]:
        self._stir()
        found = super().sealed(feed)
        self._stir()
        return found

    def look(self, feed: str, stem: str) -> Path:
        """Return the path; `fetch` calls this before it looks whether the file is there."""
        self._stir()
        return super().look(feed, stem)

    def fetch(self, feed: str, stem: str) -> Path:
        try:
            return super().fetch(feed, stem)
        finally:
            self._stir()


def restless(world: World, events: deque[tuple[str, int]]) -> Layout:
    """A record where something happens whenever a reader asks for a file or a list of files."""
    plain = world.layout
    return Layout(plain.root, _RestlessStore(plain.journals, plain.raw, world, events))


def places(tables: Iterator[pa.Table]) -> Iterator[Place]:
    """Yield what the frames of these tables are."""
    for table in tables:
        columns = (table[name].to_pylist() for name in ("connection", "seq", "payload"))
        yield from zip(*columns, strict=True)

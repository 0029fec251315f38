"""A journal as capture writes it, with a clock moved by hand."""

from __future__ import annotations

import json
import os
from pathlib import Path
from random import Random

from recorder import frame
from recorder.clock import Clock, ulid
from recorder.record import seal
from recorder.record.journal import sync
from recorder.record.journal.block import RECORD
from recorder.record.journal.writer import Journal, Limits, Reports, Stream
from recorder.record.layout import Layout

from .frames import MS, T0, events


class Writer:
    """One feed of one run; every write moves the clock by 1 ms."""

    def __init__(
        self, root: Path, feed: str, *, now: int = T0, rotate_bytes: int = 1 << 30
    ) -> None:
        self.layout, self.feed, self.now = Layout(root), feed, now
        self.lines: dict[str, str] = {}
        self.journal = Journal(
            self.layout,
            feed,
            ulid(now, os.urandom(10)),
            limits=Limits(rotate_bytes=rotate_bytes),
            clock=Clock(lambda: self.now, lambda: self.now - T0),
            about={"kind": feed},
            reports=Reports(),
        )

    def open(self, line: str = "A", group: str = "all") -> Stream:
        """Begin a connection with its marker; return it."""
        self.now += MS
        stream = Stream(ulid(self.now, os.urandom(10)))
        self.lines[stream.connection] = line
        self.mark(stream, frame.OPEN, line=line, group=group, url="wss://example.org/ws")
        return stream

    def mark(self, stream: Stream, kind: int, **fields: object) -> None:
        """Write a marker with these fields."""
        self.now += MS
        self.journal.mark(stream, kind, json.dumps(fields).encode())

    def close(self, stream: Stream, code: int = 1006, reason: str = "closed 1006") -> None:
        """End a connection with its marker."""
        line = self.lines[stream.connection]
        fields = {"line": line, "group": "all", "opened": True, "heard_ns": self.now}
        self.mark(stream, frame.CLOSED, code=code, reason=reason, **fields)

    def put(self, stream: Stream, *payloads: bytes) -> None:
        """Write frames as one read from the socket."""
        self.now += MS
        parts = [part for p in payloads for part in (RECORD.pack(frame.TEXT, len(p)), p)]
        self.journal.write(stream, self.now, self.now - T0, parts, sum(map(len, parts)))

    def beat(self) -> None:
        """Make everything durable; close the finished journals."""
        jobs = self.journal.pulse()
        self.journal.synced(jobs, sync.run(jobs))

    def finish(self) -> None:
        """End the active journal, so that it can be sealed."""
        self.journal.rotate()
        self.beat()


def seal_all(layout: Layout) -> None:
    """Seal every finished journal."""
    for feed in layout.feeds():
        for stem in layout.active(feed):
            seal.seal(layout, feed, stem)


def eventful(writer: Writer, random: Random, blocks: int) -> None:
    """Write this many blocks on two lines: events, noise, closes, statistics, gaps."""
    streams = {line: writer.open(line) for line in "AB"}
    for number in range(blocks):
        line = random.choice("AB")
        stream = streams[line]
        match random.randrange(40):
            case 0:
                writer.close(stream)
                writer.now += random.randrange(100) * MS
                streams[line] = writer.open(line)
            case 1:
                writer.mark(stream, frame.STATS, heard_ns=writer.now, rtt=0.01, line=line)
            case 2:
                stream.next_seq += 3
                writer.mark(stream, frame.GAP, cause="the disk was full", frames=3)
            case _:
                payloads = random.choices(events(writer.feed, number), k=random.randrange(1, 6))
                writer.put(stream, *payloads)

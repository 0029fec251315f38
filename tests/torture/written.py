"""Journals written as capture writes them, without a socket, with a clock moved by hand."""

from __future__ import annotations

import os
from pathlib import Path
from random import Random

from kit.servers import Message

from recorder import frame
from recorder.clock import NS, Clock, ulid
from recorder.record.journal.block import RECORD
from recorder.record.journal.sync import run
from recorder.record.journal.writer import Journal, Limits, Reports, Stream
from recorder.record.layout import Layout

from .outcome import Talk

T0 = 1_790_000_000 * NS


class Writer:
    """One connection's journal; every block moves the clock by a millisecond."""

    def __init__(
        self, data: Path, feed: str, rotate_bytes: int = 1 << 40, start_ns: int = T0
    ) -> None:
        self.now = start_ns
        self.journal = Journal(
            Layout(data),
            feed,
            ulid(start_ns, os.urandom(10)),
            limits=Limits(rotate_bytes=rotate_bytes),
            clock=Clock(lambda: self.now, lambda: self.now - start_ns),
            about={"kind": feed},
            reports=Reports(),
        )
        self._start_ns = start_ns
        self._stream = Stream(ulid(start_ns, os.urandom(10)))
        self.journal.mark(self._stream, frame.OPEN, b'{"line":"A","group":"all","url":"ws://x/"}')

    def block(self, messages: list[Message]) -> None:
        """One read from the socket."""
        self.now += 1_000_000
        codes = {"text": frame.TEXT, "binary": frame.BINARY}
        parts = [x for kind, p in messages for x in (RECORD.pack(codes[kind], len(p)), p)]
        self.journal.write(
            self._stream, self.now, self.now - self._start_ns, parts, sum(map(len, parts))
        )

    def beat(self) -> None:
        """Make it durable; close what is finished."""
        jobs = self.journal.pulse()
        self.journal.synced(jobs, run(jobs))

    def close(self) -> None:
        """Finish the last journal."""
        self.journal.rotate()
        self.beat()


def write_journals(
    data: Path,
    feed: str,
    dice: Random,
    *,
    frames: int,
    rotate_bytes: int,
    start_ns: int = T0,
    number: int = 0,
) -> Talk:
    """Finished journals of numbered whales' frames; the talk says what is in them."""
    talk, writer = Talk(number), Writer(data, feed, rotate_bytes, start_ns)
    while len(talk.sent) < frames:
        some: list[Message] = []
        for _ in range(min(dice.randrange(1, 60), frames - len(talk.sent))):
            wallet, size = f"0x{dice.getrandbits(160):040x}", dice.randrange(10**9) / 100
            some.append(("text", whale(wallet, size, f"0x{len(talk.sent) + len(some):x}")))
        writer.block(some)
        talk.sent += some
        if dice.random() < 0.05:
            writer.beat()
    writer.close()
    talk.acknowledged = len(talk.sent)
    return talk


def whale(wallet: str, size: float, tx: str) -> bytes:
    """A whale's frame."""
    told = f'"wallet":"{wallet}","asset":"BTC","size_usd":"{size:.2f}","tx":"{tx}"'
    return f'{{"type":"whale_update",{told}}}'.encode()

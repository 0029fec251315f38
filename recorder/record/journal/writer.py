"""The journal's writer: one `write()` per chunk read from a socket, rotation, disk failures.

A `Journal` lives in the event loop's thread and never waits: `pulse` returns the slow work, and
`synced` takes its result. Frames that are written but not yet synced stay in memory. After a failed
sync they are written again into a new file, which is the only safe way: the kernel may have dropped
the pages, and a second fsync would succeed without them.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from recorder import frame
from recorder.clock import DAY_NS, NS, Clock
from recorder.durable import make_directory, try_lock
from recorder.record import layout
from recorder.record.journal.block import ABOUT, RECORD, Buffer, encode, seed
from recorder.record.journal.sync import JournalFile, SyncJob

#: The suffix of a journal that is still being prepared; one left by a crash holds no frame.
UNNAMED = ".new"


@dataclass(slots=True)
class Stream:
    """One connection's place in the journal: its id and the number of its next frame."""

    connection: str
    next_seq: int = 0


@dataclass(frozen=True, slots=True)
class Limits:
    """When a journal is rotated, and how many bytes are kept while the disk refuses them."""

    rotate_bytes: int = 64 << 20
    rotate_ns: int = 300 * NS
    buffer_bytes: int = 64 << 20


@dataclass(frozen=True, slots=True)
class Reports:
    """Functions to call: a journal can be sealed; the disk refuses; it takes frames again."""

    retired: Callable[[], None] = lambda: None
    trouble: Callable[[str], None] = lambda text: None
    recovered: Callable[[str], None] = lambda text: None


class _Entry(NamedTuple):
    """One block's content, kept until it is safe on disk."""

    stream: Stream
    first_seq: int
    recv_ns: int
    mono_ns: int
    records: Sequence[Buffer]
    size: int


@dataclass(slots=True)
class _Lost:
    """Frames of one connection that the full buffer could not take."""

    stream: Stream
    first_seq: int
    since_ns: int
    frames: int = 0


class Journal:
    """The active journal of one feed in one run."""

    def __init__(  # noqa: PLR0913 - wired once, in one place
        self,
        layout: layout.Layout,
        feed: str,
        run: str,
        *,
        limits: Limits,
        clock: Clock,
        about: Mapping[str, object],
        reports: Reports,
    ) -> None:
        self._layout, self._feed, self._run = layout, feed, run
        self._limits, self._clock, self._about, self._reports = limits, clock, about, reports
        self._number = 0
        self._active: JournalFile | None = None
        self._finished: list[JournalFile] = []
        self._unsynced: list[_Entry] = []
        self._in_flight: list[_Entry] = []
        self._doubted: list[JournalFile] = []  # open, so nobody seals them
        self._spill: deque[_Entry] = deque()
        self._lost: dict[str, _Lost] = {}
        self.spilled_bytes = 0
        self.lost_frames = 0
        self.trouble: str | None = None

    @property
    def losing(self) -> bool:
        """True while neither the disk nor the buffer takes frames."""
        return bool(self._lost)

    # -- writing

    def write(
        self, stream: Stream, recv_ns: int, mono_ns: int, records: Sequence[Buffer], size: int
    ) -> None:
        """Append one block. Never raises and never waits: a refusing disk fills the buffer.

        `records` alternates packed RECORD heads and payloads; `size` is their length in bytes.
        """
        entry = _Entry(stream, stream.next_seq, recv_ns, mono_ns, records, size)
        stream.next_seq += len(records) // 2
        if self.trouble is None:
            try:
                self._append(entry)
                return
            except OSError as error:
                self._refused("write", error)
        self._keep_or_lose(entry)

    def mark(self, stream: Stream, kind: int, payload: bytes) -> None:
        """Append one frame that the recorder made, stamped now: a marker, or what it sent."""
        records = (RECORD.pack(kind, len(payload)), payload)
        size = RECORD.size + len(payload)
        self.write(stream, self._clock.wall_ns(), self._clock.mono_ns(), records, size)

    def _append(self, entry: _Entry) -> None:
        file = self._active
        if file is None or entry.recv_ns // DAY_NS != file.day:
            file = self._begin(entry.recv_ns)
        stream, first_seq, recv_ns, mono_ns, records, _ = entry
        block = encode(file.salt, stream.connection, first_seq, recv_ns, mono_ns, records)
        _write_all(file.fd, block)
        file.size += len(block)
        self._unsynced.append(entry)
        if file.size >= self._limits.rotate_bytes:
            self.rotate()

    def _begin(self, recv_ns: int) -> JournalFile:
        self.rotate()
        stem = layout.stem(recv_ns, self._run, self._number + 1)
        path = self._layout.journal(self._feed, stem)
        make_directory(path.parent)
        # Locked before it has its name: a sealer seals and removes an unlocked journal.
        unnamed = path.with_suffix(UNNAMED)
        fd = os.open(unnamed, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
        file = JournalFile(stem, fd, seed(stem), recv_ns // DAY_NS, self._clock.mono_ns())
        replaces = [(doubted.stem, doubted.synced_size) for doubted in self._doubted]
        about = {**self._about, "feed": self._feed, "run": self._run, "replaces": replaces}
        payload = msgspec.json.encode(about)
        head = (RECORD.pack(ABOUT, len(payload)), payload)
        try:
            try_lock(fd)
            block = encode(file.salt, self._run, 0, recv_ns, self._clock.mono_ns(), head)
            _write_all(fd, block)
            unnamed.rename(path)
        except OSError:
            os.close(fd)
            unnamed.unlink(missing_ok=True)
            raise
        file.size = file.head = len(block)
        self._active = file
        self._number += 1  # only now: attempts that fail, however many, leave no hole
        return file

    def rotate(self) -> None:
        """Finish the active journal; the next frame begins another."""
        if self._active is not None:
            self._finished.append(self._active)
            self._active = None

    # -- syncing

    def pulse(self) -> list[SyncJob]:
        """Return what to make durable now; call `synced` with the result before the next pulse.

        Also rotate by age, and retry a refusing disk.
        """
        if self.trouble is not None:
            self._retry()
        active = self._active
        if active and self._clock.mono_ns() - active.opened_mono_ns >= self._limits.rotate_ns:
            self.rotate()
        jobs = [self._job(file, close=True) for file in self._finished]
        self._finished = []
        if self._active is not None and self._active.size > self._active.synced_size:
            jobs.append(self._job(self._active, close=False))
        self._in_flight, self._unsynced = self._unsynced, []
        return jobs

    def _job(self, file: JournalFile, *, close: bool) -> SyncJob:
        directory = None if file.named else self._layout.journal_dir(self._feed)
        return SyncJob(file, file.size, directory, close)

    def synced(self, jobs: Sequence[SyncJob], failure: OSError | None) -> None:
        """Note the result of a pulse's jobs."""
        if failure is None:
            for job in jobs:
                job.file.synced_size, job.file.named = job.covers, True
            self._in_flight = []
        else:
            self._doubt(jobs)
            self._refused("sync", failure)
        if failure is None and any(job.close for job in jobs):
            self._reports.retired()

    def _doubt(self, jobs: Sequence[SyncJob]) -> None:
        """Abandon every file with unsynced frames; queue those to be written again, first."""
        self.rotate()
        files = {job.file.stem: job.file for job in jobs}
        files.update((file.stem, file) for file in self._finished)
        self._doubted += files.values()
        again = [*self._in_flight, *self._unsynced]
        self._spill.extendleft(reversed(again))
        self.spilled_bytes += sum(entry.size for entry in again)
        self._finished, self._in_flight, self._unsynced = [], [], []

    # -- trouble

    def _refused(self, verb: str, error: OSError) -> None:
        self._drop_empty()
        self.rotate()  # what the active file holds is synced as usual, its torn tail cut off
        what = f"the disk refuses to {verb} the journal: {error.strerror or error}"
        if self.trouble is None:
            self._reports.trouble(what)
        self.trouble = what

    def _drop_empty(self) -> None:
        """Remove a journal that holds no frame: retries must not pile them up."""
        file = self._active
        if file is not None and file.size == file.head:
            self._layout.journal(self._feed, file.stem).unlink(missing_ok=True)
            os.close(file.fd)
            self._active = None
            self._number -= 1

    def _keep_or_lose(self, entry: _Entry) -> None:
        # Once one frame is lost all are, until the disk takes them again: one gap, not many.
        if self.spilled_bytes + entry.size <= self._limits.buffer_bytes and not self._lost:
            self._spill.append(entry)
            self.spilled_bytes += entry.size
            return
        fresh = _Lost(entry.stream, entry.first_seq, entry.recv_ns)
        lost = self._lost.setdefault(entry.stream.connection, fresh)
        lost.frames += len(entry.records) // 2
        self.lost_frames += len(entry.records) // 2

    def _retry(self) -> None:
        """Write the waiting frames, then a marker for those that were lost."""
        try:
            while self._spill:
                self._append(self._spill[0])
                self.spilled_bytes -= self._spill.popleft().size
        except OSError as error:
            self._refused("write", error)
            return
        self.trouble = None
        self._release()
        lost, self._lost = self._lost, {}
        for what in lost.values():
            gap = {
                "cause": "the disk refused and the buffer was full",
                "first_seq": what.first_seq,
                "frames": what.frames,
                "from_ns": what.since_ns,
            }
            self.mark(what.stream, frame.GAP, msgspec.json.encode(gap))
        frames = sum(what.frames for what in lost.values())
        self._reports.recovered(f"{frames} frames were lost" if frames else "nothing was lost")

    def _release(self) -> None:
        """Unlock the abandoned files: they can be sealed up to where another journal continues."""
        doubted, self._doubted = self._doubted, []
        for file in doubted:
            os.close(file.fd)
        if doubted:
            self._reports.retired()


def _write_all(fd: int, data: bytes) -> None:
    """Write all bytes, usually with one `write()`; a full disk takes a part, then raises."""
    written = os.write(fd, data)
    while written < len(data):
        written += os.write(fd, data[written:])

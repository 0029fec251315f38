"""Heads: what each run of a feed has sealed, written down apart from the sealed files.

    <data_dir>/heads/<feed>/<run>.jsonl      one line per run, then one per segment
    <data_dir>/heads/<feed>/pruned.jsonl     one line per segment that was removed on purpose
    <data_dir>/heads/<feed>/dropped.jsonl    one line per file that only a bucket has by now

The first line of a run's head names the run of the feed on this host that it follows, with that
run's last link and whether it was still alive. Each further line holds a segment's number, rows,
digest and the frame numbers of its connections. Every line carries a link: SHA-256 over the link of
the line before it and over its own words, so that no line can be changed, dropped or moved unseen.
The last link is the run's state; the next run's first line repeats it. Segments are in the order of
sealing: that of their numbers, but for a journal that was put back later.

Lines are appended and synced before a journal is deleted. What a crash leaves of a last line is cut
off when the next one is written.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import msgspec

from recorder import durable
from recorder.errors import DataError
from recorder.frame import FEED_NAME
from recorder.record.layout import Layout, is_stem, number_of, run_of
from recorder.record.store import directories

#: The version of these lines; fields that a reader does not know are kept in the link's words.
VERSION = 1

PRUNED = "pruned.jsonl"
DROPPED = "dropped.jsonl"

#: How the name of a copy of removals begins.
_REMOVALS = "pruned-"


class Follows(msgspec.Struct, frozen=True, omit_defaults=True):
    """The run before this one: its name, where it stood, and whether it still lived."""

    run: str
    segments: int
    link: str
    lives: bool = False


class Begin(msgspec.Struct, frozen=True, tag="begin", tag_field="line", omit_defaults=True):
    """The first line of a run's head."""

    feed: str
    run: str
    host: str = ""
    kind: str = ""
    recorder: str = ""
    """The version of the program that recorded it."""
    follows: Follows | None = None
    version: int = VERSION


class Segment(msgspec.Struct, frozen=True, tag="segment", tag_field="line", omit_defaults=True):
    """One sealed segment: how many frames, between which times (ns), and their digest.

    `connections` has the first number of each connection's frames and the number behind the last.
    `damaged` counts bytes of the journal that held no good block.
    """

    stem: str
    rows: int
    digest: str
    first_ns: int | None = None
    last_ns: int | None = None
    connections: dict[str, tuple[int, int]] = {}
    damaged: int = 0


class Pruned(msgspec.Struct, frozen=True, tag="pruned", tag_field="line", omit_defaults=True):
    """One segment whose raw frames were removed on purpose."""

    stem: str
    rows: int
    at_ns: int
    connections: dict[str, tuple[int, int]] = {}


class Dropped(msgspec.Struct, frozen=True, tag="dropped", tag_field="line", omit_defaults=True):
    """One sealed file that was removed here because a bucket at `url` has it."""

    stem: str
    url: str
    at_ns: int


Line = Begin | Segment | Pruned | Dropped

_encoder = msgspec.json.Encoder(order="sorted")
_decoder = msgspec.json.Decoder(Line)


def link_of(previous: str, words: bytes) -> str:
    """Return the link of a line: of the link before it and its own words."""
    return hashlib.sha256(previous.encode() + b"\n" + words).hexdigest()


def encode(line: Line, previous: str) -> tuple[bytes, str]:
    """Return a line's bytes, its end of line included, and its link."""
    words = _encoder.encode(line)
    link = link_of(previous, words)
    return b'{"link":"%s","says":%s}\n' % (link.encode(), words), link


class _Row(msgspec.Struct):
    link: str
    says: msgspec.Raw


@dataclass(slots=True)
class Head:
    """A run's head: its first line, its segments in order, and its last link."""

    run: str
    begin: Begin | None = None
    segments: list[Segment] = field(default_factory=list)
    stems: dict[str, Segment] = field(default_factory=dict)
    """The segments by their stem."""
    link: str = ""
    links: set[str] = field(default_factory=set)
    """The links of all its lines: where it stood after each of them."""
    bytes: int = 0
    """How far the file is whole."""
    faults: list[str] = field(default_factory=list)
    """What does not hold together, in words."""

    @property
    def numbers(self) -> dict[int, Segment]:
        """The segments by their number within the run."""
        return {number_of(one.stem): one for one in self.segments}


def parse(run: str, data: bytes) -> Head:
    """Read the lines of a run's head; whatever does not hold together is among its `faults`."""
    head, seen = Head(run), set[int]()
    for number, text in enumerate(data.split(b"\n"), 1):
        if not text:
            continue
        if head.bytes + len(text) >= len(data):  # without an end: cut off by a crash
            break
        line = _line(head, number, text)
        head.bytes += len(text) + 1
        if isinstance(line, Begin):
            head.begin = line
            if line.run != run or number != 1:
                head.faults.append(f"line {number} begins run {line.run}")
        elif isinstance(line, Segment):
            head.segments.append(line)
            head.stems[line.stem] = line
            if run_of(line.stem) != run or number_of(line.stem) in seen:
                head.faults.append(f"line {number}: segment {line.stem} is out of its place")
            seen.add(number_of(line.stem))
    if head.begin is None:
        head.faults.append("its first line is missing")
    return head


def _line(head: Head, number: int, text: bytes) -> Line | None:
    try:
        row = msgspec.json.decode(text, type=_Row)
        line = _decoder.decode(row.says)
        if not isinstance(line, Begin) and not is_stem(line.stem):
            raise ValueError
    except (msgspec.DecodeError, ValueError):
        head.faults.append(f"line {number} cannot be read")
        return None
    if row.link != link_of(head.link, bytes(row.says)):
        head.faults.append(f"line {number} does not follow the line before it")
    head.link = row.link
    head.links.add(row.link)
    return line


# -- files


def path_of(layout: Layout, feed: str, run: str) -> Path:
    """Return the path of a run's head."""
    return layout.heads / feed / f"{run}.jsonl"


def runs(layout: Layout, feed: str) -> list[str]:
    """Return the runs of a feed that have a head here, oldest first: their names sort by time."""
    names = (path.stem for path in (layout.heads / feed).glob("*.jsonl") if path.is_file())
    return sorted(name for name in names if f"{name}.jsonl" not in {PRUNED, DROPPED})


def copies(layout: Layout, feed: str) -> dict[str, bytes]:
    """Return the whole lines of a feed's heads and removals, under names that no host shares."""
    lines = {}
    for path in sorted(one for one in (layout.heads / feed).glob("*.jsonl") if one.is_file()):
        data = path.read_bytes()
        data = data[: data.rfind(b"\n") + 1]
        if data and path.name == PRUNED:
            link = hashlib.sha256(data[: data.index(b"\n")]).hexdigest()
            lines[f"{_REMOVALS}{link[:16]}"] = data
        elif data and path.name != DROPPED:
            lines[path.stem] = data
    return lines


def removals(name: str, data: bytes) -> list[Pruned]:
    """Return the removals in a copy of this name; none if it is the copy of a head."""
    if not name.startswith(_REMOVALS):
        return []
    return [line for line in _linked(data) if isinstance(line, Pruned)]


def feeds(layout: Layout) -> list[str]:
    """Return the feeds that have heads here, sorted."""
    return sorted(filter(FEED_NAME.fullmatch, directories(layout.heads)))


def read(layout: Layout, feed: str, run: str) -> Head | None:
    """Return a run's head; None if there is none."""
    try:
        return parse(run, path_of(layout, feed, run).read_bytes())
    except FileNotFoundError:
        return None


def digest_of(layout: Layout, feed: str, stem: str) -> str | None:
    """Return the digest that a segment was sealed with; None where the head does not know it."""
    run, number = run_of(stem), number_of(stem)
    end = _end(path_of(layout, feed, run))
    if not isinstance(end.line, Segment) or number_of(end.line.stem) < number:
        return None  # the ordinary case, without reading the whole head
    head = read(layout, feed, run)
    known = head.numbers.get(number) if head is not None else None
    return None if known is None else known.digest


def pruned(layout: Layout, feed: str) -> list[Pruned]:
    """Return what was removed of a feed on purpose; lines that cannot be read are left out."""
    return [line for line in _lines(layout, feed, PRUNED) if isinstance(line, Pruned)]


def dropped(layout: Layout, feed: str) -> list[Dropped]:
    """Return what only a bucket has of a feed; lines that cannot be read are left out."""
    return [line for line in _lines(layout, feed, DROPPED) if isinstance(line, Dropped)]


def _lines(layout: Layout, feed: str, name: str) -> Iterator[Line]:
    """Yield the lines of a file whose links hold; the others prove nothing."""
    try:
        data = (layout.heads / feed / name).read_bytes()
    except FileNotFoundError:
        return
    yield from _linked(data)


def _linked(data: bytes) -> Iterator[Line]:
    link = ""
    for text in data.split(b"\n")[:-1]:
        try:
            row = msgspec.json.decode(text, type=_Row)
            line = _decoder.decode(row.says)
        except msgspec.DecodeError:
            return
        if row.link != link_of(link, bytes(row.says)):
            return
        link = row.link
        yield line


@contextmanager
def claimed(layout: Layout, feed: str) -> Iterator[None]:
    """Hold the lock of a feed's heads; waits while another process seals this feed."""
    path = layout.heads / feed / ".lock"
    durable.make_directory(path.parent)
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        durable.lock(fd)
        yield
    finally:
        os.close(fd)


class Origin(NamedTuple):
    """Where a run was recorded: host, kind of feed, and the version of the program."""

    host: str = ""
    kind: str = ""
    recorder: str = ""


def note_sealed(
    layout: Layout, feed: str, segment: Segment, origin: Origin, *, lives: bool
) -> None:
    """Write a sealed segment into its run's head, where it is not there yet.

    `lives` says whether the run before it is still being written. The caller holds the lock of
    `claimed`.

    Raises:
        DataError: the head knows this segment by another digest.
    """
    run = run_of(segment.stem)
    path = path_of(layout, feed, run)
    end = _end(path)
    if not end.size:
        follows = _follows(layout, feed, run, lives=lives)
        end = _append(path, Begin(feed, run, *origin, follows=follows), end)
    elif isinstance(end.line, Segment) and number_of(end.line.stem) >= number_of(segment.stem):
        known = digest_of(layout, feed, segment.stem)
        if known is not None and known != segment.digest:
            what = "the head of its run has another digest for it"
            raise DataError(what, where=f"{path}: {segment.stem}")
        if known is not None:
            return
    _append(path, segment, end)


def _follows(layout: Layout, feed: str, run: str, *, lives: bool) -> Follows | None:
    """Return the newest run of this feed before `run` in this directory, with its last link."""
    for name in reversed([name for name in runs(layout, feed) if name < run]):
        end = _end(path_of(layout, feed, name))
        if end.line is not None:
            number = number_of(end.line.stem) if isinstance(end.line, Segment) else 0
            return Follows(name, number, end.link, lives)
    return None


def note_pruned(layout: Layout, feed: str, lines: Iterable[Pruned]) -> None:
    """Write down, durably, which segments are about to be removed on purpose."""
    _note(layout.heads / feed / PRUNED, lines)


def note_dropped(layout: Layout, feed: str, lines: Iterable[Dropped]) -> None:
    """Write down, durably, which files are about to be removed here because a bucket has them."""
    _note(layout.heads / feed / DROPPED, lines)


def _note(path: Path, lines: Iterable[Line]) -> None:
    end = _end(path)
    for line in lines:
        end = _append(path, line, end)


class _End(NamedTuple):
    """Where the whole lines of a file end, the last of them, and its link."""

    size: int = 0
    link: str = ""
    line: Line | None = None


def _append(path: Path, line: Line, end: _End) -> _End:
    """Write one line where the whole lines end, and make it durable."""
    durable.make_directory(path.parent)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)
    try:
        data, link = encode(line, end.link)
        os.ftruncate(fd, end.size)
        os.pwrite(fd, data, end.size)
        durable.sync(fd)
    finally:
        os.close(fd)
    if not end.size:
        durable.sync_directory(path.parent)
    return _End(end.size + len(data), link, line)


def _end(path: Path) -> _End:
    """Find the last whole line of a file, reading from its end."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return _End()
    with file:
        size, width = os.fstat(file.fileno()).st_size, 1 << 14
        while True:
            begin = max(size - width, 0)
            data = os.pread(file.fileno(), size - begin, begin)
            whole = data.rfind(b"\n") + 1
            last = data.rfind(b"\n", 0, max(whole - 1, 0)) + 1
            if last or not begin:
                break
            width *= 2
    head = parse("", b"")
    line = _line(head, 0, data[last:whole].rstrip(b"\n")) if whole else None
    return _End(begin + whole, head.link, line)

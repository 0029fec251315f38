"""The record as an iterator of frames, synchronous or asynchronous, at any speed."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from typing import Any, NamedTuple

import pyarrow as pa

from recorder.coding import text_of
from recorder.errors import ConfigError, UsageError, did_you_mean
from recorder.feeds import coding_of
from recorder.feeds import feed as feed_of
from recorder.player.cover import Cover, CoverNote, lost_journals
from recorder.player.merge import before, merged
from recorder.player.run import runs
from recorder.player.silence import nothing_recorded
from recorder.player.timeline import MAX, Timeline
from recorder.record.layout import Layout
from recorder.record.merge import numbers
from recorder.record.read import kind_of
from recorder.service import Service
from recorder.services import service as service_of
from recorder.stream.span import Gap, Span

#: Rows that are Python objects at a time.
_ROWS = 2048

RECEIVED = frozenset({"text", "binary"})


class Played(NamedTuple):
    """One row of the raw record, and whose it is."""

    recv_ns: int  # wall clock, ns since epoch UTC
    mono_ns: int
    seq: int  # number on its connection; -1: a gap that the replay found
    connection: str
    kind: str  # text, binary, sent; open, closed, stats, gap, instruments
    payload: bytes  # exact bytes; markers hold JSON
    feed: str


_new: Callable[[Iterable[Any]], Played] = partial(tuple.__new__, Played)

#: Returns the channels that carry a frame; empty: unknown.
ChannelsOf = Callable[[bytes], Sequence[str]]


@dataclass(frozen=True, slots=True)
class Replay:
    """Frames of the record, in the order of `merge`; it can be iterated repeatedly.

    Gaps come in place as frames of kind `gap` (JSON: feed, line, from_ns, to_ns, cause) before the
    frame that ends them, beside the record's own markers.
    """

    layout: Layout
    feeds: tuple[str, ...]
    span: Span = field(default_factory=Span)
    speed: float = MAX
    channels: frozenset[str] = frozenset()  # empty: all
    channels_of: dict[str, ChannelsOf] = field(default_factory=dict)  # by feed

    def __iter__(self) -> Iterator[Played]:
        parts = self._parts()
        if self.speed == MAX:
            return chain.from_iterable(parts)
        return _paced(chain.from_iterable(parts), self.speed)

    async def __aiter__(self) -> AsyncIterator[Played]:
        """Yield the same frames; read in a thread, so that other tasks run meanwhile."""
        parts = self._parts()
        timeline = Timeline(time.monotonic, self.speed)
        while frames := await asyncio.to_thread(_several, parts):
            for frame in frames:
                wait = _due(timeline, frame.recv_ns)
                if wait > 0:
                    await asyncio.sleep(wait)
                yield frame
            await asyncio.sleep(0)

    def _parts(self) -> Iterator[Iterable[Played]]:
        found = runs(self.layout, self.feeds, self.span)
        names = [run.feed for run in found]
        ended: set[int] = set()
        cover = Cover(names, ended, lost_journals(self.layout, self.feeds, self.span))
        for batch in before(found, self.span):
            cover.look(batch)
        empty = True
        for batch in _ahead(merged(found, self.span, ended)):
            empty = False
            notes = cover.look(batch)
            start = 0
            for note in notes:
                if note.gap is not None:
                    yield from self._frames(batch.slice(start, note.row - start), names)
                    yield [_gap_frame(batch, note, note.gap)]
                    start = note.row
            yield from self._frames(batch.slice(start), names)
        if empty:
            raise nothing_recorded(self.layout, self.feeds, self.span)

    def _frames(self, batch: pa.RecordBatch, names: Sequence[str]) -> Iterator[Iterable[Played]]:
        for start in range(0, len(batch), _ROWS):
            frames = map(_new, rows(batch.slice(start, _ROWS), names))
            yield filter(self._wanted, frames) if self.channels else frames

    def _wanted(self, frame: Played) -> bool:
        if frame.kind not in RECEIVED:
            return True
        return not self.channels.isdisjoint(self.channels_of[frame.feed](frame.payload))


def _ahead(source: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Yield the same batches, each read by a thread while the previous one is used."""
    with ThreadPoolExecutor(1, "replay") as reader:
        task = reader.submit(next, source, None)
        while (batch := task.result()) is not None:
            task = reader.submit(next, source, None)
            yield batch


def rows(batch: pa.RecordBatch, names: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    """Return a batch's rows as tuples with the fields of `Played`."""
    recv, mono, seq, connection, kind, payload = batch.columns[:6]
    feeds = _words(batch.column("run"), names)
    return zip(
        numbers(recv).tolist(),
        numbers(mono).tolist(),
        numbers(seq).tolist(),
        _words(connection),
        _words(kind),
        payload.to_pylist(),
        feeds,
        strict=True,
    )


def _words(column: pa.Array, names: Sequence[str] | None = None) -> Iterable[str]:
    """Return a column of few distinct strings, each decoded once."""
    coded = column.dictionary_encode()
    words: list[Any] = coded.dictionary.to_pylist()
    if names is not None:
        words = [names[number] for number in words]
    if len(words) == 1:
        return words * len(column)
    spelt: Iterator[str] = map(words.__getitem__, coded.indices.to_pylist())
    return spelt


def _gap_frame(batch: pa.RecordBatch, note: CoverNote, gap: Gap) -> Played:
    """Return a gap as a frame at the time of the row that ends it."""
    fields = {"line": gap.line, "from_ns": gap.from_ns, "to_ns": gap.to_ns, "cause": gap.cause}
    recv, mono = batch.column(0)[note.row].as_py(), batch.column(1)[note.row].as_py()
    name = batch.column(3)[note.row].as_py()
    return Played(recv, mono, -1, name, "gap", json.dumps(fields).encode(), gap.feed)


def _several(parts: Iterator[Iterable[Played]]) -> list[Played]:
    """Return the next frames, up to a few thousand; empty at the end."""
    for part in parts:
        frames = list(part)
        if frames:
            return frames
    return []


def _due(timeline: Timeline, recv_ns: int) -> float:
    if not timeline.started:
        timeline.start(recv_ns)
    return timeline.wait(recv_ns)


def _paced(frames: Iterator[Played], speed: float) -> Iterator[Played]:
    timeline = Timeline(time.monotonic, speed)
    for frame in frames:
        wait = _due(timeline, frame.recv_ns)
        if wait > 0:
            time.sleep(wait)
        yield frame


def chosen(layout: Layout, feeds: Sequence[str] | None) -> tuple[str, ...]:
    """Return the named feeds, or all recorded ones.

    Raises:
        UsageError: a feed was never recorded, or nothing was.
    """
    known = layout.feeds()
    if not known:
        hint = "record something first: recorder capture, or recorder demo"
        raise UsageError("nothing is recorded here", where=str(layout.root), hint=hint)
    for name in feeds or ():
        if name not in known:
            raise UsageError(f"no feed '{name}' in the record", hint=did_you_mean(name, known))
    return tuple(dict.fromkeys(feeds or known))


def speed_of(value: str | float) -> float:
    """Return a speed: `max`, or a multiple of the recorded speed.

    Raises:
        UsageError: the value is neither.
    """
    try:
        speed = MAX if value == "max" else float(value)
    except ValueError:
        speed = 0.0
    if not speed > 0:
        raise UsageError(
            f"'{value}' is not a speed", hint="max, or a number above 0: 1 is as recorded"
        )
    return speed


def codings(layout: Layout, feeds: Sequence[str]) -> dict[str, str | None]:
    """Return how the service of each recorded feed packs its frames."""
    return {name: coding_of(kind_of(layout, name) or name) for name in feeds}


def services(layout: Layout, feeds: Sequence[str]) -> dict[str, Service]:
    """Return how the service of each recorded feed treats its clients.

    Raises:
        ConfigError: a package offers a service that cannot be used.
    """
    return {name: _service(kind_of(layout, name) or name) for name in feeds}


def _service(kind: str) -> Service:
    service = service_of(kind)
    try:
        feed = feed_of(kind)
    except ConfigError:  # a plug-in that is not installed here
        return service
    return replace(service, stamped=feed.stamped, coding=feed.coding)


def _channels_of(service: Service, payload: bytes) -> Sequence[str]:
    return service.channels(text_of(service.coding, payload)) if service.channels else ()


def replay(
    layout: Layout,
    feeds: Sequence[str] | None,
    channels: Sequence[str] | None,
    span: Span,
    speed: str | float,
) -> Replay:
    """Return a replay of the record; iterating it reads the frames.

    Raises:
        UsageError: an unknown feed, a wrong speed, or channels for a feed without channels.
    """
    names, pace = chosen(layout, feeds), speed_of(speed)
    channels_of: dict[str, ChannelsOf] = {}
    for name, service in services(layout, names).items() if channels else ():
        if service.channels is None:
            hint = "leave the channels out, or this feed: every frame of it comes"
            raise UsageError(f"frames of '{name}' name no channels", hint=hint)
        channels_of[name] = partial(_channels_of, service)
    return Replay(layout, names, span, pace, frozenset(channels or ()), channels_of)

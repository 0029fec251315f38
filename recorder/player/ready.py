"""Stretches of one feed's record, ready to be sent: encoded frames, and notes between them."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from recorder.clock import NS
from recorder.coding import encoded, text_of
from recorder.feed import key_of
from recorder.player.cover import Cover, CoverNote, lost_journals
from recorder.player.merge import before, merged
from recorder.player.run import RecordedRun
from recorder.player.wire import Wire
from recorder.player.wire import encoded as wire_of
from recorder.record.merge import numbers
from recorder.service import Service
from recorder.stream.span import Span

_ROWS = 4096
_RECEIVED = pa.array(["text", "binary"])

#: Copies of a frame on two lines arrive within this time of each other.
_QUIET_NS = 60 * NS


@dataclass(slots=True)
class Ready:
    """Some rows of one feed. `at` are the times of the frames to send, in order."""

    at: memoryview
    last: int  # the time of the last row, sent or not
    payloads: pa.Array
    wire: Wire
    notes: list[tuple[int, CoverNote]]  # by time
    service: Service
    _channels: list[Sequence[str]] | None = field(default=None)

    def count(self, until: int) -> int:
        """Return how many frames are due at `until`."""
        return bisect_right(self.at, until)

    def channels(self) -> list[Sequence[str]]:
        """Return the channels that carry each frame; computed at the first call."""
        if self._channels is None:
            ask, coding = self.service.channels or (lambda text: ()), self.service.coding
            self._channels = [ask(text_of(coding, each)) for each in self.payloads.to_pylist()]
        return self._channels

    def text(self, place: int) -> bytes:
        """Return the text of a frame."""
        return text_of(self.service.coding, self.payloads[place].as_py())


class Repeats:
    """Detects frames of overlapping connections that are copies of frames already sent.

    It counts like ingest: the second time that a connection receives some bytes is the same event
    as the second time that another one receives them, without what is `stamped` on each copy.
    Packed frames are equal if their texts are.
    """

    def __init__(self, service: Service) -> None:
        self._stamped, self._coding = service.stamped, service.coding
        self._now: dict[tuple[str, bytes], int] = {}
        self._old: dict[tuple[str, bytes], int] = {}
        self._turned = 0

    def fresh(self, connection: str, payload: bytes, at: int) -> bool:
        """Return True for a frame that no other connection received before."""
        payload = key_of(text_of(self._coding, payload), self._stamped)
        if at - self._turned > _QUIET_NS:
            self._old, self._now, self._turned = self._now, {}, at
        times = self._times(connection, payload) + 1
        self._now[connection, payload] = times
        if times <= self._times("", payload):
            return False
        self._now["", payload] = times
        return True

    def _times(self, connection: str, payload: bytes) -> int:
        key = (connection, payload)
        return self._now.get(key) or self._old.get(key, 0)


def stretches(
    runs: Sequence[RecordedRun], span: Span, service: Service, shift_ns: int = 0
) -> Iterator[Ready]:
    """Yield one feed's rows of a span, in order, a few thousand at a time.

    Raises:
        DataError: a file is damaged, or was written by a newer version.
    """
    ended: set[int] = set()
    names = [run.feed for run in runs]
    lost = lost_journals(runs[0].layout, sorted({*names}), span) if runs else {}
    cover = Cover(names, ended, lost)
    repeats = Repeats(service)
    for batch in before(runs, span):
        cover.look(batch)
    for batch in merged(runs, span, ended):
        for start in range(0, len(batch), _ROWS):
            rows = batch.slice(start, _ROWS)
            overlapping = cover.overlapping()
            notes = cover.look(rows)
            overlapping |= cover.overlapping()
            yield _ready(rows, notes, service, _sent(rows, service, overlapping, repeats), shift_ns)


def _sent(
    rows: pa.RecordBatch, service: Service, overlapping: set[str], repeats: Repeats
) -> pa.Array:
    """Return the mask of rows to send: received frames except answers to requests, and copies."""
    mask = pc.is_in(rows.column("kind"), value_set=_RECEIVED)
    if service.own is not None:
        answers = pc.match_substring_regex(_texts(rows.column("payload"), service), service.own)
        mask = pc.and_(mask, pc.invert(answers))
    if not overlapping:
        return mask
    at, names = numbers(rows.column("at")), rows.column("connection").to_pylist()
    kept = mask.to_pylist()
    for i, payload in enumerate(rows.column("payload").to_pylist()):
        if kept[i] and names[i] in overlapping:
            kept[i] = repeats.fresh(names[i], payload, at[i])
    return pa.array(kept)


def _texts(payloads: pa.Array, service: Service) -> pa.Array:
    if service.coding is None:
        return payloads
    texts = [text_of(service.coding, payload) for payload in payloads.to_pylist()]
    return pa.array(texts, pa.binary())


def _ready(
    rows: pa.RecordBatch, notes: list[CoverNote], service: Service, mask: pa.Array, shift_ns: int
) -> Ready:
    at = numbers(rows.column("at"))
    kept = rows.filter(mask)
    payloads = kept.column("payload")
    if shift_ns and service.times:
        times = pattern_of(service.times)
        moved = [_moved_by(p, times, shift_ns, service.coding) for p in payloads.to_pylist()]
        payloads = pa.array(moved, pa.binary())
    wire = wire_of(payloads, pc.equal(kept.column("kind"), "binary"))
    timed = [(at[note.row], note) for note in notes]
    places = numbers(kept.column("at")) if len(kept) else memoryview(b"").cast("q")
    return Ready(places, at[-1], payloads, wire, timed, service)


# -- times inside frames


def pattern_of(names: Sequence[str]) -> re.Pattern[bytes]:
    """Return the pattern of the values of these fields, which hold times."""
    which = "|".join(map(re.escape, names)).encode()
    moment = rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?Z"
    return re.compile(rb'("(?:' + which + rb')"\s*:\s*"?)(\d{10,19}|' + moment + rb")(?![\d.])")


def shifted(payload: bytes, times: re.Pattern[bytes], by_ns: int) -> bytes:
    """Return a frame with its times shifted; a number's digits show its unit."""
    return times.sub(lambda found: found[1] + _moved(found[2], by_ns), payload)


def _moved_by(payload: bytes, times: re.Pattern[bytes], by_ns: int, coding: str | None) -> bytes:
    """Return a frame with its times shifted, packed like the original; a broken one unchanged."""
    text = text_of(coding, payload)
    if text is payload:
        return shifted(payload, times, by_ns)
    return encoded(coding, shifted(text, times, by_ns))


def _moved(value: bytes, by_ns: int) -> bytes:
    if value.isdigit():
        unit = 10 ** (9 - 3 * min((len(value) - 10) // 3, 3))
        return b"%d" % (int(value) + by_ns // unit)
    moment = datetime.fromisoformat(value.decode().replace("Z", "+00:00"))
    try:
        later = moment + timedelta(microseconds=by_ns // 1000)
    except OverflowError:
        return value
    return later.isoformat(timespec="milliseconds").replace("+00:00", "Z").encode()

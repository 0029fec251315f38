"""The footers of sealed files: what is known of a file before a frame is read.

A merged file holds several segments of a day, in order. It bears the name of the first one, and its
footer lists them all, so that the ledger, a rebuild and a verification know each of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from recorder.errors import DataError
from recorder.record.layout import Layout, is_stem
from recorder.record.sealed import CHECKSUM, Source, columns, parquet_file, sealed_file
from recorder.schema.raw import RAW, check_version

K = TypeVar("K")
V = TypeVar("V")

#: The metadata key of a merged file's segments: JSON, a list of [stem, rows, first ns, last ns].
SEGMENTS = "recorder.segments"

#: The most files that are remembered.
_MOST = 10_000


class Held(NamedTuple):
    """A segment within a merged file: its frames, and the times (ns) of the first and the last."""

    stem: str
    rows: int
    first_ns: int
    last_ns: int


@dataclass(frozen=True, slots=True)
class Footer:
    """The footer of a Parquet file; `ours` is False if it is not a sealed file."""

    ours: bool
    rows: int
    bytes: int
    """Its size before compression."""
    span: tuple[int, int] | None
    """The smallest and the largest receive time (ns) by its statistics."""
    kind: str
    """The kind of its feed."""
    held: tuple[Held, ...]
    """The segments in it; empty if it holds a single segment."""
    checksum: str | None
    about: Mapping[str, str]
    """What it says of its origin: feed, kind, run, host, recorder; only what is there."""


def footer(source: Source) -> Footer:
    """Read a file's footer.

    Raises:
        DataError: the file is damaged, or is not Parquet.
        FileNotFoundError: it is gone.
    """
    with parquet_file(source) as file:
        about, text = file.metadata, file.metadata.metadata or {}
        ours = file.schema_arrow.equals(RAW)
        try:
            check_version(text, source)
        except DataError:
            ours = False
        groups = [about.row_group(index) for index in range(about.num_row_groups)]
        checksum = text.get(CHECKSUM.encode())
        return Footer(
            ours,
            int(about.num_rows),
            sum(int(group.total_byte_size) for group in groups),
            _span([group.column(0) for group in groups]),
            text.get(b"recorder.kind", b"").decode("utf-8", "replace"),
            segments_of(text, str(source)),
            None if checksum is None else checksum.decode("utf-8", "replace"),
            _about(text),
        )


def _about(text: Mapping[bytes, bytes]) -> dict[str, str]:
    keys = {name: f"recorder.{name}".encode() for name in ("feed", "kind", "run", "host")}
    keys["recorder"] = b"recorder.version"
    return {name: text[key].decode("utf-8", "replace") for name, key in keys.items() if key in text}


def _span(columns: Sequence[pq.ColumnChunkMetaData]) -> tuple[int, int] | None:
    if not columns or any(column.path_in_schema != "recv_ns" for column in columns):
        return None
    known = [column.statistics for column in columns]
    if not all(one is not None and one.has_min_max for one in known):
        return None
    return min(one.min for one in known), max(one.max for one in known)


def opens(source: Source) -> bool:
    """Return True if a file is a sealed file, as far as its footer says."""
    try:
        with sealed_file(source):
            return True
    except (DataError, FileNotFoundError):
        return False


def encoded(held: Sequence[Held]) -> str:
    """Return the metadata text that lists these segments."""
    return json.dumps(held)


def segments_of(metadata: Mapping[bytes, bytes] | None, where: str = "") -> tuple[Held, ...]:
    """Return the segments that a file's metadata lists; none for a file of one segment.

    Raises:
        DataError: the list cannot be decoded.
    """
    text = (metadata or {}).get(SEGMENTS.encode())
    if text is None:
        return ()
    try:
        held = tuple(Held(*entry) for entry in json.loads(text))
        if not all(is_stem(one.stem) and one.rows > 0 for one in held):
            raise ValueError
    except (ValueError, TypeError):
        raise DataError("its list of segments cannot be read", where=where) from None
    return held


def stems_in(source: Source, name: str) -> list[str]:
    """Return the stems of all segments that the sealed file `name` holds.

    Of a file that is damaged or gone that is its own name.
    """
    try:
        return [one.stem for one in footer(source).held] or [name]
    except (DataError, FileNotFoundError):
        return [name]


def stems_of(layout: Layout, feed: str, name: str) -> list[str]:
    """Do the same for a layout's sealed file; one in a bucket is not fetched for that."""
    try:
        return stems_in(layout.store.look(feed, name), name)
    except FileNotFoundError:
        return [name]


def files(layout: Layout, feed: str) -> Iterator[tuple[str, list[str]]]:
    """Yield the name of every sealed file of a feed, and the stems of what it holds."""
    for name in layout.sealed(feed):
        yield name, stems_of(layout, feed, name)


# -- footers, remembered


@dataclass(slots=True)
class Footers:
    """Footers of a record's sealed files, each read once: the files do not change."""

    layout: Layout
    _spans: dict[tuple[str, str], tuple[int, int]] = field(default_factory=dict)
    _ended: dict[tuple[str, str], bool] = field(default_factory=dict)

    def span(self, feed: str, stem: str) -> tuple[int, int] | None:
        """Return the receive times (ns) of a file's first and last frame; None if not known yet."""
        if (feed, stem) not in self._spans:
            span = _span_of(self.layout, feed, stem)
            if span is None:
                return None
            _keep(self._spans, (feed, stem), span)
        return self._spans[feed, stem]

    def all_ended(self, feed: str, stem: str) -> bool:
        """Return True if every connection of the file ended in it."""
        if (feed, stem) not in self._ended:
            _keep(self._ended, (feed, stem), _all_ended(self.layout, feed, stem))
        return self._ended[feed, stem]


def _keep(known: dict[K, V], key: K, value: V) -> None:
    if len(known) >= _MOST:
        known.clear()
    known[key] = value


def _span_of(layout: Layout, feed: str, stem: str) -> tuple[int, int] | None:
    try:
        return footer(layout.store.look(feed, stem)).span
    except (DataError, FileNotFoundError):
        return None


def _all_ended(layout: Layout, feed: str, stem: str) -> bool:
    import pyarrow.compute as pc  # slow to load, and sealing needs the rest of this module only

    try:
        table = pa.concat_tables(columns(layout.store.look(feed, stem), ["connection", "kind"]))
    except (DataError, FileNotFoundError):
        return False
    lived = table.filter(pc.not_equal(table["kind"], "instruments"))
    ended = lived.filter(pc.equal(lived["kind"], "closed"))
    return set(pc.unique(lived["connection"]).to_pylist()) == set(ended["connection"].to_pylist())

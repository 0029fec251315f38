"""Checks that the record is exactly what the server sent."""

import hashlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.payloads import NUMBER, PAYLOAD_BYTES, SENT, blocks

_COLUMNS = ["recv_ns", "seq", "connection", "kind", "payload"]


class RecordError(Exception):
    """An error for a record that differs from what was sent."""


def segments(data_dir: Path) -> Iterator[pa.Table]:
    """Yield all frames, one sealed segment after another, in the order of the connection."""
    left = [path.name for path in data_dir.glob("journal/**/*.journal")]
    if left:
        raise RecordError(f"not sealed at the end: {', '.join(left)}")
    paths = sorted(data_dir.glob("raw/**/*.parquet"), key=_first_frame)
    if not paths:
        raise RecordError("no Parquet file was written")
    for path in paths:
        yield pq.ParquetFile(path).read(columns=_COLUMNS).combine_chunks()


def text_frames(data_dir: Path) -> Iterator[pa.Table]:
    """Yield the segments without markers; segments that hold only markers are left out."""
    for table in segments(data_dir):
        text = table.filter(pc.field("kind") == "text")
        if len(text):
            yield text


def check(data_dir: Path, frames: int, *, content: bool) -> None:
    """Raise a RecordError unless frames 0 … `frames` - 1 are there once, in order, without gaps.

    With `content`, also compare every byte: possible if the frames do not hold the current time.
    """
    _check_seq(data_dir)
    connections, expected, digest = set(), 0, hashlib.sha256()
    for table in text_frames(data_dir):
        connections.update(table["connection"].unique().to_pylist())
        _check_run(_numbers(table, NUMBER), expected, "frame")
        expected += len(table)
        for payload in table["payload"].chunks:
            digest.update(_bytes_of(payload))
    if expected != frames:
        raise RecordError(f"{expected} frames recorded, {frames} sent")
    if len(connections) != 1:
        raise RecordError(f"frames of one connection are recorded as {sorted(connections)}")
    if content and digest.digest() != _digest_sent(frames):
        raise RecordError("the recorded bytes differ from those sent")


def receive_span(data_dir: Path) -> tuple[int, int]:
    """Return the first and the last receive timestamp, in ns."""
    spans = [pc.min_max(table["recv_ns"]).as_py() for table in text_frames(data_dir)]
    return min(span["min"] for span in spans), max(span["max"] for span in spans)


def latencies(data_dir: Path) -> list[int]:
    """Return recv_ns - sent_ns of each frame, in ns."""
    return [
        nanoseconds
        for table in text_frames(data_dir)
        for nanoseconds in pc.subtract(table["recv_ns"], _numbers(table, SENT)).to_pylist()
    ]


def _first_frame(path: Path) -> tuple[str, int]:
    row = next(pq.ParquetFile(path).iter_batches(1, columns=["connection", "seq"])).to_pylist()[0]
    return row["connection"], row["seq"]


def _check_seq(data_dir: Path) -> None:
    """Raise a RecordError unless `seq` numbers each connection's frames and markers from 0."""
    following: Counter[str] = Counter()
    for table in segments(data_dir):
        for connection in table["connection"].unique().to_pylist():
            seq = table.filter(pc.field("connection") == connection)["seq"]
            _check_run(seq, following[connection], f"{connection}: seq")
            following[connection] += len(seq)


def _numbers(table: pa.Table, place: slice) -> pa.ChunkedArray:
    digits = pc.binary_slice(table["payload"], place.start, place.stop)
    return digits.cast(pa.string()).cast(pa.int64())


def _check_run(numbers: pa.ChunkedArray, first: int, what: str) -> None:
    """Raise a RecordError unless the numbers are `first`, `first` + 1, …"""
    expected = pa.array(range(first, first + len(numbers)), pa.int64())
    wrong = pc.index(pc.equal(numbers, expected), value=False).as_py()
    if wrong >= 0:
        raise RecordError(f"{what}: expected {first + wrong}; found {numbers[wrong].as_py()}")


def _bytes_of(payload: pa.Array) -> bytes:
    if not pc.all(pc.equal(pc.binary_length(payload), PAYLOAD_BYTES)).as_py():
        raise RecordError(f"a payload is not {PAYLOAD_BYTES} bytes long")
    return b"".join(payload.to_pylist())


def _digest_sent(frames: int) -> bytes:
    digest = hashlib.sha256()
    for block in blocks(frames, header=b""):
        digest.update(block)
    return digest.digest()

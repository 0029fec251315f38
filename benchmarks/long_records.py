"""Sealed records of any length, for benchmarks of their readers."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.payloads import HEADER, stamped_frame
from recorder.clock import NS, ulid
from recorder.record import seal
from recorder.record.layout import Layout, stem
from recorder.schema.raw import RAW

START = 1_790_000_000 * NS
PER_FILE = 200_000


def make(root: Path, frames: int, gap_ns: int) -> int:
    """Seal a record of one connection; return the bytes of its frames on the wire."""
    run, connection = ulid(START, bytes(10)), ulid(START, b"\1" * 10)
    total = 0
    for number, first in enumerate(range(0, frames, PER_FILE), 1):
        path = Layout(root).parquet("bench", stem(START + first * gap_ns, run, number))
        parts = []
        for begin in range(first, min(first + PER_FILE, frames), 20_000):
            seqs = range(begin, min(begin + 20_000, first + PER_FILE, frames))
            payloads = [stamped_frame(seq, START)[len(HEADER) :] for seq in seqs]
            total += sum(len(p) + (2 if len(p) < 126 else 4) for p in payloads)
            times = [START + seq * gap_ns for seq in seqs]
            columns = [times, [t - START for t in times], list(seqs), [connection] * len(seqs)]
            columns += [["text"] * len(seqs), payloads]
            arrays = [pa.array(c, f.type) for c, f in zip(columns, RAW, strict=True)]
            parts.append(pa.table(arrays, RAW))
        seal.write(path, iter(parts), {"recorder.kind": "generic"})
    return total


def repeat(full: Path, many: Path, gigabytes: float) -> int:
    """Write copies of the files with later times and numbers, up to a size; return the size."""
    sources = sorted((full / "raw").rglob("*.parquet"))
    run, size, number, rows = ulid(START, b"\2" * 10), 0, 0, 0
    while size < gigabytes * 1e9:
        with pq.ParquetFile(sources[number % len(sources)]) as source:
            first = START + rows * 1_000_000
            number += 1
            path = Layout(many).parquet("bench", stem(first, run, number))
            path.parent.mkdir(parents=True, exist_ok=True)
            with pq.ParquetWriter(path, RAW, compression="zstd") as writer:
                for group in range(source.num_row_groups):
                    table = source.read_row_group(group)
                    seqs = pa.array(range(rows, rows + len(table)))
                    times = pc.add(pc.multiply(seqs, 1_000_000), START)
                    columns = [times, times, seqs, *table.columns[3:]]
                    writer.write_table(pa.table(columns, RAW))
                    size += table.nbytes
                    rows += len(table)
    return size

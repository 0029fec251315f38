"""The bytes that a digest sums up are those that Arrow itself says an array holds."""

from __future__ import annotations

from hashlib import sha256

import pyarrow as pa
import pyarrow.compute as pc
from hypothesis import given
from hypothesis import strategies as st

from recorder.record.digest import Digest
from recorder.schema.raw import RAW

ROWS = st.lists(
    st.tuples(
        *[st.integers(-(2**63), 2**63 - 1)] * 3,
        st.text(max_size=5),
        st.sampled_from(["text", "binary", ""]),
        st.binary(max_size=400),
    ),
    max_size=40,
)


def by_arrow(table: pa.Table) -> str:
    """The same digest by Arrow's functions, over copies whose buffers hold nothing else."""
    whole = [pa.array(column.to_pylist(), column.type) for column in table.columns]
    values, lengths = [], []
    for column in whole:
        if pa.types.is_integer(column.type):
            values.append(
                b"".join(n.to_bytes(8, "little", signed=True) for n in column.to_pylist())
            )
            continue
        texts = column.cast(pa.binary()).to_pylist()
        values.append(b"".join(texts))
        sizes = pc.binary_length(column).to_pylist()
        lengths.append(b"".join(size.to_bytes(4, "little") for size in sizes))
    parts = [sha256(part).digest() for part in (*values, *lengths)]
    return sha256(b"".join((len(table).to_bytes(8, "little"), *parts))).hexdigest()


@given(ROWS, st.integers(0, 45), st.integers(0, 45))
def test_a_digest_is_of_the_values_wherever_their_buffers_begin(
    rows: list[tuple[int, int, int, str, str, bytes]], first: int, second: int
) -> None:
    columns = list(zip(*rows, strict=True)) or [()] * len(RAW)
    whole = pa.table([pa.array(c, f.type) for c, f in zip(columns, RAW, strict=True)], RAW)
    digest = Digest()
    start, middle = sorted((min(first, len(rows)), min(second, len(rows))))
    digest.update(whole.slice(start, middle - start))  # offsets that do not begin at 0
    digest.update(whole.slice(middle))
    assert digest.hexdigest() == by_arrow(whole.slice(start))

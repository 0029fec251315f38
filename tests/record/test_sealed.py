"""What is not a sealed file is refused with a reason."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recorder.errors import DataError
from recorder.record import sealed


def test_other_columns_are_named_beside_the_expected_ones(tmp_path: Path) -> None:
    path = tmp_path / "other.parquet"
    pq.write_table(pa.table({"price": [1.0]}), path)
    with pytest.raises(DataError) as refused, sealed.sealed_file(path):
        pass
    text = str(refused.value)
    assert "is not a sealed file: expected columns recv_ns int64 not null, mono_ns int64" in text
    assert text.endswith("found price double")

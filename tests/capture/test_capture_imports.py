"""What the capturing process loads: nothing that only readers need."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from kit.captures import capturing, eventually, recorded
from kit.servers import Peer, serving

pytestmark = pytest.mark.process


async def test_capture_loads_neither_duckdb_nor_pyarrow_from_its_start_to_its_end(
    tmp_path: Path,
) -> None:
    data = tmp_path / "data"

    async def greet(peer: Peer) -> None:
        await peer.accept()
        await peer.send(*(("text", b"x" * 1_000) for _ in range(200)))

    async with serving(greet) as server:
        feeds = {"mine": {"url": server.url}}
        python = ("-X", "importtime")
        async with capturing(data, feeds, python=python, rotate_mb=0.05) as child:
            await eventually(lambda: list(data.rglob("*.parquet")))
            assert await child.stopped() == 0
    loaded = set(re.findall(r"^import time:.*\| +(\S+)$", child.said, re.MULTILINE))
    assert "recorder.capture.capture" in loaded and "websockets.asyncio.client" in loaded
    assert not {name for name in loaded if name.split(".")[0] in {"duckdb", "pyarrow", "numpy"}}
    assert not {"recorder.record.seal", "recorder.record.rows", "recorder.tables.ingest"} & loaded
    assert not {"recorder.service", "recorder.services"} & loaded
    kinds = [frame.kind for frame in recorded(data, "mine")[0] if frame.kind != "stats"]
    assert kinds == ["open", *["text"] * 200, "closed"]

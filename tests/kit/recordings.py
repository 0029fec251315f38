"""Real frames, recorded by others; they are beside the repository and may be absent."""

from __future__ import annotations

import ast
import functools
import gzip
import os
from pathlib import Path

import pytest

#: Where they are, unless RECORDER_TEST_FRAMES names another directory.
FRAMES = Path(
    os.environ.get("RECORDER_TEST_FRAMES") or Path(__file__).parents[2].parent / "shared" / "frames"
)


def shared(name: str) -> Path:
    """Return a file of recorded frames; the test is skipped where it is absent."""
    path = FRAMES / name
    if not path.exists():
        pytest.skip(f"no recorded frames at {path}")
    return path


def lines(name: str) -> list[bytes]:
    """Return the frames of a file that holds one per line."""
    path = shared(name)
    raw = path.read_bytes()
    return (gzip.decompress(raw) if path.suffix == ".gz" else raw).splitlines()


@functools.cache
def binance() -> list[tuple[str, bytes]]:
    """Return 74,655 TEXT frames of trades, quotes and depth; a line is `<recv_ns> <frame>`."""
    name = "binance_usdm/hftbacktest_ethusdt_20240808.gz"
    return [("text", line.partition(b" ")[2]) for line in lines(name)]


@functools.cache
def upbit() -> list[tuple[str, bytes]]:
    """Return BINARY frames of UTF-8 JSON; a line is `<seconds>: <bytes literal>`."""
    name = "upbit/cryptofeed_UPBIT.ws.62.0"
    received = (line.decode().partition(": ") for line in lines(name) if line[:1].isdigit())
    return [("binary", ast.literal_eval(literal)) for _, _, literal in received]

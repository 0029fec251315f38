"""Real frames, recorded by others; they lie beside the repository and may be absent."""

from __future__ import annotations

import ast
import functools
import gzip
from pathlib import Path

import pytest
from servers import Message

_FRAMES = Path(__file__).parents[2].parent / "shared" / "frames"
_BINANCE = _FRAMES / "binance_usdm" / "hftbacktest_ethusdt_20240808.gz"
_UPBIT = _FRAMES / "upbit" / "cryptofeed_UPBIT.ws.62.0"


def _lines(path: Path) -> list[bytes]:
    if not path.is_file():
        pytest.skip(f"no recording at {path}")
    raw = path.read_bytes()
    return (gzip.decompress(raw) if path.suffix == ".gz" else raw).splitlines()


@functools.cache
def binance() -> list[Message]:
    """74,655 TEXT frames of trades, quotes and depth; a line is `<recv_ns> <frame>`."""
    return [("text", line.partition(b" ")[2]) for line in _lines(_BINANCE)]


@functools.cache
def upbit() -> list[Message]:
    """BINARY frames of UTF-8 JSON; a line is `<seconds>: <bytes literal>`."""
    received = (line.decode().partition(": ") for line in _lines(_UPBIT) if line[:1].isdigit())
    return [("binary", ast.literal_eval(literal)) for _, _, literal in received]

"""Real frames, recorded by others; they are beside the repository and may be absent."""

from __future__ import annotations

import ast
import functools
import gzip
import json
import os
import re
from pathlib import Path
from typing import Any

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


#: Files of real frames, by feed.
VENUES = {
    "binance": ("captured_2026/binance_coinm.jsonl", "captured_2026/binance_usdm.jsonl",
                "binance_coinm/cryptofeed_BINANCE_DELIVERY.ws.1.0",
                "binance_usdm/cryptofeed_BINANCE_FUTURES.ws.1.0",
                "binance_usdm/hftbacktest_ethusdt_20240808.gz"),
    "bybit": ("captured_2026/bybit_linear.jsonl", "bybit/cryptofeed_BYBIT.ws.26.0",
              "nautilus/bybit"),
    "okx": ("captured_2026/okx.jsonl", "okx/crypto-msg-parser_okx.jsonl", "nautilus/okx"),
    "deribit": ("deribit/crypto-msg-parser_deribit.jsonl", "nautilus/deribit"),
    "bitmex": ("bitmex/crypto-msg-parser_bitmex.jsonl", "nautilus/bitmex"),
    "hyperliquid": ("captured_2026/hyperliquid.jsonl", "hyperliquid/hftbacktest_btcusd_20250126.gz",
                    "nautilus/hyperliquid"),
    "cryptolisting": ("cryptolisting_docs/cryptolisting_new_schema.jsonl",
                      "cryptolisting_docs/cryptolisting_old_schema.jsonl"),
}  # fmt: skip


@functools.cache
def shapes(feed: str) -> list[Any]:
    """Return the real frames of a feed as JSON values, one of each shape of each symbol's form."""
    found: dict[str, Any] = {}
    for name in VENUES[feed]:
        path = shared(name)
        files = sorted(path.iterdir()) if path.is_dir() else [path]
        for file in files:
            relative = str(file.relative_to(FRAMES))
            texts = [file.read_bytes()] if path.is_dir() else lines(relative)[:_MOST]
            for text in texts:
                try:
                    value = json.loads(text[text.index(b"{") :])
                except ValueError:
                    continue
                found.setdefault(_shape(value), value)
    return list(found.values())


#: Lines of a file that are looked at: later ones have no other shapes.
_MOST = 1600


def _shape(value: Any, key: str = "") -> str:
    """Return what two frames of one kind have in common: keys, types, and forms of names."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{k}:{_shape(v, k)}" for k, v in sorted(value.items())) + "}"
    if isinstance(value, list):
        return "[" + (_shape(value[0]) if value else "") + "]"
    if key in _NAMED and isinstance(value, str):
        return re.sub(r"[a-z]+|\d+", lambda found: found[0][:1], re.sub("[A-Z]+", _form, value))
    return type(value).__name__


#: Fields whose values decide what a frame is.
_NAMED = {"e", "s", "symbol", "instId", "instrument_name", "channel", "topic", "table", "action",
          "type", "side", "S", "posSide", "liquidation", "coin"}  # fmt: skip


def _form(found: re.Match[str]) -> str:
    word = found[0]
    return next((end for end in ("USDT", "USDC", "USD", "SWAP", "PERP") if word.endswith(end)), "X")

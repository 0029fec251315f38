"""`recorder` as its users run it, and what it leaves on disk."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from recorder.record.layout import Layout

PATIENCE = 30.0

#: The environment without any variable of the recorder's.
KEYLESS = {k: v for k, v in os.environ.items() if not k.startswith("RECORDER_")}


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a command ended and what it said."""

    code: int
    out: str
    err: str

    @property
    def log(self) -> list[dict[str, Any]]:
        """Its log lines, from `--log-format json`."""
        return [json.loads(line) for line in self.err.splitlines() if line.startswith("{")]


async def recorder(*arguments: str, cwd: Path, **variables: str) -> Outcome:
    """Run a command to its end, with no variable of the recorder's but these."""
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "recorder",
        *arguments,
        cwd=cwd,
        env=KEYLESS | variables,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(PATIENCE):
            out, err = await child.communicate()
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    assert child.returncode is not None
    return Outcome(child.returncode, out.decode(), err.decode())


async def capture(
    where: Path, feeds: Mapping[str, Mapping[str, Any]], *, seconds: float, **variables: str
) -> Outcome:
    """Record these feeds for a while, into `where/data`."""
    lines = []
    for name, settings in feeds.items():
        lines.append(f"[feeds.{name}]")
        lines += [f"{key} = {json.dumps(value)}" for key, value in settings.items()]
    (where / "recorder.toml").write_text("\n".join(lines), "utf-8")
    options = ("--duration", str(seconds), "--log-format", "json", "--log-level", "debug")
    return await recorder("capture", *options, cwd=where, **variables)


def raw(data_dir: Path, feed: str) -> dict[str, list[tuple[str, bytes]]]:
    """The sealed record of a feed: by connection, the kind and payload of its frames in order."""
    layout = Layout(data_dir)
    rows = [
        row
        for stem in layout.sealed(feed)
        for row in pq.read_table(layout.parquet(feed, stem)).to_pylist()
    ]
    rows.sort(key=lambda row: (row["connection"], row["seq"]))
    found: dict[str, list[tuple[str, bytes]]] = {}
    for row in rows:
        found.setdefault(row["connection"], []).append((row["kind"], row["payload"]))
    return found


def payloads(frames: list[tuple[str, bytes]], *kinds: str) -> list[bytes]:
    """The payloads of some kinds."""
    return [payload for kind, payload in frames if kind in kinds]


def holds(directory: Path, secret: str) -> list[Path]:
    """Files below a directory that hold this text, plain or inside Parquet."""
    found = []
    for path in (path for path in directory.rglob("*") if path.is_file()):
        content = path.read_bytes()
        if path.suffix == ".parquet":
            table = pq.read_table(path)
            content += b"".join(table["payload"].to_pylist()) + repr(table.schema.metadata).encode()
        if secret.encode() in content:
            found.append(path)
    return found

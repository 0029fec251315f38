"""The receive loops of the `websockets` documentation, with which the recorder is compared.

They run in a separate process: `python -m benchmarks.bare recv|for|stamp URL FRAMES`, which prints
its figures as one JSON line on stdout.
"""

import asyncio
import json
import sys
import time

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosedOK

from benchmarks.payloads import SENT
from benchmarks.percentiles import percentiles


async def count_recv(ws: ClientConnection, frames: int) -> dict[str, object]:
    """Count with `recv(decode=False)`, the fastest documented way; keep nothing."""
    await ws.recv(decode=False)
    start = time.perf_counter()
    for _ in range(frames - 1):
        await ws.recv(decode=False)
    return {"frames_per_second": frames / (time.perf_counter() - start)}


async def count_for(ws: ClientConnection, frames: int) -> dict[str, object]:
    """Count with `async for`, the first way in the documentation; keep nothing."""
    count, start = 0, 0.0
    async for _ in ws:
        if not count:
            start = time.perf_counter()
        count += 1
        if count == frames:
            break
    return {"frames_per_second": count / (time.perf_counter() - start)}


async def stamp_recv(ws: ClientConnection, frames: int) -> dict[str, object]:
    """Take a timestamp when `recv` returns; compute the latencies after the last frame."""
    received = []
    for _ in range(frames):
        payload = await ws.recv(decode=False)
        received.append((time.time_ns(), payload))
    return {"latency_ms": percentiles(at - int(payload[SENT]) for at, payload in received)}


LOOPS = {"recv": count_recv, "for": count_for, "stamp": stamp_recv}


async def main(loop: str, url: str, frames: int) -> None:
    """Receive `frames` frames and the close, then print the figures."""
    async with connect(url, compression=None, max_size=None) as ws:
        figures = await LOOPS[loop](ws, frames)
        try:
            await ws.recv()
        except ConnectionClosedOK:
            print(json.dumps(figures), flush=True)
        else:
            raise RuntimeError(f"more than {frames} frames arrived")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))

"""A server of one connection: `flood` as fast as the client reads, or `pace` at an exact rate.

It runs in a separate process: `python -m benchmarks.server flood FRAMES` or `… pace RATE SECONDS`.
It prints each step as a JSON line on stdout: `listening` with the port, `open` when a client is
connected, `start` at the first frame, and `done` with its figures after the peer's close.
"""

import ctypes
import gc
import json
import socket
import sys
import time

from benchmarks.payloads import blocks, stamped_frame
from benchmarks.percentiles import percentiles
from benchmarks.wire import Wire

SETTLE_SECONDS = 1.5  # time for the client's start-up before the first frame
SPIN_NS = 150_000  # a sleep may end about this late, so the rest is busy waiting
_PR_SET_TIMERSLACK = 29


def report(event: str, **facts: object) -> None:
    """Print a step for the parent process."""
    print(json.dumps({"event": event, **facts}), flush=True)


def flood(wire: Wire, frames: int) -> dict[str, object]:
    """Send `frames` frames in writes of about 64 KB, then close."""
    start = time.perf_counter()
    source = blocks(frames)
    for block in source:
        wire.socket.sendall(block + next(source, b""))
        wire.answer()
    wire.close()
    return {"seconds": time.perf_counter() - start}


def pace(wire: Wire, rate: int, seconds: float) -> dict[str, object]:
    """Send one frame every 1/`rate` seconds, whatever the client does, then close.

    A frame that is due while the last one is being sent is sent right after it and counts as late.
    """
    send, late = wire.socket.sendall, []
    interval = 1e9 / rate
    start = time.monotonic_ns() + 10_000_000
    for number in range(int(rate * seconds)):
        due = start + int(number * interval)
        wait_until(due)
        late.append(time.monotonic_ns() - due)
        send(stamped_frame(number, time.time_ns()))
        if number % 100 == 0:
            wire.answer()
    wire.close()
    return {"late_ms": percentiles(late)}


def wait_until(due: int) -> None:
    """Sleep until shortly before `due` (monotonic ns), then wait busily."""
    while (left := due - time.monotonic_ns()) > SPIN_NS:
        time.sleep((left - SPIN_NS) / 1e9)
    while time.monotonic_ns() < due:
        pass


def main(mode: str, *arguments: str) -> None:
    """Serve the first client that connects, then exit."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, 1, 0, 0, 0)
    gc.disable()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        report("listening", port=listener.getsockname()[1])
        wire = Wire(listener)
    report("open")
    time.sleep(SETTLE_SECONDS)
    report("start")
    if mode == "flood":
        figures = flood(wire, int(arguments[0]))
    else:
        figures = pace(wire, int(arguments[0]), float(arguments[1]))
    report("done", **figures)


if __name__ == "__main__":
    main(*sys.argv[1:])

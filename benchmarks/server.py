"""Serve one connection: `flood` as fast as the client reads, or `pace` at an exact rate.

A process of its own: `python -m benchmarks.server flood FRAMES` or `… pace RATE SECONDS`. It tells
each step as one JSON line on stdout: the port, `open` when a client is connected, `start` at the
first frame, and `done`, after the peer's close, with its own figures.
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

SETTLE_SECONDS = 1.5  # the client finishes its start-up before the first frame
SPIN_NS = 150_000  # a sleep may end about this much late, so the rest is spun
_PR_SET_TIMERSLACK = 29


def tell(event: str, **facts: object) -> None:
    """Print one step for the process that started this one."""
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

    A frame that is due while the last one is still being sent goes out at once, and counts as late.
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
    """Sleep until shortly before `due` (monotonic ns), then spin."""
    while (left := due - time.monotonic_ns()) > SPIN_NS:
        time.sleep((left - SPIN_NS) / 1e9)
    while time.monotonic_ns() < due:
        pass


def main(mode: str, *arguments: str) -> None:
    """Serve the first client that connects, and end."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, 1, 0, 0, 0)
    gc.disable()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        tell("listening", port=listener.getsockname()[1])
        wire = Wire(listener)
    tell("open")
    time.sleep(SETTLE_SECONDS)
    tell("start")
    if mode == "flood":
        figures = flood(wire, int(arguments[0]))
    else:
        figures = pace(wire, int(arguments[0]), float(arguments[1]))
    tell("done", **figures)


if __name__ == "__main__":
    main(*sys.argv[1:])

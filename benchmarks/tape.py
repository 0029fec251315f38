"""Both ends of the benchmark of serve, each in a separate process.

`python -m benchmarks.tape source RATE SECONDS` is a service that sends liquidations at an exact
rate; `python -m benchmarks.tape client URL SECONDS` counts the events that a page would receive.
Both print their steps as JSON lines on stdout.
"""

import asyncio
import ctypes
import gc
import json
import socket
import sys
import time

import websockets

from benchmarks.percentiles import percentiles
from benchmarks.server import SETTLE_SECONDS, report, wait_until
from benchmarks.wire import Wire

_FRAME = (
    '{"e":"forceOrder","E":%d,"sent_ns":%d,"o":{"s":"%s","S":"%s","o":"LIMIT","f":"IOC",'
    '"q":"0.125","p":"64250.10","ap":"64251.%02d","X":"FILLED","l":"0.125","z":"0.125","T":%d}}'
)
_SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT")
_PR_SET_TIMERSLACK = 29


def frame(number: int, sent_ns: int) -> bytes:
    """Return a liquidation as a complete WebSocket frame."""
    ms = sent_ns // 1_000_000
    symbol, side = _SYMBOLS[number % 4], ("SELL", "BUY")[number // 4 % 2]
    payload = (_FRAME % (ms, sent_ns, symbol, side, number % 100, ms)).encode()
    return b"\x81\x7e" + len(payload).to_bytes(2, "big") + payload


def source(rate: int, seconds: float) -> None:
    """Send to the first client that connects, at an exact rate, then close."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, 1, 0, 0, 0)
    gc.disable()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        report("listening", port=listener.getsockname()[1])
        wire = Wire(listener)
    report("open")
    sys.stdin.readline()  # wait for the signal to start
    time.sleep(SETTLE_SECONDS)
    interval = 1e9 / rate
    start = time.monotonic_ns() + 10_000_000
    for number in range(int(rate * seconds)):
        wait_until(start + int(number * interval))
        wire.socket.sendall(frame(number, time.time_ns()))
        if number % 100 == 0:
            wire.answer()
    wire.close()
    report("done")


async def client(url: str, seconds: float) -> None:
    """Read the live connection for `seconds` after the first event; print the figures."""
    ages, newest, counts = [], [], {"events": 0, "batches": 0, "left_out": 0, "dropped": 0}
    async with websockets.connect(url, max_size=None, compression=None) as live:
        report("connected")
        ends = None
        while ends is None or time.monotonic() < ends:
            try:
                text = await asyncio.wait_for(live.recv(), 30)
            except TimeoutError:
                break
            now, message = time.time_ns(), json.loads(text)
            if message["type"] != "events":
                continue
            ends = ends or time.monotonic() + seconds - 1.0
            batch = [now - int(event["recv_ns"]) for event in message["events"]]
            ages += batch
            newest += [min(batch)] if batch else []
            counts["events"] += len(batch)
            counts["batches"] += 1
            counts["left_out"] += message["left_out"]
            counts["dropped"] += message["dropped"]
    report("counted", age_ms=percentiles(ages), newest_ms=percentiles(newest), **counts)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["source", rate, seconds]:
            source(int(rate), float(seconds))
        case ["client", url, seconds]:
            asyncio.run(client(url, float(seconds)))

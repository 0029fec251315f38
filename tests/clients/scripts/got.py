"""What a client understood: rows, printed as JSON when there are enough or time is over."""

from __future__ import annotations

import json
import os
import sys
import threading
from typing import Any

REPLAY = os.environ["REPLAY"]
_SECONDS = float(os.environ.get("SECONDS", "8"))
_rows: list[list[Any]] = []
_enough = threading.Event()


def take(*row: Any) -> None:
    """Keep a row."""
    _rows.append(list(row))
    if len(_rows) >= int(sys.argv[-1]):
        _enough.set()


def take_binance(event: dict[str, Any]) -> None:
    """Keep the row of an event of USD-M futures as Binance sends it: a client that parses none."""
    if event["e"] == "aggTrade":
        take("trade", "sell" if event["m"] else "buy", float(event["p"]), float(event["q"]))
    if event["e"] == "markPriceUpdate":
        take("mark", event["s"], float(event["p"]))
    if event["e"] == "forceOrder":
        order = event["o"]
        take("liquidation", order["S"].lower(), float(order["ap"]), float(order["z"]))


def finish() -> None:
    """Wait for the rows that the last argument counts, print them and end the process."""
    if _enough.wait(_SECONDS):
        threading.Event().wait(0.3)  # is there one too many?
    print(json.dumps(_rows), flush=True)
    os._exit(0)


def beside(work: Any) -> None:
    """Run a coroutine while waiting for the end."""
    import asyncio

    threading.Thread(target=finish, daemon=True).start()
    asyncio.run(work)
    threading.Event().wait()

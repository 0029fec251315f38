"""Parses frames as cryptofeed does, without its network; prints its rows of each frame as JSON.

python cryptofeed_maps.py FRAMES.json     a list of [exchange's class, url, frame]
"""

import asyncio
import json
import logging
import sys
from collections import defaultdict
from pathlib import Path

from cryptofeed import exchanges


class Same(dict):
    """A map of symbols to their own names."""

    def __missing__(self, key: str) -> str:
        return key


class Address:
    """What the handlers ask of a connection."""

    def __init__(self, url: str) -> None:
        self.address, self.uuid = url, "x"


KEPT = ("symbol", "side", "amount", "quantity", "price", "timestamp", "id", "rate",
        "next_funding_time", "mark_price", "open_interest")  # fmt: skip


def parser(name: str, rows: list) -> object:
    """Return an exchange that writes down what it would hand to its callbacks."""
    one = object.__new__(getattr(exchanges, name))
    one.exchange_symbol_mapping, one.requires_authentication = Same(), False
    one._open_interest_cache, one._instrument_info_cache = {}, defaultdict(dict)

    async def callback(kind: str, row: object, *_: object, **__: object) -> None:
        if kind not in {"trades", "funding", "liquidations", "open_interest"}:
            return
        values = {key: getattr(row, key, None) for key in KEPT}
        numbers = {k: v if v is None or isinstance(v, str) else float(v) for k, v in values.items()}
        rows.append({"type": kind, **numbers})

    one.callback = callback
    return one


async def main(given: list) -> None:
    """Print one list for each frame."""
    logging.disable(logging.CRITICAL)
    found, parsers, rows = [], {}, []
    for name, url, frame in given:
        if name not in parsers:
            parsers[name] = parser(name, rows)
        rows.clear()
        try:
            await parsers[name].message_handler(json.dumps(frame), Address(url), 0.0)
        except Exception as error:
            rows.append({"type": "error", "why": f"{type(error).__name__}: {error}"})
        found.append(list(rows))
    print(json.dumps(found))


asyncio.run(main(json.loads(Path(sys.argv[1]).read_text())))

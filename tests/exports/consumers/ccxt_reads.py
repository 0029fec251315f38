"""Parses frames as ccxt does, with markets given by hand; prints what it understood as JSON.

python ccxt_reads.py FRAMES.json     a list of [exchange, kind, market, event]
"""

import json
import sys
from pathlib import Path

import ccxt.pro


def market(told: dict) -> dict:
    """A market as ccxt's own lists spell it."""
    contract = told["type"] != "spot"
    return {
        "info": {}, "active": True, "precision": {}, "limits": {}, "linear": None, "inverse": None,
        "settle": None, "contractSize": None, "spot": not contract, "swap": contract,
        "contract": contract,
        "future": False, "option": False, "margin": False, **told,
    }  # fmt: skip


def main(path: str) -> None:
    """Print one list for each event: what ccxt says of it."""
    found = []
    for name, kind, told, event in json.loads(Path(path).read_text()):
        exchange = getattr(ccxt.pro, name)()
        one = market(told)
        exchange.set_markets([one])
        if kind == "trade":
            own = "parse_ws_trade" in type(exchange).__dict__
            seen = (exchange.parse_ws_trade if own else exchange.parse_trade)(event, one)
            keys = ("price", "amount", "side", "timestamp", "id")
        elif kind == "liquidation":
            seen = exchange.parse_ws_liquidation(event, one)
            keys = ("price", "contracts", "side", "timestamp")
        else:
            seen = exchange.parse_funding_rate(event, one)
            keys = ("fundingRate", "fundingTimestamp", "interval")
        found.append([seen.get(key) for key in keys])
    print(json.dumps(found))


main(sys.argv[1])

"""ccxt_pro.py EXCHANGE SYMBOL WHAT… COUNT: ccxt.pro's watch calls, with a market given by hand."""

import asyncio
import sys

import ccxt.pro as ccxt
from got import REPLAY, beside, take

IDS = {
    "binanceusdm": "BTCUSDT",
    "bybit": "BTCUSDT",
    "okx": "BTC-USDT-SWAP",
    "hyperliquid": "0",
    "deribit": "BTC-PERPETUAL",
}


def elsewhere(urls):
    """The same URLs at the replay."""
    if isinstance(urls, dict):
        return {name: elsewhere(url) for name, url in urls.items()}
    return REPLAY + "/" + urls.split("://", 1)[1].partition("/")[2]


async def watch(exchange, symbol, what):
    names = {"trades": "watch_trades", "mark": "watch_mark_price", "ticker": "watch_ticker",
             "liquidations": "watch_liquidations", "funding": "watch_funding_rate"}  # fmt: skip
    while True:
        try:
            found = await getattr(exchange, names[what])(symbol)
        except Exception as error:
            print(type(error).__name__, error, file=sys.stderr)
            await asyncio.sleep(1)
            continue
        for row in found if isinstance(found, list) else [found]:
            if what == "trades":
                take("trade", row["side"], row["price"], row["amount"])
            elif what == "liquidations":
                take("liquidation", row["side"], row["price"], row["contracts"])
            elif what == "funding":
                take("funding", row["fundingRate"])
            else:
                take("mark", row.get("markPrice") or row["last"])


async def main(name, symbol, *what):
    exchange = getattr(ccxt, name)({"newUpdates": True})
    exchange.urls["api"]["ws"] = elsewhere(exchange.urls["api"]["ws"])
    base, quote, settle = "BTC", symbol.split("/")[1].split(":")[0], symbol.split(":")[1]
    inverse = settle == "BTC"
    exchange.set_markets([{
        "id": IDS[name], "lowercaseId": IDS[name].lower(), "symbol": symbol,
        "base": base, "quote": quote, "settle": settle,
        "baseId": base, "quoteId": quote, "settleId": settle, "type": "swap", "spot": False,
        "margin": False, "swap": True, "future": False, "option": False, "active": True,
        "contract": True, "linear": not inverse, "inverse": inverse, "contractSize": 1.0,
        "baseName": "BTC", "precision": {"price": 0.1, "amount": 0.001}, "limits": {}, "info": {},
    }])  # fmt: skip

    async def none(*_args, **_kwargs):
        return exchange.markets

    exchange.load_markets = none
    await asyncio.gather(*(watch(exchange, symbol, one) for one in what))


beside(main(*sys.argv[1:-1]))

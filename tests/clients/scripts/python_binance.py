"""python_binance.py COUNT: python-binance, the sockets of USD-M futures."""

import asyncio

from binance import AsyncClient, BinanceSocketManager
from got import REPLAY, beside, take


async def read(socket):
    async with socket as stream:
        while True:
            message = await stream.recv()
            event = message.get("data", message)
            if event["e"] == "aggTrade":
                side = "sell" if event["m"] else "buy"
                take("trade", side, float(event["p"]), float(event["q"]))
            if event["e"] == "markPriceUpdate":
                take("mark", event["s"], float(event["p"]))
            if event["e"] == "forceOrder":
                order = event["o"]
                take("liquidation", order["S"].lower(), float(order["ap"]), float(order["z"]))


async def main():
    BinanceSocketManager.FSTREAM_URL = REPLAY + "/"
    manager = BinanceSocketManager(AsyncClient())
    streams = ["btcusdt@aggTrade", "btcusdt@forceOrder"]
    await asyncio.gather(
        read(manager.futures_multiplex_socket(streams)),
        read(manager.symbol_mark_price_socket("BTCUSDT")),
    )


beside(main())

"""python_binance.py COUNT: python-binance, the sockets of USD-M futures."""

import asyncio

from binance import AsyncClient, BinanceSocketManager
from got import REPLAY, beside, take_binance


async def read(socket):
    async with socket as stream:
        while True:
            message = await stream.recv()
            take_binance(message.get("data", message))


async def main():
    BinanceSocketManager.FSTREAM_URL = REPLAY + "/"
    manager = BinanceSocketManager(AsyncClient())
    streams = ["btcusdt@aggTrade", "btcusdt@forceOrder"]
    await asyncio.gather(
        read(manager.futures_multiplex_socket(streams)),
        read(manager.symbol_mark_price_socket("BTCUSDT")),
    )


beside(main())

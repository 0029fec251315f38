"""pybit_reads.py COUNT: pybit, linear contracts."""

import pybit.unified_trading as pybit
from got import REPLAY, finish, take

pybit.PUBLIC_WSS = f"{REPLAY}/v5/public/{{CHANNEL_TYPE}}"


def rows(kind):
    def handle(message):
        for row in message["data"]:
            take(kind, row["S"].lower(), float(row["p"]), float(row["v"]))

    return handle


socket = pybit.WebSocket(testnet=False, channel_type="linear")
socket.trade_stream(symbol="BTCUSDT", callback=rows("trade"))
socket.all_liquidation_stream(symbol="BTCUSDT", callback=rows("liquidation"))
socket.ticker_stream(
    symbol="BTCUSDT", callback=lambda m: take("mark", "BTCUSDT", float(m["data"]["markPrice"]))
)
finish()

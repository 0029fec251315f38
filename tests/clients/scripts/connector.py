"""connector.py COUNT: binance-futures-connector, at its default path /ws."""

import json

from binance.websocket.um_futures.websocket_client import UMFuturesWebsocketClient
from got import REPLAY, finish, take


def on_message(_, text):
    message = json.loads(text)
    for event in message if isinstance(message, list) else [message]:
        if "result" in event:
            continue
        if event["e"] == "aggTrade":
            side = "sell" if event["m"] else "buy"
            take("trade", side, float(event["p"]), float(event["q"]))
        if event["e"] == "markPriceUpdate":
            take("mark", event["s"], float(event["p"]))
        if event["e"] == "forceOrder":
            order = event["o"]
            take("liquidation", order["S"].lower(), float(order["ap"]), float(order["z"]))


client = UMFuturesWebsocketClient(stream_url=f"{REPLAY}/market", on_message=on_message)
client.agg_trade(symbol="btcusdt")
client.liquidation_order(symbol="btcusdt")
client.mark_price(symbol="btcusdt", speed=1)
finish()

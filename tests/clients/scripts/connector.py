"""connector.py COUNT: binance-futures-connector, at its default path /ws."""

import json

from binance.websocket.um_futures.websocket_client import UMFuturesWebsocketClient
from got import REPLAY, finish, take_binance


def on_message(_, text):
    message = json.loads(text)
    for event in message if isinstance(message, list) else [message]:
        if "result" not in event:
            take_binance(event)


client = UMFuturesWebsocketClient(stream_url=f"{REPLAY}/market", on_message=on_message)
client.agg_trade(symbol="btcusdt")
client.liquidation_order(symbol="btcusdt")
client.mark_price(symbol="btcusdt", speed=1)
finish()

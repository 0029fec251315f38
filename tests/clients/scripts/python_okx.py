"""python_okx.py COUNT: python-okx; its own connect insists on TLS, the replay speaks plain."""

import asyncio
import json

import websockets
from got import REPLAY, beside, take
from okx.websocket.WebSocketFactory import WebSocketFactory
from okx.websocket.WsPublicAsync import WsPublicAsync


async def plain(self):
    self.websocket = await websockets.connect(self.url)
    return self.websocket


WebSocketFactory.connect = plain
SWAP = "BTC-USDT-SWAP"


def handle(text):
    message = json.loads(text)
    for row in message.get("data", []):
        match message["arg"]["channel"]:
            case "trades":
                take("trade", row["side"], float(row["px"]), float(row["sz"]))
            case "mark-price":
                take("mark", row["instId"], float(row["markPx"]))
            case "liquidation-orders":
                for one in row["details"]:
                    take("liquidation", one["side"], float(one["bkPx"]), float(one["sz"]))


async def main():
    client = WsPublicAsync(url=f"{REPLAY}/ws/v5/public")
    await client.start()
    args = [
        {"channel": "trades", "instId": SWAP},
        {"channel": "mark-price", "instId": SWAP},
        {"channel": "liquidation-orders", "instType": "SWAP"},
    ]
    await client.subscribe(args, handle)
    await asyncio.sleep(60)


beside(main())

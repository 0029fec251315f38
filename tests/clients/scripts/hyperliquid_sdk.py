"""hyperliquid_sdk.py COUNT: hyperliquid-python-sdk, with the lists given by hand."""

from got import REPLAY, finish, take
from hyperliquid.info import Info

META = {"universe": [{"name": "BTC", "szDecimals": 5}]}
info = Info(REPLAY.replace("ws", "http", 1), meta=META, spot_meta={"universe": [], "tokens": []})


def trades(message):
    for row in message["data"]:
        side = "buy" if row["side"] == "B" else "sell"
        take("trade", side, float(row["px"]), float(row["sz"]))


info.subscribe({"type": "trades", "coin": "BTC"}, trades)
info.subscribe(
    {"type": "activeAssetCtx", "coin": "BTC"},
    lambda message: take("mark", "BTC", float(message["data"]["ctx"]["markPx"])),
)
finish()

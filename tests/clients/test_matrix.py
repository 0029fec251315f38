"""Each venue's default recording behind the usual calls of clients that others wrote.

What a client parsed is compared with what was recorded, or the replay said what the client asked
for in vain. `make test-clients` installs the clients; without them these tests are skipped.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from player.serving import serving

from .recordings import record

SCRIPTS = Path(__file__).parent / "scripts"
PLACE = os.environ.get("RECORDER_TEST_CLIENTS")

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(PLACE is None, reason="make test-clients installs the clients"),
]

MODULES = str(Path(str(PLACE)).resolve() / "node/node_modules")

#: ccxt alone takes this long to be imported for the first time, on a busy machine.
PATIENCE = 90.0

BUY, SELL = ["trade", "buy", 82395.1, 0.25], ["trade", "sell", 82395.1, 0.25]
MARK = ["mark", "BTCUSDT", 82391.2]
OKX = [["trade", side, 82395.1, 25.0] for side in ("buy", "sell")]
OKX_LIQUIDATION = ["liquidation", "sell", 82338.3, 19.0]
DERIBIT = [["trade", side, 82395.5, 2500.0] for side in ("buy", "sell")]
HYPERLIQUID = [["trade", side, 82395.0, 0.25] for side in ("buy", "sell")]
TICKER = "derivative_ticker"

#: Venue, command, what it parses (in any order), and what the replay says it asked for in vain.
MATRIX: dict[str, tuple[str, str, list[Any], str]] = {
    "npm binance": (
        "binance", "binance.js",
        [BUY, SELL, MARK, ["liquidation", "sell", 82351.9, 0.19]], "",
    ),
    "python-binance": (
        "binance", "sdks python_binance.py",
        [BUY, SELL, MARK, ["liquidation", "sell", 82351.9, 0.19]], "",
    ),
    "binance-futures-connector": (
        "binance", "connector connector.py",
        [BUY, SELL, MARK, ["liquidation", "sell", 82351.9, 0.19]], "",
    ),
    "tardis binance": (
        "binance", "tardis.js binance-futures btcusdt",
        [["liquidation", "sell", 82338.3, 0.19]], "btcusdt@trade",
    ),
    "ccxt binance": (
        "binance", "sdks ccxt_pro.py binanceusdm BTC/USDT:USDT liquidations mark",
        [["mark", 82391.2], ["liquidation", "sell", 82351.9, 0.19]], "",
    ),
    "ccxt binance trades": (
        "binance", "sdks ccxt_pro.py binanceusdm BTC/USDT:USDT trades",
        [], "btcusdt@trade",
    ),
    "bybit-api": (
        "bybit", "bybit.js", [MARK, BUY, SELL, ["liquidation", "buy", 82338.3, 0.19]], "",
    ),
    "pybit": (
        "bybit", "sdks pybit_reads.py",
        [MARK, BUY, SELL, ["liquidation", "buy", 82338.3, 0.19]], "",
    ),
    "ccxt bybit": (
        "bybit", "sdks ccxt_pro.py bybit BTC/USDT:USDT trades liquidations ticker",
        [MARK[::2], BUY, SELL, ["liquidation", "buy", 82338.3, 0.19]], "",
    ),
    "tardis bybit": (
        "bybit", "tardis.js bybit BTCUSDT",
        [[TICKER, 82391.2], BUY, SELL, ["liquidation", "sell", 82338.3, 0.19]], "",
    ),
    "okx-api": ("okx", "okx.js", [["mark", "BTC-USDT-SWAP", 82391.2], *OKX, OKX_LIQUIDATION], ""),
    "python-okx": (
        "okx", "sdks python_okx.py",
        [["mark", "BTC-USDT-SWAP", 82391.2], *OKX, OKX_LIQUIDATION], "",
    ),
    "ccxt okx": (
        "okx", "sdks ccxt_pro.py okx BTC/USDT:USDT trades liquidations mark funding",
        [["funding", 0.0001], ["mark", 82391.2], *OKX, OKX_LIQUIDATION], "",
    ),
    "tardis okx": (  # it leaves out the first liquidations of a connection
        "okx", "tardis.js okex-swap BTC-USDT-SWAP",
        [[TICKER, 0.0001], [TICKER, 82391.2], [TICKER, 82391.2]], "trades-all:BTC-USDT-SWAP",
    ),
    "hyperliquid sdk": (
        "hyperliquid", "sdks hyperliquid_sdk.py", [["mark", "BTC", 82391.0], *HYPERLIQUID], "",
    ),
    "ccxt hyperliquid": (
        "hyperliquid", "sdks ccxt_pro.py hyperliquid BTC/USDC:USDC trades", HYPERLIQUID, "",
    ),
    "tardis hyperliquid": (  # it leaves out the first trades of a connection
        "hyperliquid", "tardis.js hyperliquid BTC", [[TICKER, 82391.0], HYPERLIQUID[1]], "",
    ),
    "ccxt deribit": (
        "deribit", "sdks ccxt_pro.py deribit BTC/USD:BTC trades ticker",
        [["mark", 82391.2], *DERIBIT], "",
    ),
    "tardis deribit": (
        "deribit", "tardis.js deribit BTC-PERPETUAL",
        [[TICKER, 82391.2], *DERIBIT, ["liquidation", "sell", 82395.5, 2500.0]], "",
    ),
    "tardis bitmex": (
        "bitmex", "tardis.js bitmex XBTUSD",
        [*DERIBIT, ["liquidation", "sell", 82338.5, 1900.0]], "",
    ),
}  # fmt: skip


def command(words: str, count: int) -> list[str]:
    """The process of a client: a script of Node, or of one of the Python environments."""
    first, *rest = words.split()
    if first.endswith(".js"):
        node = shutil.which("node")
        assert node is not None
        return [node, str(SCRIPTS / first), *rest, str(count)]
    python = Path(str(PLACE)).resolve() / first / "bin/python"
    return [str(python), str(SCRIPTS / rest[0]), *rest[1:], str(count)]


async def understood(words: str, count: int, replay: str, *, seconds: float) -> list[Any]:
    """What a client parsed, as its script prints it."""
    env = os.environ | {"REPLAY": replay, "SECONDS": str(seconds), "NODE_PATH": MODULES}
    process = await asyncio.create_subprocess_exec(
        *command(words, count),
        env=env,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, err = await asyncio.wait_for(process.communicate(), PATIENCE)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert out, err.decode()[-2000:]
    rows: list[Any] = json.loads(out.splitlines()[-1])
    return rows


@pytest.mark.parametrize("name", MATRIX)
async def test_a_client_reads_the_default_recording(tmp_path: Path, name: str) -> None:
    venue, words, expected, missing = MATRIX[name]
    record(tmp_path, venue)
    async with serving(tmp_path, [venue], stay=True) as served:
        replay = f"ws://127.0.0.1:{served.port}"
        # What never comes is waited for in vain.
        seconds = 15.0 if missing else 45.0
        found = await understood(words, len(expected), replay, seconds=seconds)
    reasons = [str(fields["asked"]) for event, fields in served.said if "does not have" in event]
    assert sorted(map(str, _whole(found))) == sorted(map(str, _whole(expected)))
    if missing:
        assert any(missing in reason for reason in reasons), served.said
    else:
        assert reasons == []


def _whole(rows: list[Any]) -> list[Any]:
    """Rows with every number as a float."""
    return [
        [float(value) if isinstance(value, int | float) else value for value in row] for row in rows
    ]

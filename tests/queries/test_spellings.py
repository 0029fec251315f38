"""What a symbol's spelling says of its asset, where no list names it."""

from __future__ import annotations

import duckdb

from recorder.answers import canned

#: Asset -> spellings of venues, recorded or not.
ASSETS: dict[str | None, str] = {
    "BTC": "BTC-PERP BTCUSDT-26JUN26 BTC-26JUN26 BTC-26JUN26-60000-C-USDT XBTUSDT XBTZ26 "
    "XBT_USDT XBTUSDTM PI_XBTUSD PF_XBTUSD FI_XBTUSD_260925 BTC-USDT-260925 "
    "BTC-USD_UM_XPERP-310404 hyna:BTC BTCUSDT_UMCBL BTCUSDH26 BTC-EUR BTC_USDC "
    "BTC_USDC-PERPETUAL BTC-FS-27DEC26_PERP BTCFDUSD BTCPYUSD BTC-USDC-INTX",
    "ETH": "ETH/BTC ETH-BTC ETHUSDZ26 ETHUSD_PERP FF_ETHUSD_260925",
    "PEPE": "kPEPE flx:kPEPE 1000PEPEUSDT 1000PEPE-USDC PEPE1000USDT 10000PEPE-USDT-SWAP",
    "BABYDOGE": "1MBABYDOGEUSDT 1000000BABYDOGEUSDT",
    "USDT": "USDTUSD USDT-USD",
    "TUSD": "TUSD TUSDUSDT",
    "AUSD": "AUSD AUSDUSDT",
    "A": "AUSDT",
    "U": "UUSDT",
    "4": "4USDT",
    "1INCH": "1INCHUSDT 1INCH-USDT-SWAP",
    "PERP": "PERP PERPUSDT PERP-USDT-SWAP",
    "DOT": "DOTUSD",
    "XRP": "XRPRLUSD",
    "SOL": "SOL_USDC-27DEC26-100d5-C SOLUSDCM",
    "\u5e01\u5b89\u4eba\u751f": "\u5e01\u5b89\u4eba\u751fUSDT",
    "OPENAI": "vntl:OPENAI",
    None: "@107 #10",
}


def test_a_spelling_names_the_asset() -> None:
    given = [(name, asset) for asset, names in ASSETS.items() for name in names.split()]
    with duckdb.connect(config={"threads": 1}) as database:
        canned.share(database, "asset_spelled")
        found = database.execute(
            "SELECT name, asset_spelled(name) FROM (SELECT unnest($names) AS name)",
            {"names": [name for name, _ in given]},
        ).fetchall()
    assert found == given

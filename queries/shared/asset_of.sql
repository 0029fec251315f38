-- title: The asset of a venue's symbol
-- description: Removes the quote currency and the contract's suffix: BTCUSDT, BTC-USDT-SWAP, BTC-PERPETUAL and
--   XBTUSD are BTC; 1000PEPEUSDT and kPEPE are PEPE. Only dollars and dollar coins are removed as
--   quotes; a symbol in another quote, a dated future or an option stays unchanged, in upper case.
-- param symbol VARCHAR = NULL  -- the instrument as the venue spells it
-- example: SELECT asset_of('BTC-USDT-SWAP')
-- One step per line, the innermost first: 1000PEPE and kPEPE, Kraken's PF_, the settlement currency
-- after a colon, the contract's suffix, the quote currency, XBT.
regexp_replace(regexp_replace(regexp_replace(regexp_replace(regexp_replace(
    upper(regexp_replace($symbol, '^(1000000|10000|1000|1M|k)([A-Z])', '\2')),
    '^P[FI]_', ''),
    ':[A-Z]+$', ''),
    '^(.+?)[-_/]?(PERPETUAL|PERP|SWAP|[UDC]MCBL)$', '\1'),
    '^(.+?)[-_/]?(FDUSD|USDT|USDC|USD)M?$', '\1'),
    '^XBT$', 'BTC')

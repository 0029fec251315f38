-- title: A symbol without its quote currency and its contract's suffix
-- description: asset_of with one argument; see there.
-- param symbol VARCHAR = NULL  -- the instrument as the venue spells it
-- example: SELECT asset_without_quote('BTC-USDT-SWAP')
-- One step per line, the innermost first: a builder's exchange (xyz:GOLD), Kraken's PF_, the settlement
-- currency after a colon, the contract's suffix, quotes that end in USD themselves, the quote.
coin_of(regexp_replace(regexp_replace(regexp_replace(regexp_replace(regexp_replace(regexp_replace(regexp_replace(
    $symbol, '^[a-z][a-z0-9]*:', ''),
    '(?i)^[FP][FI]_', ''),
    '(?i):[A-Z0-9]+$', ''),
    '(?i)^(.+?)[-_/]?(PERPETUAL|PERP|SWAP|[UDC]MCBL)$', '\1'),
    '(?i)^(.+-USD)_UM$', '\1'),
    '(?i)^((?:BTC|ETH|BNB|XRP|SOL|ADA|DOGE|LTC|TRX|LINK|BCH|EOS)|.+[-_/])(TUSD|BUSD|RLUSD|PYUSD)$', '\1'),
    -- TUSD and the like are coins: not T in dollars.
    '(?i)^((?:T|FD|RL|PY|B|G|L|S|H|Z|A|X|CRV|FRX|DE)USD|USD[A-Z0-9]{0,2})$|^(.+?)(?:[-_/]?(?:FDUSD|USDT|USDC|USD1|USD)M?)?$', '\1\2'))

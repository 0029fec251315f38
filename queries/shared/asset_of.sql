-- title: The asset of a venue's symbol
-- description: With one argument, from the spelling alone: removes the quote currency and the contract's suffix:
--   BTCUSDT, BTC-USDT-SWAP, BTC-PERPETUAL and XBTUSD are BTC; 1000PEPEUSDT and kPEPE are PEPE. Only
--   dollars and dollar coins are removed as quotes; a symbol in another quote, a dated future or an
--   option stays unchanged, in upper case. With two or three, asset_of(exchange, symbol, at_ns): what
--   the venue's newest list says (received by at_ns), else the spelling; of a dated future, an option
--   and a pair with a separator too; NULL if neither says.
-- param symbol VARCHAR = NULL  -- the instrument as the venue spells it
-- example: SELECT asset_of('BTC-USDT-SWAP')
asset_without_quote($symbol)
-- with: venue VARCHAR, name VARCHAR
coalesce(
    (SELECT arg_max(i.base, i.recv_ns) FROM main.instruments i WHERE i.exchange = $venue AND i.symbol = $name),
    asset_spelled($name)
)
-- with: venue VARCHAR, name VARCHAR, at_ns BIGINT
coalesce(
    (
        SELECT arg_max(i.base, i.recv_ns)
        FROM main.instruments i
        WHERE i.exchange = $venue AND i.symbol = $name AND i.recv_ns <= $at_ns
    ),
    asset_spelled($name)
)

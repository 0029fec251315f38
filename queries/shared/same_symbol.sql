-- title: Is this the wanted symbol, in any case of its letters?
-- description: As lower(symbol) = lower(wanted), and said so that parts of a table that cannot hold the symbol
--   are left out: every spelling lies between BTCUSDT and Btcusdt or between bTCUSDT and btcusdt, and
--   files and row groups know their first and last symbol.
-- param symbol VARCHAR = NULL  -- a row's symbol
-- param wanted VARCHAR = NULL  -- the symbol that is looked for
-- example: SELECT count(*) FROM funding f WHERE same_symbol(symbol := f.symbol, wanted := 'btcusdt')
lower($symbol) = lower($wanted) AND (
    $symbol >= upper($wanted)
        AND $symbol <= concat(upper(left($wanted, 1)), lower(substr($wanted, 2)))
    OR $symbol >= concat(lower(left($wanted, 1)), upper(substr($wanted, 2)))
        AND $symbol <= lower($wanted)
    OR NOT regexp_full_match($wanted, '[\x00-\x7f]*')
)

-- title: True if a row has the wanted symbol, in any case
-- description: Equal to lower(symbol) = lower(wanted), in a form that lets DuckDB skip parts of a table: every
--   spelling is between BTCUSDT and Btcusdt or between bTCUSDT and btcusdt, and files and row groups
--   hold their first and last symbol.
-- param symbol VARCHAR = NULL  -- a row's symbol
-- param wanted VARCHAR = NULL  -- the wanted symbol
-- example: SELECT count(*) FROM funding f WHERE same_symbol(symbol := f.symbol, wanted := 'btcusdt')
lower($symbol) = lower($wanted) AND (
    $symbol >= upper($wanted)
        AND $symbol <= concat(upper(left($wanted, 1)), lower(substr($wanted, 2)))
    OR $symbol >= concat(lower(left($wanted, 1)), upper(substr($wanted, 2)))
        AND $symbol <= lower($wanted)
    OR NOT regexp_full_match($wanted, '[\x00-\x7f]*')
)

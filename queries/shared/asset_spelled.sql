-- title: The asset that a symbol spells
-- description: As asset_of with one argument, but also of a dated future, an option or a pair with a
--   separator: BTC-27DEC30, BTCUSD_210625, BTCUSDM26 and BTC-EUR are BTC. NULL for a number in place
--   of a name (@107).
-- param symbol VARCHAR = NULL  -- the instrument as the venue spells it
-- example: SELECT asset_spelled('BTC-27DEC30')
CASE
    WHEN regexp_matches($symbol, '^[@#]\d') THEN NULL
    WHEN regexp_matches($symbol, '(?i)^P[FI]_|^[^-_/]+[-_](PERP|SWAP|[UDC]MCBL)$')
        THEN asset_without_quote($symbol)
    ELSE asset_without_quote(regexp_replace(regexp_replace(
        regexp_replace($symbol, '(?i)^F[FI]_', ''),
        -- The date, and what follows: a strike, call or put. Or the code of a month and a year.
        '(?i)^(.+?)(?:_UM)?(?:_XPERP)?[-_](?:\d{6}|\d{8}|\d{1,2}[A-Z]{3}\d{2})(?:-.*)?$'
        || '|^(.*USDT?|XBT|ETH)[FGHJKMNQUVXZ]\d\d$', '\1\2'),
        -- A pair with a separator, in any quote.
        '(?i)^((?:[a-z][a-z0-9]*:)?[^-_/:]+)[-_/][A-Z][A-Z0-9]{1,5}(?:[-_:].*)?$', '\1/USD'))
END

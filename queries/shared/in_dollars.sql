-- title: True if an instrument's prices are in dollars, of the asset itself
-- description: By the venue's newest list, else by the spelling: not a pair in another currency (BTC-EUR), nor an
--   option. Dollar stablecoins count as dollars.
-- param venue VARCHAR = NULL  -- the exchange
-- param name VARCHAR = NULL  -- the instrument as the venue spells it
-- example: SELECT in_dollars('okx', 'BTC-EUR')
coalesce(
    (
        SELECT arg_max(is_dollar(i.quote) AND i.kind IS DISTINCT FROM 'option', i.recv_ns)
        FROM main.instruments i
        WHERE i.exchange = $venue AND i.symbol = $name AND i.quote IS NOT NULL
    ),
    NOT regexp_matches($name, '-[CP](-[A-Z]+)?$')
        AND coalesce(
            is_dollar(nullif(regexp_extract($name, '(?i)^[^-_/:]+[-_/]([A-Z][A-Z0-9]{2,4})(?:[-_/:].*)?$', 1), ''))
                OR regexp_matches($name, '(?i)[-_/](PERP|SWAP|[UDC]MCBL)'),
            true
        )
)

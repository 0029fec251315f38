-- title: True if a currency is the US dollar or a coin pegged to it
-- description: Dollar stablecoins count as dollars. NULL if the currency is unknown.
-- param currency VARCHAR = NULL  -- the currency as the venue spells it
-- example: SELECT is_dollar('USDC')
regexp_full_match(upper($currency), 'USD|USD[A-Z0-9]|USD_UM|USDT0|[A-Z]{1,3}USD|DAI|U')

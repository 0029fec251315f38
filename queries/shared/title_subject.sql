-- title: The part of an announcement's title that names coins
-- description: What follows the verb (list, launch, delist), up to a date, a market or a condition. The whole title
--   where no such verb leads it.
-- param title VARCHAR = NULL  -- the title
-- example: SELECT title_subject('OKX to delist GEAR and VRA in EEA')
list_transform([regexp_extract(
    $title,
    '(?:\b\p{Lu}\w* (?:[Ww]ill|[Hh]as|[Tt]o) (?:[Dd]e)?(?:[Ll]ist|[Ll]aunch)(?:ed)?|\b(?:[Dd]el|[Ll])isting of|\b[Nn]ew [Ll]istings?:?'
    || '|Monitoring Tag (?:to Include|for|on|From|from)|add support for) (.+)', 1
)], lambda named: CASE
    -- KRW, BTC 마켓: the markets, not coins.
    WHEN named = '' THEN regexp_replace($title, '(?:\b[A-Z]+ ?, ?)*\b[A-Z]+ ?마켓', '마켓', 'g')
    ELSE regexp_replace(regexp_replace(regexp_replace(
    named,
    -- What follows the names.
    '(?i)(?: on (?:the |spot|\d{4}|kucoin|coinbase|binance|bybit|okx|futures)| for (?:spot|trading)| in (?:the |eea|eu\b)|,? with | at \d| from \d| — | - | – | – |!| via | under ).*$', ''),
    -- What is before and after them.
    '(?i)^(?:(?:multiple|several|certain|the following|the|spot|new|usd[ⓢs]?(?:-m|-margined)?|usd[tc]?-(?:m|margined)|coin-(?:m|margined)|u-(?:m|margined)'
    || '|usd[^ ]{0,2}-m(?:argined)?|pre-market|(?:perpetual |pre-market |expiry )?(?:futures|contracts?|perpetuals?) for) )+', ''),
    '(?i)(?: (?:usd[^ ]{0,2}-m(?:argined)?|coin-m(?:argined)?|usd[tc]-m(?:argined)?|perpetual|perpetuals|futures|contracts?|quarterly|projects?|tradfi|equity|equities|stock|index|pre-market|spot|trading|pairs?|tokens?|crypto|cryptos|swaps?|\(?\d{4}(?:-\d\d-\d\d)?\)?))+$', '')
END)[1]

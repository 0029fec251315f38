-- title: True if a word of a title can be a ticker
-- description: Letters of any script but Hangul, and digits; no word in ordinary spelling (Solstice), and no word
--   that is in brackets for another reason (UTC, KRW, Updated).
-- param word VARCHAR = NULL  -- the word
-- example: SELECT is_ticker('1INCH')
coalesce(
    length($word) <= 21  -- as a count in the pattern, it would copy the classes 20 times
    AND regexp_full_match($word, '[$]?[\p{L}\p{N}][\p{L}\p{N}._]*')
    AND NOT regexp_full_match($word, '\p{Lu}\p{Ll}{2,}|\p{Ll}{1,3}|.*[\p{Hangul}].*|\d{4,}|.*\d\d?[xX]|\d+:.*')
    AND lower($word) NOT IN (
        'utc', 'kst', 'gmt', 'krw', 'usd', 'eea', 'api', 'eu', 'uae', 'ios', 'android', 'updated', 'update', 'new',
        'vip', 'spot', 'margin', 'futures', 'perpetual', 'multiple', 'contract', 'contracts', 'crypto', 'okx', 'bybit',
        'binance', 'kucoin', 'coinbase', 'upbit', 'bithumb', 'tradfi', 'certain', 'several', 'some', 'tokens', 'token',
        'pairs', 'pair', 'trading', 'assets', 'projects', 'phase', 'round', 'part', 'tba', 'tbd', 'etf', 'faq'
    ),
    false
)

-- title: The tickers in one piece of a title
-- description: A list: those in its brackets, else the piece itself if it can be a ticker. A contract is named
--   without its quote currency (BANKUSDT, XRPUSD and FOO/USDT are BANK, XRP and FOO).
-- param piece VARCHAR = NULL  -- the piece
-- param contract BOOLEAN = false  -- true if the title is about contracts; NULL if it lists and delists nothing
-- example: SELECT title_piece('Meteora (MET)', false)
list_transform([bracketed($piece)], lambda named: CASE
    WHEN len(named) > 0 THEN named
    ELSE list_filter(
        list_transform([regexp_replace($piece, ' *\(.*$', '')], lambda bare: CASE
            WHEN $contract IS NOT NULL AND contains($piece, '/') THEN trim(split_part(bare, '/', 1))
            WHEN $contract THEN regexp_replace(
                bare, '^(.+?)[-_/]?(?:USDT|USDC|USD1|FDUSD|BUSD|USDE|USD|PERP)$|^(BTC|ETH|BNB|SOL|XRP|DOGE)U$', '\1\2'
            )
            ELSE bare
        END),
        lambda word: is_ticker(word)
    )
END)[1]

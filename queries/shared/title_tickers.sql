-- title: The tickers that an announcement's title names
-- description: The part that names coins is split at commas and "and", and each piece is judged by itself: what is
--   in its brackets, else the piece, without a quote currency. (KRW, BTC) and the like are markets.
--   Letters of any script; each ticker once, in the title's order.
-- param title VARCHAR = NULL  -- the title, in plain characters
-- example: SELECT title_tickers('Binance Will Delist ALPHA, BSW and LTO on 2026-10-04')
each_once(flatten(list_transform(
    -- A separator within brackets does not split.
    regexp_extract_all(
        regexp_replace(title_subject($title), ',? (?:and|And|AND) ', ', ', 'g'), '(?:[^,&;(]|\([^)]*\))+'
    ),
    lambda piece: title_piece(trim(piece), title_type($title) LIKE 'futures%')
)))

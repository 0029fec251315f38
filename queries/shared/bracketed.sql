-- title: The tickers in the brackets of a text
-- description: All of a bracket's pieces, unless it names markets (KRW, BTC). A number counts only if it is the name,
--   too: 4 (4).
-- param text VARCHAR = NULL  -- the text
-- example: SELECT bracketed('A (AAA, BBB)')
flatten(list_transform(
    list_filter(
        regexp_extract_all($text, '\(([^()]*)\)', 1),
        lambda group_text: NOT regexp_matches(group_text, '마켓|(?i)\bmarkets?\b|\bKRW\b')
    ),
    lambda group_text: list_filter(
        list_transform(regexp_split_to_array(group_text, ' ?[,&;/] ?| and '), lambda word: trim(word)),
        lambda word: is_ticker(word)
            AND (regexp_matches(word, '\p{L}') OR contains($text, word || ' (' || word || ')'))
    )
))

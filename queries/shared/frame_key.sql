-- title: The part of a frame that copies on several lines have in common
-- description: Removes what a service stamps on each connection's copy of a frame, such as the time of
--   sending. stamped is the feed's pattern, from the table connections. `make docs` makes it of the
--   feeds' patterns (`Feed.stamped`); those of other packages work too, some 150 µs a frame.
-- param payload BLOB = NULL  -- the bytes of a frame
-- param stamped VARCHAR = NULL  -- what to remove, as a pattern; NULL: nothing
-- example: SELECT frame_key('{"e":"trade","E":1,"t":7}'::BLOB, '("e":"trade",)"E":\d+')
coalesce(CASE
    WHEN $stamped IS NULL THEN $payload
    WHEN $stamped = '([{,]\s*)"(?:detectedTimestampUs|dispatchTimestampUs|abnormalDetectionLatency)"\s*:\s*(?:"?\d+"?|true|false|null)'
        THEN encode(regexp_replace(TRY(decode($payload)), '([{,]\s*)"(?:detectedTimestampUs|dispatchTimestampUs|abnormalDetectionLatency)"\s*:\s*(?:"?\d+"?|true|false|null)', '\1', 'g'))
    WHEN $stamped = '("e"\s*:\s*"(?:trade|aggTrade|depthUpdate|kline|avgPrice|(?:24hr|\d+[hd])(?:Mini)?Ticker)"\s*,\s*)"E"\s*:\s*\d+'
        THEN encode(regexp_replace(TRY(decode($payload)), '("e"\s*:\s*"(?:trade|aggTrade|depthUpdate|kline|avgPrice|(?:24hr|\d+[hd])(?:Mini)?Ticker)"\s*,\s*)"E"\s*:\s*\d+', '\1', 'g'))
    WHEN $stamped = '("topic"\s*:\s*"(?:publicTrade|allLiquidation|liquidation)\.[^"]*"(?:\s*,\s*"type"\s*:\s*"[a-z]*")?\s*,\s*)"ts"\s*:\s*\d+'
        THEN encode(regexp_replace(TRY(decode($payload)), '("topic"\s*:\s*"(?:publicTrade|allLiquidation|liquidation)\.[^"]*"(?:\s*,\s*"type"\s*:\s*"[a-z]*")?\s*,\s*)"ts"\s*:\s*\d+', '\1', 'g'))
    WHEN $stamped = '()"us(?:In|Out|Diff)"\s*:\s*\d+\s*,?'
        THEN encode(regexp_replace(TRY(decode($payload)), '()"us(?:In|Out|Diff)"\s*:\s*\d+\s*,?', '\1', 'g'))
    ELSE encode(regexp_replace(TRY(decode($payload)), $stamped, '\1', 'g'))
END, $payload)

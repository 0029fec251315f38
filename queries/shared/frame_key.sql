-- title: The part of a frame that copies on several lines have in common
-- description: Removes what a service stamps on each connection's copy of a frame, such as the time of
--   sending. `make docs` makes it of the feeds' patterns (`Feed.stamped`).
-- param payload BLOB = NULL  -- the bytes of a frame
-- example: SELECT frame_key('{"e":"trade","E":1,"t":7}'::BLOB)
coalesce(encode(regexp_replace(TRY(decode($payload)),
        '([{,]\s*)"(?:detectedTimestampUs|dispatchTimestampUs|abnormalDetectionLatency)"\s*:\s*(?:"?\d+"?|true|false|null)'
        || '|' || '("e"\s*:\s*"(?:trade|aggTrade|depthUpdate|kline|avgPrice|(?:24hr|\d+[hd])(?:Mini)?Ticker)"\s*,\s*)"E"\s*:\s*\d+'
        || '|' || '("topic"\s*:\s*"(?:publicTrade|allLiquidation|liquidation)\.[^"]*"(?:\s*,\s*"type"\s*:\s*"[a-z]*")?\s*,\s*)"ts"\s*:\s*\d+'
        || '|' || '()"us(?:In|Out|Diff)"\s*:\s*\d+\s*,?',
    '\1\2\3\4', 'g')), $payload)

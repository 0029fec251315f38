-- title: When a feed was not recorded
-- description: The intervals in which events of a feed may be missing: gaps that no other line covered, the
--   time before its first connection and after its last activity. They may overlap.
-- param feed VARCHAR = NULL  -- only this feed
-- column feed: the feed
-- column from_ns: last activity before the interval, ns since epoch
-- column to_ns: first frame after it; the largest BIGINT if there is none yet
-- example: FROM uncovered(feed := 'binance')
SELECT g.feed AS feed, g.from_ns AS from_ns, coalesce(g.to_ns, 9223372036854775807) AS to_ns
FROM gaps g
WHERE g.covered IS NOT TRUE
    AND g.from_ns IS NOT NULL
    AND ($feed IS NULL OR g.feed = $feed)
UNION ALL
SELECT
    c.feed,
    unnest([-9223372036854775808, max(greatest(c.opened_ns, c.last_heard_ns, c.closed_ns))]),
    unnest([min(c.opened_ns), 9223372036854775807])
FROM connections c
WHERE c.opened_ns IS NOT NULL
    AND ($feed IS NULL OR c.feed = $feed)
GROUP BY c.feed

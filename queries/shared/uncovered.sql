-- title: When a line was bare: without cover by itself or by another line
-- description: The intervals in which events of a feed may be missing: of each gap the part in which no other
--   line of the group had a connection, the time before the feed's first connection and after its
--   last activity. Intervals of one line do not overlap or touch; those of two lines or groups may.
--   A connection covers from its first frame, or from its handshake where that frame came more than 5 s
--   later, until its last proof of life, at most until it closed; in a gap that still lasts, one that may
--   live on covers until now. This is the only rule of what is bare.
-- param feed VARCHAR = NULL  -- only this feed
-- column feed: the feed
-- column line_group: the group of channels; NULL before the first and after the last activity of the feed
-- column line: the line that had no connection; NULL before the first and after the last activity
-- column from_ns: start of the interval, ns since epoch
-- column to_ns: its end; the largest BIGINT if there is none yet
-- example: FROM uncovered(feed := 'binance')
WITH lives AS (
    SELECT
        c.feed AS feed, c.line_group AS line_group, c.line AS line,
        covers_from(c.opened_ns, c.first_frame_ns) AS from_ns, c.first_frame_ns AS first_frame_ns,
        least(coalesce(c.last_heard_ns, c.opened_ns), c.closed_ns) AS heard_ns,
        c.closed_ns IS NULL AND coalesce(c.last_heard_ns, c.opened_ns) >= max(c.opened_ns) OVER (
            PARTITION BY c.feed, c.line_group, c.line
        ) AS alive
    FROM connections c
    WHERE c.opened_ns IS NOT NULL AND c.line IS NOT NULL AND ($feed IS NULL OR c.feed = $feed)
),
lost AS (
    SELECT g.feed AS feed, g.line_group AS line_group, g.line AS line, g.from_ns AS from_ns, g.to_ns AS to_ns
    FROM gaps g
    WHERE g.from_ns IS NOT NULL AND ($feed IS NULL OR g.feed = $feed)
),
lines AS (SELECT DISTINCT l.feed AS feed, l.line_group AS line_group, l.line AS line FROM lost l),
-- What begins (1) and ends (-1) for a line: its gaps (of the past, or lasting), and the connections
-- of the other lines (until their last proof of life, or as long as they may live).
edges AS (
    SELECT
        l.feed AS feed, l.line_group AS line_group, l.line AS line,
        unnest([l.from_ns, coalesce(l.to_ns, 9223372036854775807)]) AS ns,
        unnest([1, -1]) * (l.to_ns IS NOT NULL)::INTEGER AS past,
        unnest([1, -1]) * (l.to_ns IS NULL)::INTEGER AS lasting,
        0 AS heard, 0 AS alive
    FROM lost l
    UNION ALL
    SELECT
        l.feed, l.line_group, l.line,
        unnest([c.from_ns, c.heard_ns, CASE WHEN c.alive THEN 9223372036854775807 ELSE c.heard_ns END]),
        0, 0, unnest([1, -1, 0]), unnest([1, 0, -1])
    FROM lines l
    JOIN lives c ON c.first_frame_ns IS NOT NULL AND c.feed = l.feed AND c.line_group IS NOT DISTINCT FROM l.line_group
        AND c.line <> l.line AND c.heard_ns > c.from_ns
),
-- One row per moment at which something changes, so that no interval has no length.
moments AS (
    SELECT
        e.feed AS feed, e.line_group AS line_group, e.line AS line, e.ns AS ns,
        sum(sum(e.past)) OVER line > 0 AND sum(sum(e.heard)) OVER line = 0
            OR sum(sum(e.lasting)) OVER line > 0 AND sum(sum(e.alive)) OVER line = 0 AS bare
    FROM edges e
    GROUP BY e.feed, e.line_group, e.line, e.ns
    WINDOW line AS (PARTITION BY e.feed, e.line_group, e.line ORDER BY e.ns)
),
changes AS (
    SELECT m.*
    FROM moments m
    QUALIFY m.bare <> lag(m.bare, 1, false) OVER (
        PARTITION BY m.feed, m.line_group, m.line ORDER BY m.ns
    )
),
intervals AS (
    SELECT
        h.*, lead(h.ns) OVER (PARTITION BY h.feed, h.line_group, h.line ORDER BY h.ns) AS to_ns
    FROM changes h
)
SELECT
    i.feed AS feed, i.line_group AS line_group, i.line AS line, i.ns AS from_ns, i.to_ns AS to_ns
FROM intervals i
WHERE i.bare
UNION ALL
SELECT
    c.feed, NULL, NULL,
    unnest([-9223372036854775808, max(greatest(c.opened_ns, c.last_heard_ns, c.closed_ns))]),
    unnest([min(covers_from(c.opened_ns, c.first_frame_ns)), 9223372036854775807])
FROM connections c
WHERE c.opened_ns IS NOT NULL AND c.first_frame_ns IS NOT NULL
    AND ($feed IS NULL OR c.feed = $feed)
GROUP BY c.feed

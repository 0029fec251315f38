-- title: Uptime and gaps per feed, line and UTC day
-- description: connected_seconds is the time with an open connection and outside every gap; gap_seconds is the
--   time inside a gap; uptime = connected / (connected + gap). Connections of a line with different
--   channels are measured separately and added up. An open connection counts until its last recorded
--   activity, an open gap until the newest record. uncovered_seconds is the part of the gaps that no
--   other line covered. frames are those of the connections opened that day; NULL if there are none.
-- param since TIMESTAMPTZ = NULL  -- measure from this time
-- param until TIMESTAMPTZ = NULL  -- measure up to this time
-- param feed VARCHAR = NULL  -- only this feed
-- param line VARCHAR = NULL  -- only this line, e.g. A
-- topic: Record
-- plot: bar x=day y=gap_seconds series=feed,line
-- column day: start of the UTC day
-- column feed: the feed
-- column line: the line (A, B)
-- column connected_seconds: time with an open connection and outside every gap
-- column gap_seconds: time inside a gap
-- column uptime: connected / (connected + gap), 0 to 1; NULL if both are 0
-- column gaps: gaps that touch the day
-- column worst_gap_seconds: the longest gap's part of the day; NULL without a gap
-- column uncovered_seconds: the part of the gaps that no other line covered
-- column frames: data frames of the connections opened that day; NULL if there are none
-- example: recorder query coverage -p since '7d ago'
WITH newest AS (
    SELECT greatest(
        (SELECT max(greatest(c.recv_ns, c.last_heard_ns, c.closed_ns)) FROM connections c),
        (SELECT max(greatest(g.recv_ns, g.from_ns, g.to_ns)) FROM gaps g)
    ) AS ns
),
intervals AS (
    SELECT
        c.feed AS feed,
        c.line AS line,
        c.line_group AS line_group,
        c.opened_ns AS from_ns,
        greatest(c.opened_ns, coalesce(c.closed_ns, c.last_heard_ns)) AS to_ns,
        1 AS connected,
        0 AS gap,
        0 AS uncovered,
        c.opened_ns AS opened_ns,
        c.frames AS frames
    FROM connections c
    WHERE c.opened_ns IS NOT NULL
    UNION ALL
    SELECT
        g.feed,
        g.line,
        g.line_group,
        g.from_ns,
        greatest(g.from_ns, coalesce(g.to_ns, n.ns)),
        0,
        1,
        CASE WHEN g.covered THEN 0 ELSE 1 END,
        NULL,
        NULL
    FROM gaps g, newest n
    WHERE g.from_ns IS NOT NULL
),
clipped AS (
    SELECT
        i.* EXCLUDE (from_ns, to_ns),
        greatest(i.from_ns, epoch_ns($since)) AS from_ns,
        least(i.to_ns, epoch_ns($until)) AS to_ns
    FROM intervals i
    WHERE ($feed IS NULL OR i.feed = $feed)
        AND ($line IS NULL OR i.line = $line)
        AND ($since IS NULL OR i.to_ns > epoch_ns($since))
        AND ($until IS NULL OR i.from_ns < epoch_ns($until))
),
days AS (
    SELECT
        c.*,
        unnest(range(
            c.from_ns // 86400000000000,
            greatest(c.from_ns, c.to_ns - 1) // 86400000000000 + 1
        )) AS day
    FROM clipped c
),
pieces AS (
    SELECT
        d.* EXCLUDE (from_ns, to_ns),
        greatest(d.from_ns, d.day * 86400000000000) AS from_ns,
        least(d.to_ns, (d.day + 1) * 86400000000000) AS to_ns
    FROM days d
),
-- Each piece has an edge at its start and one at its end. The running sums between two edges are the
-- numbers of connections and gaps that are open there, so that overlaps are not counted twice.
edges AS (
    SELECT
        p.feed AS feed, p.line AS line, p.line_group AS line_group, p.day AS day, p.from_ns AS ns,
        p.connected AS connected, p.gap AS gap, p.uncovered AS uncovered
    FROM pieces p
    UNION ALL
    SELECT
        p.feed, p.line, p.line_group, p.day, p.to_ns,
        -p.connected, -p.gap, -p.uncovered
    FROM pieces p
),
stretches AS (
    SELECT
        e.feed AS feed,
        e.line AS line,
        e.day AS day,
        lead(e.ns) OVER edge - e.ns AS ns,
        sum(e.connected) OVER edge AS connected,
        sum(e.gap) OVER edge AS gap,
        sum(e.uncovered) OVER edge AS uncovered
    FROM edges e
    WINDOW edge AS (
        PARTITION BY e.feed, e.line, e.line_group, e.day
        ORDER BY e.ns
        ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
    )
),
measured AS (
    SELECT
        s.feed AS feed,
        s.line AS line,
        s.day AS day,
        coalesce(sum(s.ns) FILTER (s.connected > 0 AND s.gap = 0), 0) / 1e9 AS connected_seconds,
        coalesce(sum(s.ns) FILTER (s.gap > 0), 0) / 1e9 AS gap_seconds,
        coalesce(sum(s.ns) FILTER (s.uncovered > 0), 0) / 1e9 AS uncovered_seconds
    FROM stretches s
    GROUP BY s.feed, s.line, s.day
),
counted AS (
    SELECT
        p.feed AS feed,
        p.line AS line,
        p.day AS day,
        sum(p.gap)::BIGINT AS gaps,
        max(p.to_ns - p.from_ns) FILTER (p.gap = 1) / 1e9 AS worst_gap_seconds,
        (sum(p.frames) FILTER (p.opened_ns // 86400000000000 = p.day))::BIGINT AS frames
    FROM pieces p
    GROUP BY p.feed, p.line, p.day
)
SELECT
    make_timestamptz(m.day * 86400000000) AS day,
    m.feed AS feed,
    m.line AS line,
    m.connected_seconds AS connected_seconds,
    m.gap_seconds AS gap_seconds,
    m.connected_seconds / nullif(m.connected_seconds + m.gap_seconds, 0) AS uptime,
    c.gaps AS gaps,
    c.worst_gap_seconds AS worst_gap_seconds,
    m.uncovered_seconds AS uncovered_seconds,
    c.frames AS frames
FROM measured m
JOIN counted c ON c.feed = m.feed AND c.line IS NOT DISTINCT FROM m.line AND c.day = m.day
ORDER BY m.day, m.feed, m.line

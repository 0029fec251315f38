-- title: Uptime and gaps per feed, line and UTC day
-- description: A line carries one or more channels (groups of channels that share a connection), each by its
--   own connections. gap_seconds is the time inside a gap of at least one channel,
--   connected_seconds the time with an open connection and outside every gap: channels are not added
--   up. gap_share is the mean share of the channels that were away in gap_seconds, and uptime the share
--   of the channels' time that was connected: with c and g as a channel's seconds connected and in
--   gaps, uptime = sum(c) / (sum(c) + sum(g)). An open connection counts until its last recorded
--   activity, an open gap until the newest record; after a stop of the recorder, until the newest
--   record of a connection that did not stop. A gap of no length is left out. uncovered_seconds is the
--   part of gap_seconds in which a channel was bare: no other line covered it. frames are those of the
--   connections opened that day; NULL if there are none, or the number of one is unknown.
-- param since TIMESTAMPTZ = NULL  -- measure from this time
-- param until TIMESTAMPTZ = NULL  -- measure up to this time
-- param feed VARCHAR = NULL  -- only this feed
-- param line VARCHAR = NULL  -- only this line, e.g. A
-- topic: Record
-- plot: bar x=day y=gap_seconds series=feed,line
-- column day: start of the UTC day
-- column feed: the feed
-- column line: the line (A, B)
-- column channels: the line's groups of channels, each with its own connections
-- column connected_seconds: time with an open connection and outside every gap
-- column gap_seconds: time inside a gap of at least one channel
-- column gap_share: mean share of the channels that were away in gap_seconds, 0 to 1; NULL without a gap
-- column uptime: share of the channels' time that was connected, 0 to 1; NULL if there is none
-- column gaps: gaps of the channels that touch the day
-- column worst_gap_seconds: the longest gap's part of the day; NULL without a gap
-- column uncovered_seconds: the part of gap_seconds in which no other line covered a channel
-- column frames: data frames of the connections opened that day; NULL if there are none, or one is unknown
-- example: recorder query coverage --since '7d ago'
WITH newest AS (
    SELECT
        greatest(max(m.ns), (SELECT max(greatest(g.recv_ns, g.from_ns, g.to_ns)) FROM gaps g)) AS ns,
        max(m.ns) FILTER (m.reason IS DISTINCT FROM 'stopping') AS running_ns
    FROM (
        SELECT greatest(c.recv_ns, c.last_heard_ns, c.closed_ns) AS ns, c.reason AS reason
        FROM connections c
    ) m
),
lost AS (
    SELECT
        g.feed AS feed,
        g.line AS line,
        g.line_group AS line_group,
        g.from_ns AS from_ns,
        coalesce(g.to_ns, CASE g.cause WHEN 'the recorder was stopped' THEN n.running_ns ELSE n.ns END)
            AS to_ns
    FROM gaps g, newest n
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
        0 AS bare,
        c.opened_ns AS opened_ns,
        c.frames AS frames
    FROM connections c
    WHERE c.opened_ns IS NOT NULL
    UNION ALL
    SELECT l.feed, l.line, l.line_group, l.from_ns, l.to_ns, 0, 1, 0, NULL, NULL
    FROM lost l
    UNION ALL
    SELECT u.feed, u.line, u.line_group, u.from_ns, least(u.to_ns, n.ns), 0, 0, 1, NULL, NULL
    FROM uncovered(feed := $feed, as_of := $as_of) u, newest n
    WHERE u.line_group IS NOT NULL OR u.line IS NOT NULL
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
        AND (i.connected = 1 OR i.to_ns > i.from_ns)
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
        p.feed AS feed, p.line AS line, p.line_group AS line_group, p.day AS day,
        unnest([p.from_ns, p.to_ns]) AS ns, unnest([p.connected, -p.connected]) AS connected,
        unnest([p.gap, -p.gap]) AS gap, unnest([p.bare, -p.bare]) AS bare
    FROM pieces p
),
-- The state of one channel from each moment on until the next.
states AS (
    SELECT
        e.feed AS feed,
        e.line AS line,
        e.day AS day,
        e.ns AS ns,
        lead(e.ns) OVER channel AS next_ns,
        sum(sum(e.gap)) OVER channel > 0 AS gap,
        sum(sum(e.connected)) OVER channel > 0 AND sum(sum(e.gap)) OVER channel = 0 AS connected,
        sum(sum(e.bare)) OVER channel > 0 AND sum(sum(e.gap)) OVER channel > 0 AS bare
    FROM edges e
    GROUP BY e.feed, e.line, e.line_group, e.day, e.ns
    WINDOW channel AS (PARTITION BY e.feed, e.line, e.line_group, e.day ORDER BY e.ns)
),
-- The numbers of channels in each state, from each moment on until the next.
stretches AS (
    SELECT
        b.feed AS feed,
        b.line AS line,
        b.day AS day,
        lead(b.ns) OVER line - b.ns AS ns,
        sum(sum(b.gap)) OVER line AS gap,
        sum(sum(b.connected)) OVER line AS connected,
        sum(sum(b.bare)) OVER line AS bare
    FROM (
        SELECT
            s.feed AS feed, s.line AS line, s.day AS day, unnest([s.ns, s.next_ns]) AS ns,
            unnest([1, -1]) * s.gap::INTEGER AS gap,
            unnest([1, -1]) * s.connected::INTEGER AS connected,
            unnest([1, -1]) * s.bare::INTEGER AS bare
        FROM states s
        WHERE s.next_ns IS NOT NULL
    ) b
    GROUP BY b.feed, b.line, b.day, b.ns
    WINDOW line AS (PARTITION BY b.feed, b.line, b.day ORDER BY b.ns)
),
measured AS (
    SELECT
        s.feed AS feed,
        s.line AS line,
        s.day AS day,
        coalesce(sum(s.ns) FILTER (s.connected > 0 AND s.gap = 0), 0) / 1e9 AS connected_seconds,
        coalesce(sum(s.ns) FILTER (s.gap > 0), 0) / 1e9 AS gap_seconds,
        coalesce(sum(s.ns) FILTER (s.bare > 0), 0) / 1e9 AS uncovered_seconds,
        sum(s.ns * s.connected) / 1e9 AS channels_connected,
        sum(s.ns * s.gap) / 1e9 AS channels_away
    FROM stretches s
    GROUP BY s.feed, s.line, s.day
),
counted AS (
    SELECT
        p.feed AS feed,
        p.line AS line,
        p.day AS day,
        count(DISTINCT coalesce(p.line_group, '')) AS channels,
        sum(p.gap)::BIGINT AS gaps,
        max(p.to_ns - p.from_ns) FILTER (p.gap = 1) / 1e9 AS worst_gap_seconds,
        count(*) FILTER (p.opened_ns // 86400000000000 = p.day AND p.frames IS NULL) AS unknown,
        (sum(p.frames) FILTER (p.opened_ns // 86400000000000 = p.day))::BIGINT AS frames
    FROM pieces p
    GROUP BY p.feed, p.line, p.day
    HAVING max(p.connected) + max(p.gap) > 0
)
SELECT
    make_timestamptz(c.day * 86400000000) AS day,
    c.feed AS feed,
    c.line AS line,
    c.channels AS channels,
    coalesce(m.connected_seconds, 0) AS connected_seconds,
    coalesce(m.gap_seconds, 0) AS gap_seconds,
    m.channels_away / nullif(m.gap_seconds * c.channels, 0) AS gap_share,
    m.channels_connected / nullif(m.channels_connected + m.channels_away, 0) AS uptime,
    c.gaps AS gaps,
    c.worst_gap_seconds AS worst_gap_seconds,
    coalesce(m.uncovered_seconds, 0) AS uncovered_seconds,
    CASE WHEN c.unknown = 0 THEN c.frames END AS frames
FROM counted c
LEFT JOIN measured m ON m.feed = c.feed AND m.line IS NOT DISTINCT FROM c.line AND m.day = c.day
ORDER BY c.day, c.feed, c.line

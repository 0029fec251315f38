-- title: Frames, bytes and events per minute, per feed and table
-- description: The row 'frames' adds up all frames of the connections that were open in the period, divided by
--   the minutes from the first opening to the last activity; a connection that began before the period
--   or lived on after it is counted whole. It is NULL if the number of one is unknown (as_of). The other rows count a table's events
--   in the period, divided by those minutes of the recording that are in the period. per_minute is
--   NULL if the duration of the recording is unknown.
-- param since TIMESTAMPTZ = NULL  -- only events received at or after this time
-- param until TIMESTAMPTZ = NULL  -- only events received before this time
-- param feed VARCHAR = NULL  -- only this feed
-- topic: Record
-- plot: bar x=source y=per_minute series=feed
-- column feed: the feed
-- column source: frames, or the table that holds the events
-- column count: number of frames or events
-- column per_minute: number per minute; NULL if the duration of the recording is unknown
-- column bytes: payload bytes; only for frames
-- column bytes_per_minute: payload bytes per minute; only for frames
-- column first_time: first opening, or receipt of the first event
-- column last_time: last activity, or receipt of the last event
-- example: recorder query feed_rates -p since '1h ago'
WITH lives AS (
    SELECT
        c.feed AS feed,
        c.opened_ns AS from_ns,
        greatest(c.opened_ns, coalesce(c.closed_ns, c.last_heard_ns)) AS to_ns,
        c.frames AS frames,
        c.bytes AS bytes
    FROM connections c
    WHERE c.opened_ns IS NOT NULL
        AND ($feed IS NULL OR c.feed = $feed)
),
spans AS (
    SELECT
        l.feed AS feed,
        min(l.from_ns) AS from_ns,
        max(l.to_ns) AS to_ns,
        CASE WHEN count(l.frames) = count(*) THEN sum(l.frames)::BIGINT END AS frames,
        CASE WHEN count(l.bytes) = count(*) THEN sum(l.bytes)::BIGINT END AS bytes
    FROM lives l
    WHERE ($since IS NULL OR l.to_ns >= epoch_ns($since))
        AND ($until IS NULL OR l.from_ns < epoch_ns($until))
    GROUP BY l.feed
),
events AS (
    SELECT 'whales' AS source, t.feed AS feed, t.recv_time AS recv_time FROM whales t
    UNION ALL SELECT 'funding', t.feed, t.recv_time FROM funding t
    UNION ALL SELECT 'liquidations', t.feed, t.recv_time FROM liquidations t
    UNION ALL SELECT 'listings', t.feed, t.recv_time FROM listings t
    UNION ALL SELECT 'open_interest', t.feed, t.recv_time FROM open_interest t
    UNION ALL SELECT 'flows', t.feed, t.recv_time FROM flows t
    UNION ALL SELECT 'signals', t.feed, t.recv_time FROM signals t
    UNION ALL SELECT 'alerts', t.feed, t.recv_time FROM alerts t
    UNION ALL SELECT 'system_status', t.feed, t.recv_time FROM system_status t
    UNION ALL SELECT 'prices', t.feed, t.recv_time FROM prices t
),
counted AS (
    SELECT
        e.feed AS feed,
        e.source AS source,
        count(*) AS count,
        min(e.recv_time) AS first_time,
        max(e.recv_time) AS last_time
    FROM events e
    WHERE ($feed IS NULL OR e.feed = $feed)
        AND ($since IS NULL OR e.recv_time >= $since)
        AND ($until IS NULL OR e.recv_time < $until)
    GROUP BY e.feed, e.source
),
rates AS (
    SELECT
        s.feed AS feed,
        'frames' AS source,
        s.frames AS count,
        s.bytes AS bytes,
        (s.to_ns - s.from_ns) / 60e9 AS minutes,
        make_timestamptz(s.from_ns // 1000) AS first_time,
        make_timestamptz(s.to_ns // 1000) AS last_time
    FROM spans s
    UNION ALL
    SELECT
        c.feed,
        c.source,
        c.count,
        NULL,
        (least(s.to_ns, epoch_ns($until)) - greatest(s.from_ns, epoch_ns($since))) / 60e9,
        c.first_time,
        c.last_time
    FROM counted c
    LEFT JOIN spans s ON s.feed = c.feed
)
SELECT
    r.feed AS feed,
    r.source AS source,
    r.count AS count,
    r.count / nullif(greatest(r.minutes, 0), 0) AS per_minute,
    r.bytes AS bytes,
    r.bytes / nullif(greatest(r.minutes, 0), 0) AS bytes_per_minute,
    r.first_time AS first_time,
    r.last_time AS last_time
FROM rates r
ORDER BY r.feed, r.source <> 'frames', r.count DESC, r.source

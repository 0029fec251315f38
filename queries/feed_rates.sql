-- title: Frames, bytes and events per minute, per feed and table
-- description: Everything is counted by receive time: the row 'frames' has the frames received in the period on
--   all connections of the feed. Those of a connection that began before the period or lived on after
--   it are counted in the raw record, and the row is NULL where that is not there (pruned). The other
--   rows count a table's events in the period. minutes, by which per_minute = count / minutes divides,
--   are those of the recording that are in the period: from the feed's first opening or since, to its
--   last activity or until; gaps are not taken off. per_minute is NULL if there are none.
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
-- column minutes: minutes of the recording in the period; NULL if unknown
-- column first_time: start of those minutes, or receipt of the first event
-- column last_time: end of those minutes, or receipt of the last event
-- example: recorder query feed_rates --since '1h ago'
WITH lives AS (
    SELECT
        c.feed AS feed,
        c.connection AS connection,
        c.opened_ns AS from_ns,
        greatest(c.opened_ns, coalesce(c.closed_ns, c.last_heard_ns)) AS to_ns,
        greatest(c.opened_ns, c.last_heard_ns, c.closed_ns) AS last_ns,
        c.frames AS frames,
        c.bytes AS bytes
    FROM connections c
    WHERE c.opened_ns IS NOT NULL
        AND ($feed IS NULL OR c.feed = $feed)
),
inside AS (
    SELECT
        l.*,
        l.frames IS NULL OR l.bytes IS NULL
            OR coalesce(l.from_ns < epoch_ns($since), false)
            OR coalesce(l.last_ns >= epoch_ns($until), false) AS cut
    FROM lives l
    WHERE ($since IS NULL OR l.last_ns >= epoch_ns($since))
        AND ($until IS NULL OR l.from_ns < epoch_ns($until))
),
-- Connections that the period cuts, frame by frame.
read AS (
    SELECT
        i.feed AS feed,
        i.connection AS connection,
        count_if(r.kind IN ('text', 'binary', 'polled')) AS frames,
        coalesce(sum(octet_length(r.payload)) FILTER (r.kind IN ('text', 'binary', 'polled')), 0)::BIGINT AS bytes
    FROM inside i
    JOIN raw r ON r.feed = i.feed AND r.connection = i.connection
    WHERE i.cut
        AND ($as_of IS NULL OR r.recv_ns <= epoch_ns($as_of))
        AND ($since IS NULL OR r.date >= CAST(timezone('UTC', $since) AS DATE))
        AND ($since IS NULL OR r.recv_ns >= epoch_ns($since))
        AND ($until IS NULL OR r.recv_ns < epoch_ns($until))
    GROUP BY i.feed, i.connection
),
known AS (
    SELECT
        i.feed AS feed,
        i.from_ns AS from_ns,
        i.to_ns AS to_ns,
        CASE WHEN i.cut THEN r.frames ELSE i.frames END AS frames,
        CASE WHEN i.cut THEN r.bytes ELSE i.bytes END AS bytes
    FROM inside i
    LEFT JOIN read r ON r.feed = i.feed AND r.connection = i.connection
),
added AS (
    SELECT
        k.feed AS feed,
        min(k.from_ns) AS from_ns,
        max(k.to_ns) AS to_ns,
        CASE WHEN count(k.frames) = count(*) THEN sum(k.frames)::BIGINT END AS frames,
        CASE WHEN count(k.bytes) = count(*) THEN sum(k.bytes)::BIGINT END AS bytes
    FROM known k
    GROUP BY k.feed
),
spans AS (
    SELECT
        a.feed AS feed,
        greatest(a.from_ns, epoch_ns($since)) AS from_ns,
        least(a.to_ns, epoch_ns($until)) AS to_ns,
        a.frames AS frames,
        a.bytes AS bytes
    FROM added a
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
        (s.to_ns - s.from_ns) / 60e9,
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
    nullif(greatest(r.minutes, 0), 0) AS minutes,
    r.first_time AS first_time,
    r.last_time AS last_time
FROM rates r
ORDER BY r.feed, r.source <> 'frames', r.count DESC, r.source

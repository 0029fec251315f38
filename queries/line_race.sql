-- title: Which redundant line receives a frame first, and what each line alone would have missed
-- description: For feeds recorded on two or more lines. Equal frames are copies of one frame; what a service
--   stamps on each line's copy does not count (`frame_key`, by the feed's own pattern). Copies come
--   within a minute of each other. Where a line receives the same frame again within a minute, copies
--   come within a second, and the n-th of one line is a copy of the n-th of another. A frame belongs to
--   the period if its first arrival does, and counts from when all lines of the group had opened. wins
--   are the frames that this line received first; win_rate is their fraction of the frames that this
--   line and another one received. The advantage is the lead over the next line, in milliseconds, over
--   the wins. missed are the frames that only other lines received. While one connection of a line
--   replaces another, the older one counts. The query reads the sealed raw record, so the newest
--   frames are missing.
-- param since TIMESTAMPTZ = now() - INTERVAL 1 DAY  -- only frames received at or after this time
-- param until TIMESTAMPTZ = NULL  -- only frames received before this time
-- param feed VARCHAR = NULL  -- only this feed
-- topic: Latency
-- plot: bar x=feed,line_group y=win_rate series=line percent
-- column feed: the feed
-- column line_group: the group of channels that the lines share
-- column line: the line (A, B)
-- column arrivals: frames that the line received
-- column wins: frames that it received first, of those that another line received too
-- column win_rate: wins as a fraction of the frames that it and another line received
-- column advantage_p50: median lead over the next line for its wins, ms
-- column advantage_p90: 90th percentile of the lead, ms
-- column advantage_p99: 99th percentile of the lead, ms
-- column missed: frames that only other lines received
-- example: recorder query line_race --since '7d ago'
WITH raced AS (
    SELECT l.feed AS feed, l.line_group AS line_group, max(l.opened_ns) AS all_open_ns
    FROM (
        SELECT c.feed AS feed, c.line_group AS line_group, c.line AS line, min(c.opened_ns) AS opened_ns
        FROM connections c
        WHERE c.opened_ns IS NOT NULL AND c.line IS NOT NULL AND ($feed IS NULL OR c.feed = $feed)
        GROUP BY c.feed, c.line_group, c.line
    ) l
    GROUP BY l.feed, l.line_group
    HAVING count(*) > 1
),
speaking AS (
    SELECT
        c.feed AS feed,
        c.line_group AS line_group,
        c.line AS line,
        c.connection AS connection,
        c.stamped AS stamped,
        coalesce(max(coalesce(c.closed_ns, c.last_heard_ns)) OVER (
            PARTITION BY c.feed, c.line_group, c.line ORDER BY c.opened_ns, c.connection
            ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ), 0) AS since_ns
    FROM connections c
    WHERE c.opened_ns IS NOT NULL
),
-- Two minutes more on both sides, so that a frame whose copies lie across a border is whole.
arrived AS (
    SELECT
        c.feed AS feed,
        c.line_group AS line_group,
        c.line AS line,
        d.all_open_ns AS all_open_ns,
        r.recv_ns AS recv_ns,
        r.connection AS connection,
        r.seq AS seq,
        hash(frame_key(r.payload, c.stamped)) AS payload
    FROM raw r
    JOIN speaking c ON c.feed = r.feed AND c.connection = r.connection
        AND r.recv_ns >= c.since_ns
    JOIN raced d ON d.feed = c.feed AND d.line_group IS NOT DISTINCT FROM c.line_group
    WHERE r.kind IN ('text', 'binary')
        AND ($as_of IS NULL OR r.recv_ns <= epoch_ns($as_of))
        AND ($since IS NULL OR r.date >= CAST(timezone('UTC', $since - INTERVAL 2 MINUTE) AS DATE))
        AND ($since IS NULL OR r.recv_ns >= epoch_ns($since) - 120000000000)
        AND ($until IS NULL OR r.recv_ns < epoch_ns($until) + 120000000000)
),
spaced AS (
    SELECT
        a.*,
        coalesce(a.recv_ns - lag(a.recv_ns) OVER (
            PARTITION BY a.feed, a.line_group, a.payload ORDER BY a.recv_ns, a.line, a.connection, a.seq
        ), 0) AS pause_ns
    FROM arrived a
),
-- Arrivals of one payload without a pause of more than a minute, and of more than a second.
numbered AS (
    SELECT
        s.*,
        count_if(s.pause_ns > 60000000000) OVER follows AS minute,
        count_if(s.pause_ns > 1000000000) OVER follows AS second
    FROM spaced s
    WINDOW follows AS (
        PARTITION BY s.feed, s.line_group, s.payload ORDER BY s.recv_ns, s.line, s.connection, s.seq
    )
),
repeated AS (
    SELECT
        n.*,
        row_number() OVER (
            PARTITION BY n.feed, n.line_group, n.payload, n.minute, n.line ORDER BY n.recv_ns, n.connection, n.seq
        ) AS nth
    FROM numbered n
),
together AS (
    SELECT
        q.*,
        CASE WHEN max(q.nth) OVER (PARTITION BY q.feed, q.line_group, q.payload, q.minute) > 1
            THEN q.second END AS era
    FROM repeated q
),
counted AS (
    SELECT
        n.*,
        row_number() OVER (
            PARTITION BY n.feed, n.line_group, n.payload, n.minute, n.era, n.line
            ORDER BY n.recv_ns, n.connection, n.seq
        ) AS times
    FROM together n
),
placed AS (
    SELECT
        n.*,
        row_number() OVER frames AS place,
        count(*) OVER (PARTITION BY n.feed, n.line_group, n.payload, n.minute, n.era, n.times) AS brought_by,
        first_value(n.recv_ns) OVER frames AS first_ns,
        lead(n.recv_ns) OVER frames - n.recv_ns AS lead_ns
    FROM counted n
    WINDOW frames AS (
        PARTITION BY n.feed, n.line_group, n.payload, n.minute, n.era, n.times ORDER BY n.recv_ns, n.line
    )
    QUALIFY first_ns >= n.all_open_ns
        AND ($since IS NULL OR first_ns >= epoch_ns($since))
        AND ($until IS NULL OR first_ns < epoch_ns($until))
),
totals AS (
    SELECT p.feed AS feed, p.line_group AS line_group, count(*) FILTER (p.place = 1) AS frames
    FROM placed p
    GROUP BY p.feed, p.line_group
)
SELECT
    p.feed AS feed,
    p.line_group AS line_group,
    p.line AS line,
    count(*) AS arrivals,
    count(*) FILTER (p.place = 1 AND p.brought_by > 1) AS wins,
    wins / nullif(count(*) FILTER (p.brought_by > 1), 0) AS win_rate,
    quantile_cont(p.lead_ns, 0.5) FILTER (p.place = 1) / 1e6 AS advantage_p50,
    quantile_cont(p.lead_ns, 0.9) FILTER (p.place = 1) / 1e6 AS advantage_p90,
    quantile_cont(p.lead_ns, 0.99) FILTER (p.place = 1) / 1e6 AS advantage_p99,
    any_value(t.frames) - count(*) AS missed
FROM placed p
JOIN totals t ON t.feed = p.feed AND t.line_group IS NOT DISTINCT FROM p.line_group
GROUP BY p.feed, p.line_group, p.line
ORDER BY p.feed, p.line_group, p.line

-- title: Latency of one hop over time, in milliseconds
-- description: One row per bucket of receive time, feed and channel. Past events re-sent after a
--   subscription are left out; negative values stay in and are counted.
-- param bucket INTERVAL = INTERVAL 1 HOUR  -- width of a bucket, aligned to UTC
-- param hop VARCHAR = 'total'  -- total, network, detection or dispatch, as in latency_percentiles
-- param since TIMESTAMPTZ = NULL  -- only frames received at or after this time
-- param until TIMESTAMPTZ = NULL  -- only frames received before this time
-- param feed VARCHAR = NULL  -- only this feed
-- param channel VARCHAR = NULL  -- only this channel
-- example: recorder query latency_over_time -p bucket '5 minutes' -p hop network -p since '6h ago'
WITH measured AS (
    SELECT
        time_bucket($bucket, l.recv_time) AS time,
        l.feed AS feed,
        l.channel AS channel,
        CASE $hop
            WHEN 'total' THEN l.total_ns::DOUBLE
            WHEN 'network' THEN l.network_ns::DOUBLE
            WHEN 'detection' THEN (l.detected_ns::HUGEINT - l.publish_ns)::DOUBLE
            WHEN 'dispatch' THEN (l.dispatch_ns::HUGEINT - l.detected_ns)::DOUBLE
            ELSE error('hop is one of: total, network, detection, dispatch')
        END AS ns
    FROM latency l
    WHERE l.backfill IS NOT TRUE
        AND ($since IS NULL OR l.recv_time >= $since)
        AND ($until IS NULL OR l.recv_time < $until)
        AND ($feed IS NULL OR l.feed = $feed)
        AND ($channel IS NULL OR l.channel = $channel)
),
buckets AS (
    SELECT
        m.time AS time,
        m.feed AS feed,
        m.channel AS channel,
        count(*) AS count,
        quantile_cont(m.ns, [0.5, 0.9, 0.99]) AS p,
        max(m.ns) AS max,
        count(*) FILTER (m.ns < 0) AS negatives
    FROM measured m
    WHERE m.ns IS NOT NULL
    GROUP BY m.time, m.feed, m.channel
)
SELECT
    b.time AS time,
    b.feed AS feed,
    b.channel AS channel,
    b.count AS count,
    b.p[1] / 1e6 AS p50,
    b.p[2] / 1e6 AS p90,
    b.p[3] / 1e6 AS p99,
    b.max / 1e6 AS max,
    b.negatives AS negatives
FROM buckets b
ORDER BY b.time, b.feed, b.channel

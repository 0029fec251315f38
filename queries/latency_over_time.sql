-- title: Latency of one hop over time, in milliseconds
-- description: One row per bucket of receive time, feed and channel. Past events re-sent after a
--   subscription are left out; negative values are kept and counted.
-- param bucket INTERVAL = INTERVAL 1 HOUR  -- width of a bucket, aligned to UTC
-- param hop VARCHAR = 'total'  -- total, network, detection or dispatch, as in latency_percentiles
-- param since TIMESTAMPTZ = NULL  -- only frames received at or after this time
-- param until TIMESTAMPTZ = NULL  -- only frames received before this time
-- param feed VARCHAR = NULL  -- only this feed
-- param channel VARCHAR = NULL  -- only this channel
-- column time: start of the bucket
-- column feed: the feed
-- column channel: the service's own stream name
-- column count: frames on which the hop is known
-- column p50: median, ms
-- column p90: 90th percentile, ms
-- column p99: 99th percentile, ms
-- column max: largest, ms
-- column negatives: frames with a negative value
-- column clock_error_p50: our clock's estimated error, median, ms; NULL if unknown, or not in this hop
-- column clock_error_max: our clock's estimated error, largest, ms; NULL if unknown, or not in this hop
-- topic: Latency
-- plot: line x=time y=p50,p99 series=feed,channel unit=ms log
-- example: recorder query latency_over_time --bucket '5 minutes' --hop network --since '6h ago'
WITH measured AS (
    SELECT
        time_bucket($bucket, h.recv_time) AS time,
        h.feed AS feed,
        h.channel AS channel,
        CASE $hop
            WHEN 'total' THEN h.total
            WHEN 'network' THEN h.network
            WHEN 'detection' THEN h.detection
            WHEN 'dispatch' THEN h.dispatch
            ELSE error('hop is one of: total, network, detection, dispatch')
        END AS ns,
        CASE WHEN $hop IN ('total', 'network') THEN h.clock_error_ns END AS clock_error_ns
    FROM latency_hops(since := $since, until := $until, feed := $feed, channel := $channel, as_of := $as_of) h
),
buckets AS (
    SELECT
        m.time AS time,
        m.feed AS feed,
        m.channel AS channel,
        count(*) AS count,
        quantile_cont(m.ns, [0.5, 0.9, 0.99, 1.0]) AS p,
        count_if(m.ns < 0) AS negatives,
        quantile_cont(m.clock_error_ns, [0.5, 1.0]) AS clock
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
    b.p[4] / 1e6 AS max,
    b.negatives::BIGINT AS negatives,
    b.clock[1] / 1e6 AS clock_error_p50,
    b.clock[2] / 1e6 AS clock_error_max
FROM buckets b
ORDER BY b.time, b.feed, b.channel

-- title: Latency by hour of the day (UTC), in milliseconds
-- description: One row per feed, hop and hour of UTC, over all days of the period. The hops are those of
--   latency_percentiles. Past events re-sent after a subscription are left out; negative values are
--   kept.
-- param hop VARCHAR = NULL  -- only this hop: total, network, detection or dispatch
-- param since TIMESTAMPTZ = NULL  -- only frames received at or after this time
-- param until TIMESTAMPTZ = NULL  -- only frames received before this time
-- param feed VARCHAR = NULL  -- only this feed
-- param channel VARCHAR = NULL  -- only this channel
-- column feed: the feed
-- column hop: detection, dispatch, network or total
-- column hour: hour of the day of the receive time, UTC, 0 to 23
-- column count: frames on which the hop is known
-- column days: UTC days with frames of the feed in this hour
-- column p50: median, ms
-- column p90: 90th percentile, ms
-- column p99: 99th percentile, ms
-- column max: largest, ms
-- column clock_error_p50: our clock's estimated error, median, ms; NULL if unknown, or not in this hop
-- column clock_error_max: our clock's estimated error, largest, ms; NULL if unknown, or not in this hop
-- topic: Latency
-- plot: line x=hour y=p50,p99 series=feed,hop unit=ms log
-- example: recorder query latency_heatmap --hop total --since '30d ago'
WITH hours AS (
    SELECT
        h.feed AS feed,
        (h.recv_ns // 3600000000000 % 24)::INTEGER AS hour,
        h.recv_ns // 86400000000000 AS day,
        h.clock_error_ns AS clock_error_ns,
        CASE WHEN coalesce($hop, 'detection') = 'detection' THEN h.detection END AS detection,
        CASE WHEN coalesce($hop, 'dispatch') = 'dispatch' THEN h.dispatch END AS dispatch,
        CASE WHEN coalesce($hop, 'network') = 'network' THEN h.network END AS network,
        CASE WHEN coalesce($hop, 'total') = 'total' THEN h.total END AS total
    FROM latency_hops(since := $since, until := $until, feed := $feed, channel := $channel, as_of := $as_of) h
    WHERE coalesce($hop, 'total') IN ('total', 'network', 'detection', 'dispatch')
        OR error('hop is one of: total, network, detection, dispatch')
),
measured AS (
    SELECT
        h.feed AS feed,
        h.hour AS hour,
        count(DISTINCT h.day) AS days,
        unnest([
            {
                'hop': 'detection',
                'clock': NULL::DOUBLE[],
                'count': count(h.detection),
                'p': quantile_cont(h.detection, [0.5, 0.9, 0.99, 1.0])
            },
            {
                'hop': 'dispatch',
                'clock': NULL::DOUBLE[],
                'count': count(h.dispatch),
                'p': quantile_cont(h.dispatch, [0.5, 0.9, 0.99, 1.0])
            },
            {
                'hop': 'network',
                'clock': quantile_cont(h.clock_error_ns, [0.5, 1.0]) FILTER (h.network IS NOT NULL),
                'count': count(h.network),
                'p': quantile_cont(h.network, [0.5, 0.9, 0.99, 1.0])
            },
            {
                'hop': 'total',
                'clock': quantile_cont(h.clock_error_ns, [0.5, 1.0]) FILTER (h.total IS NOT NULL),
                'count': count(h.total),
                'p': quantile_cont(h.total, [0.5, 0.9, 0.99, 1.0])
            }
        ]) AS found
    FROM hours h
    GROUP BY h.feed, h.hour
)
SELECT
    m.feed AS feed,
    m.found.hop AS hop,
    m.hour AS hour,
    m.found.count AS count,
    m.days AS days,
    m.found.p[1] / 1e6 AS p50,
    m.found.p[2] / 1e6 AS p90,
    m.found.p[3] / 1e6 AS p99,
    m.found.p[4] / 1e6 AS max,
    m.found.clock[1] / 1e6 AS clock_error_p50,
    m.found.clock[2] / 1e6 AS clock_error_max
FROM measured m
WHERE m.found.count > 0
ORDER BY m.feed, m.found.hop, m.hour

-- title: Latency percentiles per feed, channel and hop, in milliseconds
-- description: Hops: detection (published to detected), dispatch (detected to sent), network (sent to
--   received) and total (published, or the event's own time, to received). A hop appears where its
--   two times are known. Past events re-sent after a subscription are left out; negative values,
--   which mean that two clocks disagree, stay in and are counted.
-- param since TIMESTAMPTZ = NULL  -- only frames received at or after this time
-- param until TIMESTAMPTZ = NULL  -- only frames received before this time
-- param feed VARCHAR = NULL  -- only this feed
-- param channel VARCHAR = NULL  -- only this channel
-- example: recorder query latency_percentiles -p since '1d ago'
WITH hops AS (
    SELECT
        l.feed AS feed,
        l.channel AS channel,
        -- HUGEINT: no pair of times that a feed may send can overflow the subtraction.
        (l.detected_ns::HUGEINT - l.publish_ns)::DOUBLE AS detection,
        (l.dispatch_ns::HUGEINT - l.detected_ns)::DOUBLE AS dispatch,
        l.network_ns::DOUBLE AS network,
        l.total_ns::DOUBLE AS total
    FROM latency l
    WHERE l.backfill IS NOT TRUE
        AND ($since IS NULL OR l.recv_time >= $since)
        AND ($until IS NULL OR l.recv_time < $until)
        AND ($feed IS NULL OR l.feed = $feed)
        AND ($channel IS NULL OR l.channel = $channel)
),
measured AS (
    SELECT
        h.feed AS feed,
        h.channel AS channel,
        unnest([
            {
                'hop': 'detection',
                'count': count(h.detection),
                'p': quantile_cont(h.detection, [0.5, 0.9, 0.99, 0.999]),
                'max': max(h.detection),
                'negatives': count(*) FILTER (h.detection < 0)
            },
            {
                'hop': 'dispatch',
                'count': count(h.dispatch),
                'p': quantile_cont(h.dispatch, [0.5, 0.9, 0.99, 0.999]),
                'max': max(h.dispatch),
                'negatives': count(*) FILTER (h.dispatch < 0)
            },
            {
                'hop': 'network',
                'count': count(h.network),
                'p': quantile_cont(h.network, [0.5, 0.9, 0.99, 0.999]),
                'max': max(h.network),
                'negatives': count(*) FILTER (h.network < 0)
            },
            {
                'hop': 'total',
                'count': count(h.total),
                'p': quantile_cont(h.total, [0.5, 0.9, 0.99, 0.999]),
                'max': max(h.total),
                'negatives': count(*) FILTER (h.total < 0)
            }
        ]) AS found
    FROM hops h
    GROUP BY h.feed, h.channel
)
SELECT
    m.feed AS feed,
    m.channel AS channel,
    m.found.hop AS hop,
    m.found.count AS count,
    m.found.p[1] / 1e6 AS p50,
    m.found.p[2] / 1e6 AS p90,
    m.found.p[3] / 1e6 AS p99,
    m.found.p[4] / 1e6 AS p99_9,
    m.found.max / 1e6 AS max,
    m.found.negatives AS negatives
FROM measured m
WHERE m.found.count > 0
ORDER BY m.feed, m.channel, m.found.hop

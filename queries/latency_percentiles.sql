-- title: Latency percentiles per feed, channel and hop, in milliseconds
-- description: Hops: detection (published to detected), dispatch (detected to sent), network (sent to
--   received) and total (published, or the event time, to received). A hop has a row if its two times
--   are known. Past events re-sent after a subscription are left out; negative values, which mean
--   that two clocks disagree, are kept and counted.
-- param since TIMESTAMPTZ = NULL  -- only frames received at or after this time
-- param until TIMESTAMPTZ = NULL  -- only frames received before this time
-- param feed VARCHAR = NULL  -- only this feed
-- param channel VARCHAR = NULL  -- only this channel
-- column feed: the feed
-- column channel: the service's own stream name
-- column hop: detection, dispatch, network or total
-- column count: frames on which the hop is known
-- column p50: median, ms
-- column p90: 90th percentile, ms
-- column p99: 99th percentile, ms
-- column p99_9: 99.9th percentile, ms; NULL with fewer than 1,000 frames, where it is the maximum by another name
-- column max: largest, ms
-- column negatives: frames with a negative value
-- column clock_error_p50: our clock's estimated error, median, ms; NULL if unknown, or not in this hop
-- column clock_error_max: our clock's estimated error, largest, ms; NULL if unknown, or not in this hop
-- topic: Latency
-- plot: dot x=feed,channel,hop y=p50,p90,p99 unit=ms log
-- example: recorder query latency_percentiles --since '1d ago'
WITH measured AS (
    SELECT
        h.feed AS feed,
        h.channel AS channel,
        -- The last of each list is the maximum; with the others it costs no extra time.
        unnest([
            {
                'hop': 'detection',
                'clock': NULL::DOUBLE[],
                'count': count(h.detection),
                'p': quantile_cont(h.detection, [0.5, 0.9, 0.99, 0.999, 1.0]),
                'negatives': count_if(h.detection < 0)
            },
            {
                'hop': 'dispatch',
                'clock': NULL::DOUBLE[],
                'count': count(h.dispatch),
                'p': quantile_cont(h.dispatch, [0.5, 0.9, 0.99, 0.999, 1.0]),
                'negatives': count_if(h.dispatch < 0)
            },
            {
                'hop': 'network',
                'clock': quantile_cont(h.clock_error_ns, [0.5, 1.0]) FILTER (h.network IS NOT NULL),
                'count': count(h.network),
                'p': quantile_cont(h.network, [0.5, 0.9, 0.99, 0.999, 1.0]),
                'negatives': count_if(h.network < 0)
            },
            {
                'hop': 'total',
                'clock': quantile_cont(h.clock_error_ns, [0.5, 1.0]) FILTER (h.total IS NOT NULL),
                'count': count(h.total),
                'p': quantile_cont(h.total, [0.5, 0.9, 0.99, 0.999, 1.0]),
                'negatives': count_if(h.total < 0)
            }
        ]) AS found
    FROM latency_hops(since := $since, until := $until, feed := $feed, channel := $channel, as_of := $as_of) h
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
    CASE WHEN m.found.count >= 1000 THEN m.found.p[4] / 1e6 END AS p99_9,
    m.found.p[5] / 1e6 AS max,
    m.found.negatives::BIGINT AS negatives,
    m.found.clock[1] / 1e6 AS clock_error_p50,
    m.found.clock[2] / 1e6 AS clock_error_max
FROM measured m
WHERE m.found.count > 0
ORDER BY m.feed, m.channel, m.found.hop

-- title: Latency by step from publication to receipt, in milliseconds
-- description: A frame passes up to four stages: published (or event, its event time, if the feed has no time
--   of publication), detected, dispatched and received. Each row is a step between two successive
--   stages. Frames with the same known stages form a path, and each path is measured separately, so
--   that its steps follow each other. Percentiles of steps do not add up to those of the path: to
--   draw a step, use start_p50 and end_p50, the percentiles of the time since the path's first
--   stage. Past events re-sent after a subscription are left out; negative values, which mean that
--   two clocks disagree, are kept and counted.
-- param since TIMESTAMPTZ = NULL  -- only frames received at or after this time
-- param until TIMESTAMPTZ = NULL  -- only frames received before this time
-- param feed VARCHAR = NULL  -- only this feed
-- param channel VARCHAR = NULL  -- only this channel
-- column feed: the feed
-- column channel: the service's own stream name
-- column path: the stages whose times are known for these frames, in order
-- column step: number of the step on its path, from 1
-- column from_stage: the stage where the step begins
-- column to_stage: the stage where it ends
-- column count: number of frames on this path
-- column p50: median duration of the step, ms
-- column p90: 90th percentile, ms
-- column p99: 99th percentile, ms
-- column max: longest, ms
-- column negatives: frames with a negative duration of the step
-- column start_p50: median time from the path's first stage to the step's start, ms
-- column end_p50: median time from the path's first stage to the step's end, ms
-- column start_p99: 99th percentile of the time to the step's start, ms
-- column end_p99: 99th percentile of the time to the step's end, ms
-- column clock_error_p50: our clock's estimated error, median, ms; NULL if unknown, or not in this step
-- column clock_error_max: our clock's estimated error, largest, ms; NULL if unknown, or not in this step
-- topic: Latency
-- plot: dot x=feed,channel,to_stage y=p50,p90,p99 unit=ms log
-- example: recorder query latency_waterfall --feed cryptolisting --since '1d ago'
WITH timed AS (
    SELECT
        h.feed AS feed,
        h.channel AS channel,
        h.clock_error_ns AS clock_error_ns,
        h.published AS published,
        h.started_ns IS NOT NULL AS has_start,
        h.detected_ns IS NOT NULL AS has_detected,
        h.dispatch_ns IS NOT NULL AS has_dispatch,
        TRY(h.detected_ns - h.started_ns) AS detected,
        TRY(h.dispatch_ns - coalesce(h.detected_ns, h.started_ns)) AS dispatched,
        TRY(h.recv_ns - coalesce(h.dispatch_ns, h.detected_ns, h.started_ns)) AS received,
        TRY(h.dispatch_ns - coalesce(h.started_ns, h.detected_ns)) AS until_dispatched,
        TRY(h.recv_ns - coalesce(h.started_ns, h.detected_ns, h.dispatch_ns)) AS until_received
    FROM latency_hops(since := $since, until := $until, feed := $feed, channel := $channel, as_of := $as_of) h
    WHERE h.started_ns IS NOT NULL OR h.detected_ns IS NOT NULL OR h.dispatch_ns IS NOT NULL
),
-- One pass over the frames; the lists are p50, p90, p99 and the maximum.
measured AS (
    SELECT
        t.feed AS feed,
        t.channel AS channel,
        list_filter([
            CASE WHEN t.has_start AND t.published THEN 'published' WHEN t.has_start THEN 'event' END,
            CASE WHEN t.has_detected THEN 'detected' END,
            CASE WHEN t.has_dispatch THEN 'dispatched' END,
            'received'
        ], lambda stage: stage IS NOT NULL) AS stages,
        count(*) AS frames,
        quantile_cont(t.clock_error_ns, [0.5, 1.0]) AS clock,
        [
            {
                'stage': 'detected',
                'p': quantile_cont(t.detected, [0.5, 0.9, 0.99, 1.0]),
                'ends': NULL::DOUBLE[], -- the step begins at the first stage: p50 and p99 of p
                'negatives': count_if(t.detected < 0)
            },
            {
                'stage': 'dispatched',
                'p': quantile_cont(t.dispatched, [0.5, 0.9, 0.99, 1.0]),
                'ends': quantile_cont(t.until_dispatched, [0.5, 0.99]),
                'negatives': count_if(t.dispatched < 0)
            },
            {
                'stage': 'received',
                'p': quantile_cont(t.received, [0.5, 0.9, 0.99, 1.0]),
                'ends': quantile_cont(t.until_received, [0.5, 0.99]),
                'negatives': count_if(t.received < 0)
            }
        ] AS arrivals
    FROM timed t
    GROUP BY t.feed, t.channel, t.published, t.has_start, t.has_detected, t.has_dispatch
),
steps AS (
    SELECT
        m.feed AS feed,
        m.channel AS channel,
        m.stages AS stages,
        m.frames AS frames,
        m.clock AS clock,
        unnest(list_filter(m.arrivals, lambda arrival: arrival.p IS NOT NULL)) AS arrival
    FROM measured m
),
placed AS (
    SELECT
        s.*,
        list_position(s.stages, s.arrival.stage) AS place,
        coalesce(s.arrival.ends, [s.arrival.p[1], s.arrival.p[3]]) AS ends
    FROM steps s
)
SELECT
    p.feed AS feed,
    p.channel AS channel,
    array_to_string(p.stages, ' > ') AS path,
    p.place - 1 AS step,
    p.stages[p.place - 1] AS from_stage,
    p.arrival.stage AS to_stage,
    p.frames AS count,
    p.arrival.p[1] / 1e6 AS p50,
    p.arrival.p[2] / 1e6 AS p90,
    p.arrival.p[3] / 1e6 AS p99,
    p.arrival.p[4] / 1e6 AS max,
    p.arrival.negatives::BIGINT AS negatives,
    coalesce(lag(p.ends[1]) OVER path, 0) / 1e6 AS start_p50,
    p.ends[1] / 1e6 AS end_p50,
    coalesce(lag(p.ends[2]) OVER path, 0) / 1e6 AS start_p99,
    p.ends[2] / 1e6 AS end_p99,
    CASE WHEN p.arrival.stage = 'received' THEN p.clock[1] / 1e6 END AS clock_error_p50,
    CASE WHEN p.arrival.stage = 'received' THEN p.clock[2] / 1e6 END AS clock_error_max
FROM placed p
WINDOW path AS (PARTITION BY p.feed, p.channel, p.stages ORDER BY p.place)
ORDER BY p.feed, p.channel, p.stages, p.place

-- title: The slowest frames of a hop, with SQL that shows them
-- description: The frames with the largest latency first. Past events re-sent after a subscription are left
--   out. frame is a SELECT that shows the frame as received; it needs the frame's segment sealed.
-- param hop VARCHAR = 'total'  -- total, network, detection or dispatch, as in latency_percentiles
-- param since TIMESTAMPTZ = NULL  -- only frames received at or after this time
-- param until TIMESTAMPTZ = NULL  -- only frames received before this time
-- param feed VARCHAR = NULL  -- only this feed
-- param channel VARCHAR = NULL  -- only this channel
-- param limit BIGINT = 20  -- at most this many rows
-- column recv_time: when we received the frame
-- column feed: the feed
-- column channel: the service's own stream name
-- column exchange: the venue
-- column symbol: the instrument
-- column hop: the hop
-- column latency_ms: latency of the hop, ms
-- column clock_error_ms: our clock's estimated error, ms; NULL if unknown, or not in this hop
-- column line: the line that carried the frame
-- column connection: the connection that carried it; feed, connection and seq lead to the raw frame
-- column seq: its number on the connection
-- column recv_ns: when we received the frame, ns since epoch
-- column frame: SQL that shows the raw frame
-- topic: Latency
-- plot: dot x=recv_time y=latency_ms series=channel log
-- example: recorder query slowest_frames --hop network --since '1d ago'
WITH measured AS (
    SELECT
        h.*,
        CASE $hop
            WHEN 'total' THEN h.total
            WHEN 'network' THEN h.network
            WHEN 'detection' THEN h.detection
            WHEN 'dispatch' THEN h.dispatch
            ELSE error('hop is one of: total, network, detection, dispatch')
        END AS ns
    FROM latency_hops(since := $since, until := $until, feed := $feed, channel := $channel, as_of := $as_of) h
),
slowest AS (
    SELECT m.*
    FROM measured m
    WHERE m.ns IS NOT NULL
    ORDER BY m.ns DESC, m.recv_ns, m.feed, m.connection, m.seq, m.item
    LIMIT $limit
)
SELECT
    s.recv_time AS recv_time,
    s.feed AS feed,
    s.channel AS channel,
    s.exchange AS exchange,
    s.symbol AS symbol,
    $hop AS hop,
    s.ns / 1e6 AS latency_ms,
    CASE WHEN $hop IN ('network', 'total') THEN s.clock_error_ns / 1e6 END AS clock_error_ms,
    s.line AS line,
    s.connection AS connection,
    s.seq AS seq,
    s.recv_ns AS recv_ns,
    format(
        'SELECT text FROM raw WHERE feed = ''{}'' AND date = ''{}'' AND connection = ''{}'' AND seq = {}',
        replace(s.feed, '''', ''''''),
        strftime(make_timestamp(s.recv_ns // 1000), '%Y-%m-%d'),
        replace(s.connection, '''', ''''''),
        s.seq
    ) AS frame
FROM slowest s
ORDER BY s.ns DESC, s.recv_ns, s.feed, s.connection, s.seq, s.item

-- title: The hops of every live frame, in nanoseconds
-- description: One row per live row of the table latency: past events and states re-sent after a subscription
--   are left out, as are duplicates from other lines. A hop is NULL if one of its two times is
--   unknown (or they are centuries apart); negative values are kept. Rows are not sorted.
-- param since TIMESTAMPTZ = NULL  -- only frames received at or after this time
-- param until TIMESTAMPTZ = NULL  -- only frames received before this time
-- param feed VARCHAR = NULL  -- only this feed
-- param channel VARCHAR = NULL  -- only this channel
-- column feed: the feed
-- column channel: the service's own stream name
-- column exchange: the venue
-- column symbol: the instrument
-- column recv_ns: when we received the frame, ns since epoch
-- column recv_time: recv_ns as a timestamp
-- column line: the line that carried the frame
-- column connection: the connection that carried it
-- column seq: its number on the connection
-- column item: the event within the frame
-- column started_ns: time of publication, or the event time if the feed has no time of publication
-- column published: true if started_ns is a time of publication
-- column detected_ns: time of detection by the service
-- column dispatch_ns: time of sending by the service
-- column detection: published to detected
-- column dispatch: detected to sent
-- column network: sent to received
-- column total: published (or the event time) to received
-- column clock_error_ns: the kernel's estimate of our clock's error, which affects network and total
-- example: SELECT quantile_cont(h.total, 0.5) FROM latency_hops(feed := 'binance') h
SELECT
    l.feed AS feed,
    l.channel AS channel,
    l.exchange AS exchange,
    l.symbol AS symbol,
    l.recv_ns AS recv_ns,
    l.recv_time AS recv_time,
    l.line AS line,
    l.connection AS connection,
    l.seq AS seq,
    l.item AS item,
    coalesce(l.publish_ns, l.event_ns) AS started_ns,
    l.publish_ns IS NOT NULL AS published,
    l.detected_ns AS detected_ns,
    l.dispatch_ns AS dispatch_ns,
    -- TRY: the difference of two times of a feed may exceed a BIGINT. Wider or floating types would
    -- make the percentiles a third slower.
    TRY(l.detected_ns - l.publish_ns) AS detection,
    TRY(l.dispatch_ns - l.detected_ns) AS dispatch,
    l.network_ns AS network,
    l.total_ns AS total,
    l.clock_error_ns AS clock_error_ns
FROM latency l
WHERE l.backfill IS NOT TRUE
    AND ($since IS NULL OR l.recv_time >= $since)
    AND ($until IS NULL OR l.recv_time < $until)
    AND ($feed IS NULL OR l.feed = $feed)
    AND ($channel IS NULL OR l.channel = $channel)

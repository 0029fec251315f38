-- title: Frames that could not be normalised, by reason
-- description: example is the newest payload of each group, cut to 120 characters; bytes that are not valid
--   UTF-8 are shown in hexadecimal. The raw record holds every payload in full.
-- param feed VARCHAR = NULL  -- only this feed
-- param channel VARCHAR = NULL  -- only this channel
-- param since TIMESTAMPTZ = NULL  -- only frames received at or after this time
-- param until TIMESTAMPTZ = NULL  -- only frames received before this time
-- param limit BIGINT = NULL  -- at most this many rows
-- topic: Record
-- plot: bar x=reason y=count series=feed
-- column feed: the feed
-- column channel: the service's own stream name; NULL if the frame does not say
-- column reason: why the frames were rejected
-- column count: number of frames
-- column first_time: when the first one was received
-- column last_time: when the last one was received
-- column example: the newest payload, cut to 120 characters
-- example: recorder query rejects_summary --since '1d ago'
WITH reasons AS (
    SELECT
        r.feed AS feed,
        r.channel AS channel,
        r.reason AS reason,
        count(*) AS count,
        min(r.recv_time) AS first_time,
        max(r.recv_time) AS last_time,
        arg_max(
            r.payload, {'ns': r.recv_ns, 'connection': r.connection, 'seq': r.seq, 'item': r.item}
        ) AS payload
    FROM rejects r
    WHERE ($feed IS NULL OR r.feed = $feed)
        AND ($channel IS NULL OR r.channel = $channel)
        AND ($since IS NULL OR r.recv_time >= $since)
        AND ($until IS NULL OR r.recv_time < $until)
    GROUP BY r.feed, r.channel, r.reason
)
SELECT
    n.feed AS feed,
    n.channel AS channel,
    n.reason AS reason,
    n.count AS count,
    n.first_time AS first_time,
    n.last_time AS last_time,
    left(coalesce(TRY(decode(n.payload)), hex(n.payload)), 120) AS example
FROM reasons n
ORDER BY n.count DESC, n.feed, n.channel, n.reason
LIMIT $limit

-- title: Condition of each feed and channel per UTC day
-- description: One word per day: complete (every moment had a connection, every file a proof), degraded (frames
--   may be missing: see causes), unverified (nothing contradicts it, but not all can be proven: files
--   without a digest, a channel without an event and without a known cadence), missing (no data
--   frame). A row without a channel is the feed as a whole. The day that lasts is judged up to
--   judged. Moments that another line covered are not bare.
-- param since TIMESTAMPTZ = NULL  -- days that end after this time
-- param until TIMESTAMPTZ = NULL  -- days that begin before this time
-- param feed VARCHAR = NULL  -- only this feed
-- param channel VARCHAR = NULL  -- only this channel
-- param condition VARCHAR = NULL  -- only this condition, e.g. degraded
-- topic: Record
-- column day: start of the UTC day
-- column feed: the feed
-- column channel: the service's own stream name; NULL for the feed as a whole
-- column condition: complete, degraded, unverified or missing
-- column bare_seconds: seconds in which frames may be missing
-- column causes: why, the longest first
-- column frames: frames recorded, markers included; NULL for a channel
-- column frames_missing: frames known to be missing by their numbers
-- column events: rows of the tables of events and of prices
-- column first: first frame; of a channel, the first one that became a row
-- column last: last frame, likewise
-- column judged: up to when the day was judged
-- example: recorder query conditions --since '7d ago'
SELECT
    c.day::TIMESTAMP AT TIME ZONE 'UTC' AS day,
    c.feed AS feed,
    c.channel AS channel,
    c.condition AS condition,
    c.bare_seconds AS bare_seconds,
    array_to_string([
        concat(x.cause, CASE
            WHEN x.seconds >= 60 THEN format(' ({:.1f} min)', x.seconds / 60)
            WHEN x.seconds > 0 THEN format(' ({:.1f} s)', x.seconds)
        END)
        FOR x IN c.causes::STRUCT(cause VARCHAR, seconds DOUBLE)[]
    ], '; ') AS causes,
    c.frames AS frames,
    c.frames_missing AS frames_missing,
    c.events AS events,
    make_timestamptz(c.first_ns // 1000) AS first,
    make_timestamptz(c.last_ns // 1000) AS last,
    make_timestamptz(c.judged_ns // 1000) AS judged
FROM conditions c
WHERE ($feed IS NULL OR c.feed = $feed)
    AND ($channel IS NULL OR c.channel = $channel)
    AND ($condition IS NULL OR c.condition = $condition)
    AND ($since IS NULL OR (c.day + 1)::TIMESTAMP AT TIME ZONE 'UTC' > $since)
    AND ($until IS NULL OR c.day::TIMESTAMP AT TIME ZONE 'UTC' < $until)
ORDER BY c.day, c.feed, c.channel NULLS FIRST

-- title: Liquidations per bucket, feed, exchange and side
-- description: One row per feed: where two feeds bring the same venue, each shows its liquidations. A
--   liquidation is in the bucket of its event time; of its receipt if the feed states none, or one
--   more than a day later.
--   position_side is the position that was closed: long, short, or unknown if the feed does not
--   say. notional_usd sums the liquidations of known dollar value; without_usd counts the others.
--   Some venues send only the largest liquidation per symbol and second, so their sums are too low.
-- param bucket INTERVAL = INTERVAL 1 HOUR  -- width of a bucket, aligned to UTC
-- param symbol VARCHAR = NULL  -- only this symbol, in any case
-- param exchange VARCHAR = NULL  -- only this exchange, in any case
-- param feed VARCHAR = NULL  -- only this feed
-- param since TIMESTAMPTZ = NULL  -- only liquidations of this time or later
-- param until TIMESTAMPTZ = NULL  -- only liquidations before this time
-- topic: Events
-- plot: bar x=time y=notional_usd series=position_side stacked
-- column time: start of the bucket
-- column exchange: the venue
-- column position_side: the position that was closed: long, short or unknown
-- column count: number of liquidations
-- column notional_usd: sum of the known dollar values; NULL if none is known
-- column largest_usd: the largest known dollar value
-- column without_usd: liquidations of unknown dollar value
-- column feed: the feed
-- example: recorder query liquidation_totals --bucket '15 minutes' --symbol BTCUSDT
WITH timed AS (
    SELECT
        q.*,
        coalesce(
            CASE WHEN q.event_ns::HUGEINT <= q.recv_ns + 86400000000000
                THEN TRY(make_timestamptz(q.event_ns // 1000)) END,
            q.recv_time
        ) AS happened
    FROM liquidations q
    -- Nothing happens more than a day after its receipt: a lake leaves out the days before.
    WHERE $since IS NULL OR q.recv_time >= $since - INTERVAL 1 DAY
)
SELECT
    time_bucket($bucket, l.happened) AS time,
    l.exchange AS exchange,
    coalesce(l.position_side, 'unknown') AS position_side,
    count(*) AS count,
    sum(l.notional_usd) AS notional_usd,
    max(l.notional_usd) AS largest_usd,
    count(*) FILTER (l.notional_usd IS NULL) AS without_usd,
    l.feed AS feed
FROM timed l
WHERE ($symbol IS NULL OR same_symbol(symbol := l.symbol, wanted := $symbol))
    AND ($exchange IS NULL OR l.exchange = lower($exchange))
    AND ($feed IS NULL OR l.feed = $feed)
    AND ($since IS NULL OR l.happened >= $since)
    AND ($until IS NULL OR l.happened < $until)
GROUP BY ALL
ORDER BY ALL

-- title: Liquidations per bucket, exchange and side
-- description: position_side is the position that was closed: long, short, or unknown where the feed
--   does not say. notional_usd sums the liquidations whose dollar value is known; without_usd counts
--   the others, which are in no sum. Some venues push only the largest per symbol and second, so
--   sums over them undercount.
-- param bucket INTERVAL = INTERVAL 1 HOUR  -- width of a bucket, aligned to UTC
-- param symbol VARCHAR = NULL  -- only this symbol, in any case
-- param exchange VARCHAR = NULL  -- only this exchange, in any case
-- param feed VARCHAR = NULL  -- only this feed
-- param since TIMESTAMPTZ = NULL  -- only liquidations received at or after this time
-- param until TIMESTAMPTZ = NULL  -- only liquidations received before this time
-- topic: Events
-- plot: bar x=time y=notional_usd series=position_side stacked
-- column time: begin of the bucket
-- column exchange: the venue
-- column position_side: the position that was closed: long, short or unknown
-- column count: liquidations
-- column notional_usd: sum of the known dollar values; NULL if none is known
-- column largest_usd: the largest of them
-- column without_usd: liquidations whose dollar value is unknown
-- example: recorder query liquidation_totals -p bucket '15 minutes' -p symbol BTCUSDT
SELECT
    time_bucket($bucket, l.recv_time) AS time,
    l.exchange AS exchange,
    coalesce(l.position_side, 'unknown') AS position_side,
    count(*) AS count,
    sum(l.notional_usd) AS notional_usd,
    max(l.notional_usd) AS largest_usd,
    count(*) FILTER (l.notional_usd IS NULL) AS without_usd
FROM liquidations l
WHERE ($symbol IS NULL OR same_symbol(symbol := l.symbol, wanted := $symbol))
    AND ($exchange IS NULL OR l.exchange = lower($exchange))
    AND ($feed IS NULL OR l.feed = $feed)
    AND ($since IS NULL OR l.recv_time >= $since)
    AND ($until IS NULL OR l.recv_time < $until)
GROUP BY ALL
ORDER BY ALL

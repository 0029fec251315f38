-- title: Funding rates over time, per exchange and symbol
-- description: One row per bucket of receive time, instrument and basis (expected: of the coming funding;
--   realised: exchanged): the last rate received in the bucket. A
--   bucket without rates has no row. Past observations re-sent after a subscription are left out.
-- param bucket INTERVAL = INTERVAL 1 HOUR  -- width of a bucket, aligned to UTC
-- param symbol VARCHAR = NULL  -- only this symbol, in any case
-- param exchange VARCHAR = NULL  -- only this exchange, in any case
-- param feed VARCHAR = NULL  -- only this feed
-- param since TIMESTAMPTZ = NULL  -- only rates received at or after this time
-- param until TIMESTAMPTZ = NULL  -- only rates received before this time
-- topic: Funding
-- plot: line x=time y=rate series=exchange,symbol percent
-- column time: start of the bucket
-- column exchange: the venue
-- column symbol: the instrument
-- column rate: the last rate of the bucket, a fraction per interval
-- column basis: expected, realised, or NULL if the feed does not say
-- column rate_per_hour: the rate as a fraction per hour; NULL if the interval is unknown
-- column annualised: the rate as a fraction per year; NULL if the interval is unknown
-- column count: rates received in the bucket
-- example: recorder query funding_over_time --bucket '15 minutes' --symbol BTCUSDT --since '1d ago'
WITH buckets AS (
    SELECT
        time_bucket($bucket, f.recv_time) AS time,
        f.exchange AS exchange,
        f.symbol AS symbol,
        f.basis AS basis,
        arg_max(
            {'rate': f.rate, 'hours': nullif(f.interval_hours, 0)},
            {'ns': f.recv_ns, 'connection': f.connection, 'seq': f.seq, 'item': f.item}
        ) AS seen,
        count(*) AS count
    FROM funding f
    WHERE f.rate IS NOT NULL
        AND f.backfill IS NOT TRUE
        AND ($symbol IS NULL OR same_symbol(symbol := f.symbol, wanted := $symbol))
        AND ($exchange IS NULL OR f.exchange = lower($exchange))
        AND ($feed IS NULL OR f.feed = $feed)
        AND ($since IS NULL OR f.recv_time >= $since)
        AND ($until IS NULL OR f.recv_time < $until)
    GROUP BY ALL
)
SELECT
    b.time AS time,
    b.exchange AS exchange,
    b.symbol AS symbol,
    b.seen.rate AS rate,
    b.basis AS basis,
    b.seen.rate / b.seen.hours AS rate_per_hour,
    b.seen.rate * 24 / b.seen.hours * 365 AS annualised,
    b.count AS count
FROM buckets b
ORDER BY ALL

-- title: Funding rates far from their history, farthest first
-- description: One row per instrument: its latest rate compared with all earlier rates of the period. z is the
--   distance from their mean in standard deviations; NULL if there are fewer than min_count or all
--   are equal. below is the fraction of them that are lower. All observations have the same weight,
--   whatever their distance in time. Past observations re-sent after a subscription are left out.
-- param min_count BIGINT = 10  -- the least number of earlier rates for a z-score
-- param symbol VARCHAR = NULL  -- only this symbol, in any case
-- param exchange VARCHAR = NULL  -- only this exchange, in any case
-- param feed VARCHAR = NULL  -- only this feed
-- param since TIMESTAMPTZ = NULL  -- only rates received at or after this time
-- param until TIMESTAMPTZ = NULL  -- as of this time: only rates received before it
-- param limit BIGINT = 50  -- at most this many rows
-- column exchange: the venue
-- column symbol: the instrument
-- column rate: the latest rate, a fraction per interval
-- column annualised: the latest rate as a fraction per year; NULL if the interval is unknown
-- column recv_time: when the latest rate was received
-- column z: standard deviations from the mean of the earlier rates
-- column below: fraction of the earlier rates that are lower, 0 to 1
-- column count: number of earlier rates
-- column mean: mean of the earlier rates
-- column stddev: standard deviation of the earlier rates (sample)
-- column min: the lowest rate of the period, including the latest
-- column min_time: when the lowest rate was first received
-- column max: the highest rate of the period, including the latest
-- column max_time: when the highest rate was first received
-- column first_time: when the first rate of the period was received
-- column gap: true if the feed has an uncovered gap between the first and the latest rate
-- column feed: the feed
-- topic: Funding
-- plot: dot x=symbol y=z series=exchange
-- example: recorder query funding_extremes -p exchange binance -p since '30d ago'
WITH observed AS (
    SELECT f.*
    FROM funding f
    WHERE isfinite(f.rate)
        AND f.backfill IS NOT TRUE
        AND ($symbol IS NULL OR same_symbol(symbol := f.symbol, wanted := $symbol))
        AND ($exchange IS NULL OR f.exchange = lower($exchange))
        AND ($feed IS NULL OR f.feed = $feed)
        AND ($since IS NULL OR f.recv_time >= $since)
        AND ($until IS NULL OR f.recv_time < $until)
),
summed AS (
    SELECT
        o.feed AS feed,
        o.exchange AS exchange,
        o.symbol AS symbol,
        arg_max(
            {'rate': o.rate, 'hours': o.interval_hours, 'time': o.recv_time, 'ns': o.recv_ns},
            {'ns': o.recv_ns, 'connection': o.connection, 'seq': o.seq, 'item': o.item}
        ) AS latest,
        min(o.recv_ns) AS first_ns,
        min(o.rate) AS min,
        arg_min(o.recv_ns, {'rate': o.rate, 'ns': o.recv_ns}) AS min_ns,
        max(o.rate) AS max,
        arg_max(o.recv_ns, {'rate': o.rate, 'ns': -o.recv_ns}) AS max_ns
    FROM observed o
    GROUP BY o.feed, o.exchange, o.symbol
),
-- Rates received at the same instant as the latest are not part of its history.
history AS (
    SELECT
        s.feed AS feed,
        s.exchange AS exchange,
        s.symbol AS symbol,
        count(*) AS count,
        avg(o.rate) AS mean,
        CASE WHEN min(o.rate) < max(o.rate) THEN sqrt(greatest(
            (sum((o.rate - s.min) * (o.rate - s.min)) - sum(o.rate - s.min) * avg(o.rate - s.min))
                / (count(*) - 1), 0)) END AS stddev,
        count_if(o.rate < s.latest.rate) AS lower
    FROM summed s
    JOIN observed o ON o.feed = s.feed
        AND o.exchange IS NOT DISTINCT FROM s.exchange
        AND o.symbol IS NOT DISTINCT FROM s.symbol
        AND o.recv_ns < s.latest.ns
    GROUP BY s.feed, s.exchange, s.symbol
),
scored AS (
    SELECT
        s.*,
        coalesce(h.count, 0) AS count,
        h.mean AS mean,
        h.stddev AS stddev,
        h.lower / h.count AS below,
        CASE WHEN h.count >= $min_count
            THEN (s.latest.rate - h.mean) / nullif(h.stddev, 0) END AS z
    FROM summed s
    LEFT JOIN history h ON h.feed = s.feed
        AND h.exchange IS NOT DISTINCT FROM s.exchange
        AND h.symbol IS NOT DISTINCT FROM s.symbol
),
chosen AS (
    SELECT
        row_number() OVER (
            ORDER BY abs(z.z) DESC NULLS LAST, abs(z.latest.rate) DESC, z.feed, z.exchange, z.symbol
        ) AS place,
        z.*
    FROM scored z
    ORDER BY place
    LIMIT $limit
),
missed AS (
    SELECT DISTINCT c.place AS place
    FROM chosen c
    JOIN uncovered(as_of := $as_of) u ON u.feed = c.feed AND u.from_ns < c.latest.ns AND u.to_ns > c.first_ns
)
SELECT
    c.exchange AS exchange,
    c.symbol AS symbol,
    c.latest.rate AS rate,
    c.latest.rate * 24 / nullif(c.latest.hours, 0) * 365 AS annualised,
    c.latest.time AS recv_time,
    c.z AS z,
    c.below AS below,
    c.count AS count,
    c.mean AS mean,
    c.stddev AS stddev,
    c.min AS min,
    make_timestamptz(c.min_ns // 1000) AS min_time,
    c.max AS max,
    make_timestamptz(c.max_ns // 1000) AS max_time,
    make_timestamptz(c.first_ns // 1000) AS first_time,
    m.place IS NOT NULL AS gap,
    c.feed AS feed
FROM chosen c
LEFT JOIN missed m ON m.place = c.place
ORDER BY c.place

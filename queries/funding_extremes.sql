-- title: Funding rates far from their history, farthest first
-- description: One row per instrument and basis (expected: of the coming funding; realised: exchanged): its
--   latest rate compared with all earlier rates of the period. Rates are compared per hour (rate /
--   interval_hours), so that a change of the interval does not change the rate; rates of unknown interval
--   only with each other. z is the distance from their mean in standard deviations; NULL if there are
--   fewer than min_count or all are equal. below is the fraction of them that are lower. For these,
--   each observation weighs the same. median, mad (median distance from it) and robust_z = (rate per
--   hour - median) / (1.4826 * mad) are over one rate per interval, the last of each. Past
--   observations re-sent after a subscription are left out.
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
-- column mean: mean of the earlier rates, per hour
-- column stddev: standard deviation of the earlier rates, per hour (sample)
-- column basis: expected, realised, or NULL if the feed does not say
-- column rate_per_hour: the latest rate, per hour; per interval if that is unknown
-- column intervals: earlier intervals with a rate
-- column median: median of one rate per earlier interval, per hour
-- column mad: median distance from that median, per hour
-- column robust_z: (rate_per_hour - median) / (1.4826 * mad); NULL with fewer than min_count, or mad 0
-- column min: the lowest rate of the period, including the latest, per hour
-- column min_time: when the lowest rate was first received
-- column max: the highest rate of the period, including the latest, per hour
-- column max_time: when the highest rate was first received
-- column first_time: when the first rate of the period was received
-- column gap: true if the feed has an uncovered gap between the first and the latest rate
-- column feed: the feed
-- topic: Funding
-- plot: dot x=symbol y=z series=exchange
-- example: recorder query funding_extremes --exchange binance --since '30d ago'
WITH observed AS (
    SELECT
        f.* EXCLUDE (rate), f.rate AS own_rate, f.rate / coalesce(nullif(f.interval_hours, 0), 1) AS rate,
        nullif(f.interval_hours, 0) IS NULL AS unknown
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
        o.basis AS basis,
        o.unknown AS unknown,
        arg_max(
            {'own_rate': o.own_rate, 'rate': o.rate, 'hours': o.interval_hours, 'time': o.recv_time,
             'ns': o.recv_ns},
            {'ns': o.recv_ns, 'connection': o.connection, 'seq': o.seq, 'item': o.item}
        ) AS latest,
        min(o.recv_ns) AS first_ns,
        min(o.rate) AS min,
        arg_min(o.recv_ns, {'rate': o.rate, 'ns': o.recv_ns}) AS min_ns,
        max(o.rate) AS max,
        arg_max(o.recv_ns, {'rate': o.rate, 'ns': -o.recv_ns}) AS max_ns
    FROM observed o
    GROUP BY o.feed, o.exchange, o.symbol, o.basis, o.unknown
    -- Where the interval is known by now, rates that came without it are another series.
    QUALIFY row_number() OVER (
        PARTITION BY o.feed, o.exchange, o.symbol, o.basis ORDER BY max(o.recv_ns) DESC, o.unknown
    ) = 1
),
-- Rates received at the same instant as the latest are not part of its history.
history AS (
    SELECT
        s.feed AS feed,
        s.exchange AS exchange,
        s.symbol AS symbol,
        s.basis AS basis,
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
        AND o.basis IS NOT DISTINCT FROM s.basis
        AND o.unknown = s.unknown
        AND o.recv_ns < s.latest.ns
    GROUP BY s.feed, s.exchange, s.symbol, s.basis
),
-- The last rate of each interval (by hours of UTC; of an hour if it is unknown) before the latest's.
intervals AS (
    SELECT
        s.feed AS feed, s.exchange AS exchange, s.symbol AS symbol, s.basis AS basis,
        arg_max(o.rate, {'ns': o.recv_ns, 'connection': o.connection, 'seq': o.seq, 'item': o.item}) AS rate
    FROM summed s
    JOIN observed o ON o.feed = s.feed
        AND o.exchange IS NOT DISTINCT FROM s.exchange
        AND o.symbol IS NOT DISTINCT FROM s.symbol
        AND o.basis IS NOT DISTINCT FROM s.basis
        AND o.unknown = s.unknown
    GROUP BY s.feed, s.exchange, s.symbol, s.basis, s.latest, o.interval_hours,
        o.recv_ns // greatest(coalesce(nullif(o.interval_hours, 0), 1) * 3600e9, 1)::BIGINT
    HAVING max(o.recv_ns) < s.latest.ns
),
middles AS (
    SELECT i.feed AS feed, i.exchange AS exchange, i.symbol AS symbol, i.basis AS basis,
        count(*) AS intervals, median(i.rate) AS median, mad(i.rate) AS mad
    FROM intervals i
    GROUP BY i.feed, i.exchange, i.symbol, i.basis
),
scored AS (
    SELECT
        s.*,
        coalesce(h.count, 0) AS count,
        h.mean AS mean,
        h.stddev AS stddev,
        h.lower / h.count AS below,
        coalesce(m.intervals, 0) AS intervals,
        m.median AS median,
        m.mad AS mad,
        CASE WHEN m.intervals >= $min_count
            THEN (s.latest.rate - m.median) / nullif(1.4826 * m.mad, 0) END AS robust_z,
        CASE WHEN h.count >= $min_count
            THEN (s.latest.rate - h.mean) / nullif(h.stddev, 0) END AS z
    FROM summed s
    LEFT JOIN history h ON h.feed = s.feed
        AND h.exchange IS NOT DISTINCT FROM s.exchange
        AND h.symbol IS NOT DISTINCT FROM s.symbol
        AND h.basis IS NOT DISTINCT FROM s.basis
    LEFT JOIN middles m ON m.feed = s.feed
        AND m.exchange IS NOT DISTINCT FROM s.exchange
        AND m.symbol IS NOT DISTINCT FROM s.symbol
        AND m.basis IS NOT DISTINCT FROM s.basis
),
chosen AS (
    SELECT
        row_number() OVER (
            ORDER BY abs(z.z) DESC NULLS LAST, abs(z.latest.rate) DESC, z.feed, z.exchange, z.symbol,
                z.basis
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
    c.latest.own_rate AS rate,
    c.latest.own_rate * 24 / nullif(c.latest.hours, 0) * 365 AS annualised,
    c.latest.time AS recv_time,
    c.z AS z,
    c.below AS below,
    c.count AS count,
    c.mean AS mean,
    c.stddev AS stddev,
    c.basis AS basis,
    c.latest.rate AS rate_per_hour,
    c.intervals AS intervals,
    c.median AS median,
    c.mad AS mad,
    c.robust_z AS robust_z,
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

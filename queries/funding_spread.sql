-- title: Widest funding spread between two exchanges, per asset
-- description: Compares the latest rate of each symbol across exchanges. asset_of finds the asset of a symbol
--   (BTCUSDT, BTC-USDT-SWAP, BTC-PERPETUAL and XBTUSD are BTC; 1000PEPEUSDT and kPEPE are PEPE).
--   Rates of known interval are compared per hour; rates of unknown interval only with each other,
--   per interval (see basis). Expected rates (of the coming funding) and realised ones are never
--   compared with each other (see stated). The two sides are always different exchanges. A rate older
--   than two of its intervals is left out. mean_spread is the difference of the two means over span: the
--   mean of one rate per interval, the last of each. hours_to_earn = costs / spread_per_hour, with the
--   costs of opening and closing both sides as a fraction (costs_bps / 10,000). Past observations
--   re-sent after a subscription are left out.
-- param asset VARCHAR = NULL  -- only this asset, e.g. BTC
-- param max_age INTERVAL = INTERVAL 1 DAY  -- leave out rates this much older than the newest one
-- param span INTERVAL = INTERVAL 7 DAY  -- the means are over this time up to the newest rate
-- param costs_bps DOUBLE = NULL  -- costs of the whole round trip, in basis points of one side
-- param until TIMESTAMPTZ = NULL  -- the latest as of this time: only observations received before it
-- param min_spread DOUBLE = NULL  -- only spreads of at least this much
-- param limit BIGINT = 50  -- at most this many rows
-- topic: Funding
-- plot: bar x=asset y=spread_annualised percent
-- column asset: the common asset
-- column basis: hour (rates are per hour) or interval (of unknown length)
-- column stated: expected, realised, or NULL if the feeds do not say
-- column spread: high_rate - low_rate
-- column spread_annualised: the spread as a fraction per year; NULL for basis interval
-- column high_exchange: the exchange of the highest rate
-- column high_symbol: the instrument of the highest rate
-- column high_rate: the highest rate, by basis
-- column low_exchange: the exchange of the lowest rate
-- column low_symbol: the instrument of the lowest rate
-- column low_rate: the lowest rate, by basis
-- column mean_spread: mean rate of the high side less that of the low side over span, by basis
-- column hours_to_earn: hours until the spread has earned the costs; NULL without costs, or if it earns nothing
-- column high_next_funding_time: the next funding of the high side; NULL if unknown
-- column low_next_funding_time: the next funding of the low side; NULL if unknown
-- column high_time: when the high rate was received
-- column low_time: when the low rate was received
-- example: recorder query funding_spread --asset BTC
WITH observed AS (
    SELECT
        f.exchange AS exchange, f.symbol AS symbol, f.basis AS stated, f.rate AS rate,
        nullif(f.interval_hours, 0) AS hours, f.next_funding_ns AS next_funding_ns,
        f.recv_time AS recv_time, f.recv_ns AS recv_ns,
        {'ns': f.recv_ns, 'connection': f.connection, 'seq': f.seq, 'item': f.item} AS nth
    FROM funding f
    WHERE f.rate IS NOT NULL
        AND f.backfill IS NOT TRUE
        AND f.exchange IS NOT NULL
        AND f.symbol IS NOT NULL
        AND ($until IS NULL OR f.recv_time < $until)
),
latest AS (
    SELECT
        o.exchange AS exchange,
        o.symbol AS symbol,
        o.stated AS stated,
        arg_max(
            {'recv_time': o.recv_time, 'rate': o.rate, 'hours': o.hours, 'next_ns': o.next_funding_ns},
            o.nth
        ) AS seen
    FROM observed o
    GROUP BY o.exchange, o.symbol, o.stated
),
newest AS (SELECT max(l.seen.recv_time) AS time FROM latest l),
rates AS (
    SELECT
        l.exchange AS exchange,
        l.symbol AS symbol,
        l.stated AS stated,
        if(in_dollars(l.exchange, l.symbol), asset_of(l.exchange, l.symbol), l.symbol) AS asset,
        CASE WHEN l.seen.hours IS NULL THEN 'interval' ELSE 'hour' END AS basis,
        l.seen.rate / coalesce(l.seen.hours, 1) AS rate,
        l.seen.next_ns AS next_ns,
        l.seen.recv_time AS recv_time
    FROM latest l, newest n
    WHERE ($max_age IS NULL OR l.seen.recv_time >= n.time - $max_age)
        AND (l.seen.hours IS NULL
            OR epoch_us(n.time) - epoch_us(l.seen.recv_time) <= 2 * l.seen.hours * 3600e6)
),
-- The widest pair can only consist of exchanges' highest and lowest rates.
extremes AS (
    SELECT
        r.asset AS asset,
        r.basis AS basis,
        r.stated AS stated,
        r.exchange AS exchange,
        arg_max(r, {'rate': r.rate, 'symbol': r.symbol}) AS highest,
        arg_min(r, {'rate': r.rate, 'symbol': r.symbol}) AS lowest
    FROM rates r
    WHERE $asset IS NULL OR r.asset = upper($asset)
    GROUP BY r.asset, r.basis, r.stated, r.exchange
),
pairs AS (
    SELECT
        h.asset AS asset,
        h.basis AS basis,
        h.stated AS stated,
        h.highest.rate - l.lowest.rate AS spread,
        h.highest AS high,
        l.lowest AS low
    FROM extremes h
    JOIN extremes l ON l.asset = h.asset AND l.basis = h.basis AND l.exchange <> h.exchange
        AND l.stated IS NOT DISTINCT FROM h.stated
    QUALIFY row_number() OVER (
        PARTITION BY h.asset, h.basis, h.stated
        ORDER BY h.highest.rate - l.lowest.rate DESC, h.exchange, l.exchange
    ) = 1
),
chosen AS (
    SELECT p.*
    FROM pairs p
    WHERE $min_spread IS NULL OR p.spread >= $min_spread
    ORDER BY p.basis, p.spread DESC, p.asset, p.stated
    LIMIT $limit
),
sides AS (
    SELECT DISTINCT unnest([c.high, c.low], recursive := true) FROM chosen c
),
-- One rate per interval: the last of those of the same hours of UTC (unknown intervals: of an hour).
per_interval AS (
    SELECT
        o.exchange AS exchange, o.symbol AS symbol, o.stated AS stated, o.hours IS NULL AS unknown,
        arg_max(o.rate, o.nth) / coalesce(any_value(o.hours), 1) AS rate
    FROM observed o
    JOIN sides s ON s.exchange = o.exchange AND s.symbol = o.symbol
        AND s.stated IS NOT DISTINCT FROM o.stated
    JOIN newest n ON o.recv_time > n.time - $span
    GROUP BY o.exchange, o.symbol, o.stated, o.hours,
        o.recv_ns // greatest(coalesce(o.hours, 1) * 3600e9, 1)::BIGINT
),
means AS (
    SELECT i.exchange AS exchange, i.symbol AS symbol, i.stated AS stated, i.unknown AS unknown,
        avg(i.rate) AS rate
    FROM per_interval i
    GROUP BY i.exchange, i.symbol, i.stated, i.unknown
)
SELECT
    p.asset AS asset,
    p.basis AS basis,
    p.stated AS stated,
    p.spread AS spread,
    CASE WHEN p.basis = 'hour' THEN p.spread * 24 * 365 END AS spread_annualised,
    p.high.exchange AS high_exchange,
    p.high.symbol AS high_symbol,
    p.high.rate AS high_rate,
    p.low.exchange AS low_exchange,
    p.low.symbol AS low_symbol,
    p.low.rate AS low_rate,
    h.rate - l.rate AS mean_spread,
    CASE WHEN p.basis = 'hour' AND p.spread > 0 THEN $costs_bps / 1e4 / p.spread END AS hours_to_earn,
    make_timestamptz(p.high.next_ns // 1000) AS high_next_funding_time,
    make_timestamptz(p.low.next_ns // 1000) AS low_next_funding_time,
    p.high.recv_time AS high_time,
    p.low.recv_time AS low_time
FROM chosen p
LEFT JOIN means h ON h.exchange = p.high.exchange AND h.symbol = p.high.symbol
    AND h.stated IS NOT DISTINCT FROM p.stated AND h.unknown = (p.basis = 'interval')
LEFT JOIN means l ON l.exchange = p.low.exchange AND l.symbol = p.low.symbol
    AND l.stated IS NOT DISTINCT FROM p.stated AND l.unknown = (p.basis = 'interval')
ORDER BY p.basis, p.spread DESC, p.asset, p.stated

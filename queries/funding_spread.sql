-- title: Widest funding spread between two exchanges, per asset
-- description: Compares the latest rate of each symbol across exchanges. asset_of finds the asset of a symbol
--   (BTCUSDT, BTC-USDT-SWAP, BTC-PERPETUAL and XBTUSD are BTC; 1000PEPEUSDT and kPEPE are PEPE).
--   Rates of known interval are compared per hour; rates of unknown interval only with each other,
--   per interval (see basis). The two sides are always different exchanges.
-- param asset VARCHAR = NULL  -- only this asset, e.g. BTC
-- param max_age INTERVAL = INTERVAL 1 DAY  -- leave out rates this much older than the newest one
-- param until TIMESTAMPTZ = NULL  -- the latest as of this time: only observations received before it
-- param min_spread DOUBLE = NULL  -- only spreads of at least this much
-- param limit BIGINT = 50  -- at most this many rows
-- topic: Funding
-- plot: bar x=asset y=spread_annualised percent
-- column asset: the common asset
-- column basis: hour (rates are per hour) or interval (of unknown length)
-- column spread: high_rate - low_rate
-- column spread_annualised: the spread as a fraction per year; NULL for basis interval
-- column high_exchange: the exchange of the highest rate
-- column high_symbol: the instrument of the highest rate
-- column high_rate: the highest rate, by basis
-- column low_exchange: the exchange of the lowest rate
-- column low_symbol: the instrument of the lowest rate
-- column low_rate: the lowest rate, by basis
-- column high_time: when the high rate was received
-- column low_time: when the low rate was received
-- example: recorder query funding_spread -p asset BTC
WITH latest AS (
    SELECT
        f.exchange AS exchange,
        f.symbol AS symbol,
        arg_max(
            {'recv_time': f.recv_time, 'rate': f.rate, 'hours': nullif(f.interval_hours, 0)},
            {'ns': f.recv_ns, 'connection': f.connection, 'seq': f.seq, 'item': f.item}
        ) AS seen
    FROM funding f
    WHERE f.rate IS NOT NULL
        AND f.exchange IS NOT NULL
        AND f.symbol IS NOT NULL
        AND ($until IS NULL OR f.recv_time < $until)
    GROUP BY f.exchange, f.symbol
),
rates AS (
    SELECT
        l.exchange AS exchange,
        l.symbol AS symbol,
        if(in_dollars(l.exchange, l.symbol), asset_of(l.exchange, l.symbol), l.symbol) AS asset,
        CASE WHEN l.seen.hours IS NULL THEN 'interval' ELSE 'hour' END AS basis,
        l.seen.rate / coalesce(l.seen.hours, 1) AS rate,
        l.seen.recv_time AS recv_time
    FROM latest l
    WHERE $max_age IS NULL
        OR l.seen.recv_time >= (SELECT max(n.seen.recv_time) FROM latest n) - $max_age
),
-- The widest pair can only consist of exchanges' highest and lowest rates.
extremes AS (
    SELECT
        r.asset AS asset,
        r.basis AS basis,
        r.exchange AS exchange,
        arg_max(r, {'rate': r.rate, 'symbol': r.symbol}) AS highest,
        arg_min(r, {'rate': r.rate, 'symbol': r.symbol}) AS lowest
    FROM rates r
    WHERE $asset IS NULL OR r.asset = upper($asset)
    GROUP BY r.asset, r.basis, r.exchange
),
pairs AS (
    SELECT
        h.asset AS asset,
        h.basis AS basis,
        h.highest.rate - l.lowest.rate AS spread,
        h.highest AS high,
        l.lowest AS low
    FROM extremes h
    JOIN extremes l ON l.asset = h.asset AND l.basis = h.basis AND l.exchange <> h.exchange
    QUALIFY row_number() OVER (
        PARTITION BY h.asset, h.basis
        ORDER BY h.highest.rate - l.lowest.rate DESC, h.exchange, l.exchange
    ) = 1
)
SELECT
    p.asset AS asset,
    p.basis AS basis,
    p.spread AS spread,
    CASE WHEN p.basis = 'hour' THEN p.spread * 24 * 365 END AS spread_annualised,
    p.high.exchange AS high_exchange,
    p.high.symbol AS high_symbol,
    p.high.rate AS high_rate,
    p.low.exchange AS low_exchange,
    p.low.symbol AS low_symbol,
    p.low.rate AS low_rate,
    p.high.recv_time AS high_time,
    p.low.recv_time AS low_time
FROM pairs p
WHERE $min_spread IS NULL OR p.spread >= $min_spread
ORDER BY p.basis, p.spread DESC, p.asset
LIMIT $limit

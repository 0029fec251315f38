-- title: Latest funding rate per exchange and symbol, annualised
-- description: The newest observation with a rate, without past ones that were re-sent after a subscription.
--   basis says whether it is expected (of the coming funding) or was realised; the two are not mixed:
--   a realised rate is shown only where the venue states no other. annualised = rate * 24 / interval_hours * 365, a fraction
--   per year (0.1 = 10 %) by the interval of the observation; NULL if the interval is unknown.
-- param symbol VARCHAR = NULL  -- only this symbol, in any case
-- param exchange VARCHAR = NULL  -- only this exchange, in any case
-- param feed VARCHAR = NULL  -- only this feed
-- param basis VARCHAR = NULL  -- only expected or realised rates
-- param since TIMESTAMPTZ = NULL  -- only observations received at or after this time
-- param until TIMESTAMPTZ = NULL  -- the latest as of this time: only observations received before it
-- param limit BIGINT = NULL  -- at most this many rows
-- topic: Funding
-- plot: dot x=symbol y=annualised series=exchange percent
-- column exchange: the venue
-- column symbol: the instrument
-- column rate: funding rate, a fraction per interval
-- column interval_hours: hours between two fundings; NULL if unknown
-- column basis: expected, realised, or NULL if the feed does not say
-- column rate_per_hour: the rate as a fraction per hour; NULL if the interval is unknown
-- column annualised: the rate as a fraction per year; NULL if the interval is unknown
-- column predicted_rate: the next interval's predicted rate, a fraction
-- column next_funding_time: time of the next funding
-- column mark_price: mark price at the observation
-- column index_price: index price at the observation
-- column recv_time: when we received the observation
-- column feed: the feed
-- example: recorder query funding_rates --exchange binance --limit 20
WITH latest AS (
    SELECT
        f.exchange AS exchange,
        f.symbol AS symbol,
        f.basis AS basis,
        arg_max(
            {
                'recv_time': f.recv_time,
                'feed': f.feed,
                'rate': f.rate,
                'interval_hours': f.interval_hours,
                'predicted_rate': f.predicted_rate,
                'next_funding_ns': f.next_funding_ns,
                'mark_price': f.mark_price,
                'index_price': f.index_price
            },
            {'ns': f.recv_ns, 'connection': f.connection, 'seq': f.seq, 'item': f.item}
        ) AS seen
    FROM funding f
    WHERE f.rate IS NOT NULL
        AND f.backfill IS NOT TRUE
        AND ($basis IS NULL OR f.basis = lower($basis))
        AND ($symbol IS NULL OR same_symbol(symbol := f.symbol, wanted := $symbol))
        AND ($exchange IS NULL OR f.exchange = lower($exchange))
        AND ($feed IS NULL OR f.feed = $feed)
        AND ($since IS NULL OR f.recv_time >= $since)
        AND ($until IS NULL OR f.recv_time < $until)
    GROUP BY f.exchange, f.symbol, f.basis
    QUALIFY row_number() OVER (
        PARTITION BY f.exchange, f.symbol
        ORDER BY f.basis IS NOT DISTINCT FROM 'realised', f.basis NULLS LAST
    ) = 1
),
rates AS (
    SELECT
        l.exchange AS exchange,
        l.symbol AS symbol,
        l.basis AS basis,
        l.seen AS seen,
        l.seen.rate * 24 / nullif(l.seen.interval_hours, 0) * 365 AS annualised
    FROM latest l
)
SELECT
    r.exchange AS exchange,
    r.symbol AS symbol,
    r.seen.rate AS rate,
    r.seen.interval_hours AS interval_hours,
    r.basis AS basis,
    r.seen.rate / nullif(r.seen.interval_hours, 0) AS rate_per_hour,
    r.annualised AS annualised,
    r.seen.predicted_rate AS predicted_rate,
    make_timestamptz(r.seen.next_funding_ns // 1000) AS next_funding_time,
    r.seen.mark_price AS mark_price,
    r.seen.index_price AS index_price,
    r.seen.recv_time AS recv_time,
    r.seen.feed AS feed
FROM rates r
ORDER BY r.annualised DESC NULLS LAST, r.exchange, r.symbol
LIMIT $limit

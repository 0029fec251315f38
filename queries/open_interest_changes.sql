-- title: Change of the open interest over a period, largest first
-- description: One row per instrument: its latest observation, and the last one that had been received one
--   period earlier, which is unknown if it was older than max_age then. Changes are in the feed's
--   unit, or in dollars if the feed has no other unit. price_change_pct is the change of the
--   instrument's price between the same two moments, of the first of last, mark, mid and index that
--   is known at both. Past observations re-sent after a subscription are left out.
-- param period INTERVAL = INTERVAL 1 HOUR  -- time between the two observations
-- param max_age INTERVAL = INTERVAL 1 HOUR  -- an older observation or price counts as unknown
-- param symbol VARCHAR = NULL  -- only this symbol, in any case
-- param exchange VARCHAR = NULL  -- only this exchange, in any case
-- param feed VARCHAR = NULL  -- only this feed
-- param until TIMESTAMPTZ = NULL  -- as of this time: only observations received before it
-- param limit BIGINT = 50  -- at most this many rows
-- column recv_time: when the latest observation was received
-- column exchange: the venue
-- column symbol: the instrument
-- column open_interest: the latest open interest, in the feed's unit
-- column open_interest_usd: the latest open interest, in dollars
-- column earlier_time: when the earlier observation was received; NULL if there is none
-- column earlier: the earlier open interest, in the feed's unit
-- column earlier_usd: the earlier open interest, in dollars
-- column change_pct: change between the two, per cent
-- column feed_change_pct: the change that the feed states, over the feed's own period, per cent
-- column price_kind: last, mark, mid or index; NULL if no price is known
-- column price_change_pct: change of the price between the two, per cent
-- column gap: true if the feed has an uncovered gap between the two
-- column feed: the feed
-- column connection: the connection that carried the latest observation
-- column seq: its frame's number on the connection
-- topic: Events
-- plot: dot x=symbol y=change_pct series=exchange
-- example: recorder query open_interest_changes --period '4 hours' --exchange bybit
WITH observed AS (
    SELECT o.*
    FROM open_interest o
    WHERE coalesce(o.open_interest, o.open_interest_usd) IS NOT NULL
        AND o.backfill IS NOT TRUE
        AND ($symbol IS NULL OR same_symbol(symbol := o.symbol, wanted := $symbol))
        AND ($exchange IS NULL OR o.exchange = lower($exchange))
        AND ($feed IS NULL OR o.feed = $feed)
        AND ($until IS NULL OR o.recv_time < $until)
),
latest AS (
    SELECT
        o.feed AS feed,
        o.exchange AS exchange,
        o.symbol AS symbol,
        max(o.recv_ns) AS recv_ns,
        arg_max(o, {'ns': o.recv_ns, 'connection': o.connection, 'seq': o.seq, 'item': o.item}) AS seen
    FROM observed o
    GROUP BY o.feed, o.exchange, o.symbol
),
earlier AS (
    SELECT
        l.feed AS feed,
        l.exchange AS exchange,
        l.symbol AS symbol,
        arg_max(o, {'ns': o.recv_ns, 'connection': o.connection, 'seq': o.seq, 'item': o.item}) AS seen
    FROM latest l
    JOIN observed o ON o.feed = l.feed
        AND o.exchange IS NOT DISTINCT FROM l.exchange
        AND o.symbol IS NOT DISTINCT FROM l.symbol
        AND o.recv_ns <= l.recv_ns - epoch_ns($period)
        AND o.recv_ns >= l.recv_ns - epoch_ns($period) - epoch_ns($max_age)
    GROUP BY l.feed, l.exchange, l.symbol
),
compared AS (
    SELECT
        l.feed AS feed,
        l.exchange AS exchange,
        l.symbol AS symbol,
        l.seen AS seen,
        e.seen AS before,
        100 * coalesce(
            l.seen.open_interest / nullif(e.seen.open_interest, 0) - 1,
            l.seen.open_interest_usd / nullif(e.seen.open_interest_usd, 0) - 1
        ) AS change_pct
    FROM latest l
    LEFT JOIN earlier e ON e.feed = l.feed
        AND e.exchange IS NOT DISTINCT FROM l.exchange
        AND e.symbol IS NOT DISTINCT FROM l.symbol
),
chosen AS (
    SELECT
        row_number() OVER (
            ORDER BY abs(c.change_pct) DESC NULLS LAST, c.feed, c.exchange, c.symbol
        ) AS place,
        c.*
    FROM compared c
    ORDER BY place
    LIMIT $limit
),
priced AS (
    SELECT
        c.place AS place,
        p.kind AS kind,
        arg_max(p.price, p.nth) FILTER (p.recv_ns <= c.before.recv_ns) AS price_before,
        arg_max(p.price, p.nth)
            FILTER (p.recv_ns >= c.seen.recv_ns - epoch_ns($max_age)) AS price_after
    FROM chosen c
    JOIN timely_prices(max_age := $max_age, as_of := $as_of) p ON p.symbol = c.symbol
        AND p.exchange IS NOT DISTINCT FROM c.exchange
        AND p.recv_ns >= c.before.recv_ns - epoch_ns($max_age)
        AND p.recv_ns <= c.seen.recv_ns
    GROUP BY c.place, p.kind, p.choice
    QUALIFY row_number() OVER (
        PARTITION BY c.place
        ORDER BY price_before IS NULL OR price_after IS NULL, p.choice NULLS LAST, p.kind
    ) = 1
),
missed AS (
    SELECT DISTINCT c.place AS place
    FROM chosen c
    JOIN uncovered(as_of := $as_of) u ON u.feed = c.feed
        AND u.from_ns < c.seen.recv_ns
        AND u.to_ns > coalesce(c.before.recv_ns, c.seen.recv_ns - epoch_ns($period))
)
SELECT
    c.seen.recv_time AS recv_time,
    c.exchange AS exchange,
    c.symbol AS symbol,
    c.seen.open_interest AS open_interest,
    c.seen.open_interest_usd AS open_interest_usd,
    c.before.recv_time AS earlier_time,
    c.before.open_interest AS earlier,
    c.before.open_interest_usd AS earlier_usd,
    c.change_pct AS change_pct,
    c.seen.change_pct AS feed_change_pct,
    CASE WHEN p.price_before IS NOT NULL AND p.price_after IS NOT NULL THEN p.kind END AS price_kind,
    100 * (p.price_after / nullif(p.price_before, 0) - 1) AS price_change_pct,
    m.place IS NOT NULL AS gap,
    c.feed AS feed,
    c.seen.connection AS connection,
    c.seen.seq AS seq
FROM chosen c
LEFT JOIN priced p ON p.place = c.place
LEFT JOIN missed m ON m.place = c.place
ORDER BY c.place

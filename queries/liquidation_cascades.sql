-- title: Bursts of liquidations, largest first
-- description: Liquidations of one instrument that follow each other within max_pause are one burst; bursts of
--   at least min_count are shown. notional_usd sums the liquidations of known dollar value. The price
--   before is the last one received before the burst, the price after the last one received by its
--   end; both are of the same instrument and kind (the first of last, mark, mid and index known then)
--   and not older than max_age. Some venues send only the largest liquidation per symbol and second,
--   so their counts and sums are too low. By asset, where several feeds bring one exchange's
--   liquidations of an asset, those of the feed with the most of them count. Past events re-sent after a subscription are left out.
-- param by VARCHAR = 'instrument'  -- instrument, or asset: over all instruments and exchanges of an asset
-- param max_pause INTERVAL = INTERVAL 10 SECOND  -- a longer pause ends a burst
-- param min_count BIGINT = 5  -- only bursts of at least this many liquidations
-- param min_usd DOUBLE = NULL  -- only bursts of at least this many dollars
-- param symbol VARCHAR = NULL  -- only this symbol, in any case
-- param exchange VARCHAR = NULL  -- only this exchange, in any case
-- param feed VARCHAR = NULL  -- only this feed
-- param max_age INTERVAL = INTERVAL 1 MINUTE  -- an older price counts as unknown
-- param since TIMESTAMPTZ = NULL  -- only liquidations received at or after this time
-- param until TIMESTAMPTZ = NULL  -- only liquidations received before this time
-- param limit BIGINT = 50  -- at most this many rows
-- column start_time: when the first liquidation was received
-- column end_time: when the last one was received
-- column duration_seconds: time from the first to the last
-- column exchange: the venue; NULL by asset
-- column symbol: the instrument, or the asset
-- column count: number of liquidations in the burst
-- column side: the position that was closed: long or short; mixed if both, unknown if the feed never says
-- column notional_usd: sum of the known dollar values; NULL if none is known
-- column long_usd: the part of notional_usd that closed longs
-- column short_usd: the part of notional_usd that closed shorts
-- column without_usd: liquidations of unknown dollar value
-- column price_kind: last, mark, mid or index; NULL if no price is known
-- column price_before: the last price received before the burst
-- column price_after: the last price received by the end of the burst
-- column change_pct: change between the two, per cent
-- column price_lowest: the lowest price of that kind from its first liquidation until a minute after its last
-- column price_highest: the highest one
-- column open_interest_usd: the instrument's last open interest received in the day before the burst
-- column share_of_open_interest_pct: notional_usd in per cent of it
-- column exchanges: the venues of its liquidations; NULL if unknown
-- column price_symbol: the instrument of the prices and of the open interest: that of the first liquidation
-- column gap: true if a feed of it has an uncovered gap within max_pause of the burst, which may have been longer
-- column feed: the feed; NULL by asset
-- column connection: the connection that carried the first liquidation
-- column seq: its frame's number on the connection
-- topic: Events
-- plot: dot x=start_time y=notional_usd series=exchange log
-- example: recorder query liquidation_cascades --min-usd 1000000 --since '7d ago'
WITH kept AS (
    SELECT q.*
    FROM liquidations q
    WHERE q.backfill IS NOT TRUE
        AND ($symbol IS NULL OR same_symbol(symbol := q.symbol, wanted := $symbol))
        AND ($exchange IS NULL OR q.exchange = lower($exchange))
        AND ($feed IS NULL OR q.feed = $feed)
        AND ($since IS NULL OR q.recv_time >= $since)
        AND ($until IS NULL OR q.recv_time < $until)
),
names AS (
    SELECT k.exchange AS exchange, k.symbol AS symbol, max(k.recv_ns) AS last_ns
    FROM kept k
    WHERE $by = 'asset'
    GROUP BY k.exchange, k.symbol
),
assets AS (
    SELECT n.exchange AS exchange, n.symbol AS symbol, asset_of(n.exchange, n.symbol, n.last_ns) AS asset
    FROM names n
),
-- Of the feeds that bring one exchange's liquidations of an asset, the one that brings most.
voices AS (
    SELECT k.feed AS feed, k.exchange AS exchange, a.asset AS asset
    FROM kept k
    JOIN assets a ON a.symbol = k.symbol AND a.exchange = k.exchange
    GROUP BY k.feed, k.exchange, a.asset
    QUALIFY row_number() OVER (PARTITION BY k.exchange, a.asset ORDER BY count(*) DESC, k.feed) = 1
),
series AS (
    SELECT k.*, k.feed AS of_feed, k.exchange AS of_exchange, k.symbol AS of_symbol
    FROM kept k
    WHERE $by = 'instrument'
    UNION ALL
    SELECT k.*, NULL, NULL, a.asset
    FROM kept k
    JOIN assets a ON a.symbol = k.symbol AND a.exchange IS NOT DISTINCT FROM k.exchange
    LEFT JOIN voices v ON v.exchange = k.exchange AND v.asset = a.asset
    WHERE a.asset IS NOT NULL AND (k.exchange IS NULL OR v.feed = k.feed)
),
spaced AS (
    SELECT
        q.*,
        lag(q.recv_ns) OVER follows IS NULL
            OR q.recv_ns - lag(q.recv_ns) OVER follows > epoch_ns($max_pause) AS begins
    FROM series q
    WINDOW follows AS (PARTITION BY q.of_feed, q.of_exchange, q.of_symbol ORDER BY q.recv_ns)
),
numbered AS (
    SELECT
        s.*,
        count_if(s.begins) OVER (
            PARTITION BY s.of_feed, s.of_exchange, s.of_symbol ORDER BY s.recv_ns
        ) AS burst
    FROM spaced s
),
bursts AS (
    SELECT
        n.of_feed AS feed,
        n.of_exchange AS exchange,
        n.of_symbol AS symbol,
        list_sort(list(DISTINCT n.feed)) AS feeds,
        list_sort(list(DISTINCT n.exchange) FILTER (n.exchange IS NOT NULL)) AS exchanges,
        min(n.recv_ns) AS from_ns,
        max(n.recv_ns) AS to_ns,
        count(*) AS count,
        CASE
            WHEN count(n.position_side) = 0 THEN 'unknown'
            WHEN count(DISTINCT n.position_side) = 1 THEN min(n.position_side)
            ELSE 'mixed'
        END AS side,
        sum(n.notional_usd) AS notional_usd,
        sum(n.notional_usd) FILTER (n.position_side = 'long') AS long_usd,
        sum(n.notional_usd) FILTER (n.position_side = 'short') AS short_usd,
        count(*) FILTER (n.notional_usd IS NULL) AS without_usd,
        arg_min(
            {'connection': n.connection, 'seq': n.seq, 'exchange': n.exchange, 'symbol': n.symbol},
            {'ns': n.recv_ns, 'connection': n.connection, 'seq': n.seq, 'item': n.item}
        ) AS first
    FROM numbered n
    GROUP BY n.of_feed, n.of_exchange, n.of_symbol, n.burst
),
chosen AS (
    SELECT
        row_number() OVER (
            ORDER BY b.notional_usd DESC NULLS LAST, b.count DESC, b.from_ns, b.feed, b.exchange, b.symbol
        ) AS place,
        b.*
    FROM bursts b
    WHERE b.count >= $min_count AND ($min_usd IS NULL OR b.notional_usd >= $min_usd)
    ORDER BY place
    LIMIT $limit
),
-- The prices at both ends, by kind; only the preferred kind is kept.
priced AS (
    SELECT
        c.place AS place,
        p.kind AS kind,
        arg_max(p.price, p.nth)
            FILTER (p.recv_ns < c.from_ns AND p.recv_ns >= c.from_ns - epoch_ns($max_age)) AS before,
        arg_max(p.price, p.nth)
            FILTER (p.recv_ns >= c.to_ns - epoch_ns($max_age) AND p.recv_ns <= c.to_ns) AS after,
        min(p.price) FILTER (p.recv_ns >= c.from_ns) AS lowest,
        max(p.price) FILTER (p.recv_ns >= c.from_ns) AS highest
    FROM chosen c
    JOIN timely_prices(max_age := $max_age, as_of := $as_of) p ON p.symbol = c.first.symbol
        AND p.exchange IS NOT DISTINCT FROM c.first.exchange
        AND p.recv_ns >= c.from_ns - epoch_ns($max_age)
        AND p.recv_ns <= c.to_ns + 60000000000
    GROUP BY c.place, p.kind, p.choice
    QUALIFY row_number() OVER (
        PARTITION BY c.place
        ORDER BY before IS NULL OR after IS NULL, before IS NULL, after IS NULL, p.choice NULLS LAST,
            p.kind
    ) = 1
),
-- The last open interest of the instrument known before the burst, of any feed, at most a day old.
interest AS (
    SELECT
        c.place AS place,
        arg_max(
            i.open_interest_usd,
            {'ns': i.recv_ns, 'feed': i.feed, 'connection': i.connection, 'seq': i.seq, 'item': i.item}
        ) AS usd
    FROM chosen c
    JOIN open_interest i ON i.symbol = c.first.symbol
        AND i.exchange IS NOT DISTINCT FROM c.first.exchange
        AND i.recv_ns < c.from_ns
        AND i.recv_ns >= c.from_ns - 86400000000000
    WHERE i.backfill IS NOT TRUE AND isfinite(i.open_interest_usd)
    GROUP BY c.place
),
missed AS (
    SELECT DISTINCT c.place AS place
    FROM chosen c
    JOIN uncovered(as_of := $as_of) u ON list_contains(c.feeds, u.feed)
        AND u.from_ns < c.to_ns + epoch_ns($max_pause)
        AND u.to_ns > c.from_ns - epoch_ns($max_pause)
)
SELECT
    make_timestamptz(c.from_ns // 1000) AS start_time,
    make_timestamptz(c.to_ns // 1000) AS end_time,
    (c.to_ns - c.from_ns) / 1e9 AS duration_seconds,
    c.exchange AS exchange,
    c.symbol AS symbol,
    c.count AS count,
    c.side AS side,
    c.notional_usd AS notional_usd,
    c.long_usd AS long_usd,
    c.short_usd AS short_usd,
    c.without_usd AS without_usd,
    p.kind AS price_kind,
    p.before AS price_before,
    p.after AS price_after,
    100 * (p.after / nullif(p.before, 0) - 1) AS change_pct,
    p.lowest AS price_lowest,
    p.highest AS price_highest,
    o.usd AS open_interest_usd,
    100 * c.notional_usd / nullif(o.usd, 0) AS share_of_open_interest_pct,
    c.exchanges AS exchanges,
    c.first.symbol AS price_symbol,
    m.place IS NOT NULL AS gap,
    c.feed AS feed,
    c.first.connection AS connection,
    c.first.seq AS seq
FROM chosen c
LEFT JOIN priced p ON p.place = c.place
LEFT JOIN interest o ON o.place = c.place
LEFT JOIN missed m ON m.place = c.place
ORDER BY c.place

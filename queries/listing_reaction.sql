-- title: Price changes after each listing, at several horizons
-- description: One row per announced ticker, recorded instrument of that asset, and horizon. asset_of matches a
--   ticker with the venues' symbols (FOOUSDT, FOO-USDT-SWAP and 1000FOOUSDT are FOO; quotes in dollars
--   or dollar coins only, no options); price_symbol is the matching one, NULL if none is recorded. A price is the
--   last one received by that moment, of one kind per instrument: the first of last, mark, mid and
--   index that was known at the announcement's receipt; if none was, the kind whose price came first
--   within the longest horizon (of several at once, in that order). A price is unknown
--   if it was older than max_age. change_pct is from the receipt: what could be traded.
--   move_before_receipt_pct is what had happened between publication and receipt. btc_change_pct is
--   the change of BTC on the same feed and exchange, of the same kind: of the instrument with the most
--   such prices in the max_age before the receipt (of several, the first by name). abnormal_pct =
--   change_pct - btc_change_pct. Past announcements re-sent after a subscription are left out.
-- param ticker VARCHAR = NULL  -- only this ticker, in any case
-- param listing_type VARCHAR = NULL  -- only this type, e.g. spot_listing
-- param exchange VARCHAR = NULL  -- only listings announced by this exchange, in any case
-- param price_exchange VARCHAR = NULL  -- only prices of this exchange, in any case
-- param horizons INTERVAL[] = [INTERVAL 1 SECOND, INTERVAL 10 SECOND, INTERVAL 1 MINUTE, INTERVAL 5 MINUTE, INTERVAL 1 HOUR]  -- times after the receipt of the announcement
-- param max_age INTERVAL = INTERVAL 1 MINUTE  -- an older price counts as unknown
-- param since TIMESTAMPTZ = NULL  -- only announcements received at or after this time
-- param until TIMESTAMPTZ = NULL  -- only announcements received before this time
-- param limit BIGINT = 20  -- at most this many tickers, newest first
-- column recv_time: when the announcement was received; horizons start here
-- column exchange: the announcing exchange
-- column ticker: the announced ticker
-- column listing_type: the service's type of the announcement
-- column price_exchange: the exchange of the price; NULL if no instrument of the ticker is recorded
-- column price_symbol: the instrument of the price, as the venue spells it
-- column price_kind: last, mark, mid or index; NULL if neither price is known
-- column base_price: the price as of the announcement; NULL if unknown
-- column base_age_seconds: age of base_price
-- column horizon_seconds: time after the announcement
-- column price: the price as of the horizon; NULL if unknown
-- column price_age_seconds: age of price
-- column change_pct: change from base_price, per cent
-- column publish_price: the price as of the publication; NULL if that time, or the price, is unknown, or if the publication was after the receipt or more than an hour before it
-- column move_before_receipt_pct: change from publish_price to base_price, per cent
-- column btc_change_pct: change of BTC from the receipt to the horizon, per cent; NULL if unknown
-- column abnormal_pct: change_pct less btc_change_pct
-- column gap: true if the price's feed has an uncovered gap between the base price and the horizon
-- column price_feed: the feed of the price
-- column feed: the feed of the announcement
-- column connection: the connection that carried the announcement
-- column seq: its frame's number on the connection
-- column item: the ticker's index within the frame
-- topic: Events
-- plot: line x=horizon_seconds y=change_pct series=ticker
-- example: recorder query listing_reaction --listing-type spot_listing --since '30d ago'
WITH announced AS (
    SELECT
        row_number() OVER (ORDER BY l.recv_ns DESC, l.connection, l.seq DESC, l.item DESC) AS place,
        l.*
    FROM listings l
    WHERE l.ticker IS NOT NULL
        AND l.backfill IS NOT TRUE
        AND ($ticker IS NULL OR lower(l.ticker) = lower($ticker))
        AND ($listing_type IS NULL OR l.listing_type = $listing_type)
        AND ($exchange IS NULL OR l.exchange = lower($exchange))
        AND ($since IS NULL OR l.recv_time >= $since)
        AND ($until IS NULL OR l.recv_time < $until)
    ORDER BY place
    LIMIT $limit
),
instruments AS (
    SELECT DISTINCT p.feed AS feed, p.exchange AS exchange, p.symbol AS symbol
    FROM prices p
    WHERE $price_exchange IS NULL OR p.exchange = lower($price_exchange)
),
matched AS (
    SELECT
        a.place AS place, a.recv_ns AS recv_ns, a.publish_ns AS publish_ns, i.feed AS feed,
        i.exchange AS exchange, i.symbol AS symbol, true AS own
    FROM announced a
    JOIN instruments i ON in_dollars(i.exchange, i.symbol)
        AND asset_of(i.exchange, i.symbol, a.recv_ns) = coin_of(a.ticker)
),
-- The instruments of BTC beside them.
sought AS (
    SELECT m.* FROM matched m
    UNION ALL
    SELECT DISTINCT m.place, m.recv_ns, NULL::BIGINT, i.feed, i.exchange, i.symbol, false
    FROM matched m
    JOIN instruments i ON i.feed = m.feed AND i.exchange IS NOT DISTINCT FROM m.exchange
    WHERE in_dollars(i.exchange, i.symbol) AND asset_of(i.exchange, i.symbol, m.recv_ns) = 'BTC'
),
-- The prices that a listing can use; of those received at the same instant, the last.
around AS (
    SELECT
        m.place AS place, m.own AS own, p.feed AS feed, p.exchange AS exchange, p.symbol AS symbol,
        p.kind AS kind, p.choice AS choice, p.recv_ns AS recv_ns, p.recv_ns <= m.recv_ns
            AND p.recv_ns >= m.recv_ns - epoch_ns($max_age) AS timely,
        p.recv_ns > m.recv_ns AS later,
        arg_max(p.price, p.nth) AS price
    FROM sought m
    JOIN timely_prices(max_age := $max_age, as_of := $as_of) p ON p.symbol = m.symbol
        AND p.feed = m.feed
        AND p.exchange IS NOT DISTINCT FROM m.exchange
        -- A publication time that is hours off is not searched for.
        AND p.recv_ns >= greatest(
            least(m.recv_ns, coalesce(m.publish_ns, m.recv_ns)), m.recv_ns - 3600000000000
        ) - epoch_ns($max_age)
        AND p.recv_ns <= m.recv_ns
            + (SELECT max(epoch_ns(h.after)) FROM (SELECT unnest($horizons) AS after) h)
    GROUP BY ALL
),
kinds AS (
    SELECT
        r.place AS place, r.own AS own, r.feed AS feed, r.exchange AS exchange, r.symbol AS symbol,
        r.kind AS kind, r.choice AS choice, count_if(r.timely) AS timely,
        min(r.recv_ns) FILTER (r.later) AS later_ns
    FROM around r
    GROUP BY ALL
),
kind_of AS (
    SELECT k.*
    FROM kinds k
    WHERE k.own AND (k.timely > 0 OR k.later_ns IS NOT NULL)
    QUALIFY row_number() OVER (
        PARTITION BY k.place, k.feed, k.exchange, k.symbol
        ORDER BY CASE WHEN k.timely = 0 THEN k.later_ns END NULLS FIRST, k.choice NULLS LAST, k.kind
    ) = 1
),
one_kind AS (
    SELECT r.*
    FROM around r
    JOIN kind_of k ON k.place = r.place AND k.feed = r.feed
        AND k.exchange IS NOT DISTINCT FROM r.exchange
        AND k.symbol = r.symbol AND k.kind = r.kind
    WHERE r.own
),
-- The instrument of BTC with most prices of a kind at the receipt, on each feed and exchange.
bitcoin AS (
    SELECT r.*
    FROM around r
    JOIN (
        SELECT k.*
        FROM kinds k
        WHERE NOT k.own AND k.timely > 0
        QUALIFY row_number() OVER (
            PARTITION BY k.place, k.feed, k.exchange, k.kind ORDER BY k.timely DESC, k.symbol
        ) = 1
    ) k ON k.place = r.place AND k.feed = r.feed AND k.exchange IS NOT DISTINCT FROM r.exchange
        AND k.symbol = r.symbol AND k.kind = r.kind
    WHERE NOT r.own
),
based AS (
    SELECT
        m.*,
        CASE WHEN b.recv_ns >= m.recv_ns - epoch_ns($max_age) THEN b.price END AS price,
        CASE WHEN b.recv_ns >= m.recv_ns - epoch_ns($max_age) THEN b.recv_ns END AS price_ns,
        CASE WHEN b.recv_ns >= m.recv_ns - epoch_ns($max_age) THEN b.kind END AS kind
    FROM matched m
    ASOF LEFT JOIN one_kind b ON b.place = m.place
        AND b.feed = m.feed
        AND b.exchange IS NOT DISTINCT FROM m.exchange
        AND b.symbol = m.symbol
        AND m.recv_ns >= b.recv_ns
),
moments AS (
    SELECT b.*, b.recv_ns + epoch_ns(h.after) AS until_ns
    FROM based b, (SELECT DISTINCT unnest($horizons) AS after) h
),
followed AS (
    SELECT
        t.*,
        CASE WHEN t.until_ns - o.recv_ns <= epoch_ns($max_age) THEN o.kind END AS kind_then,
        CASE WHEN t.until_ns - o.recv_ns <= epoch_ns($max_age) THEN o.price END AS price_then,
        CASE WHEN t.until_ns - o.recv_ns <= epoch_ns($max_age) THEN o.recv_ns END AS then_ns
    FROM moments t
    ASOF LEFT JOIN one_kind o ON o.place = t.place
        AND o.feed = t.feed
        AND o.exchange IS NOT DISTINCT FROM t.exchange
        AND o.symbol = t.symbol
        AND t.until_ns >= o.recv_ns
),
published AS (
    SELECT m.place AS place, m.feed AS feed, m.exchange AS exchange, m.symbol AS symbol,
        CASE WHEN m.publish_ns - b.recv_ns <= epoch_ns($max_age) THEN b.price END AS price
    FROM (
        SELECT t.* FROM matched t
        WHERE t.publish_ns <= t.recv_ns AND t.publish_ns >= t.recv_ns - 3600000000000
    ) m
    ASOF JOIN one_kind b ON b.place = m.place
        AND b.feed = m.feed
        AND b.exchange IS NOT DISTINCT FROM m.exchange
        AND b.symbol = m.symbol
        AND m.publish_ns >= b.recv_ns
),
-- BTC at the receipt and at each horizon.
btc AS (
    SELECT
        f.place AS place, f.feed AS feed, f.exchange AS exchange, f.symbol AS symbol, f.until_ns AS until_ns,
        arg_max(b.price, b.recv_ns) FILTER (
            b.recv_ns <= f.recv_ns AND b.recv_ns >= f.recv_ns - epoch_ns($max_age)) AS base,
        arg_max(b.price, b.recv_ns) FILTER (b.recv_ns >= f.until_ns - epoch_ns($max_age)) AS price
    FROM followed f
    JOIN bitcoin b ON b.place = f.place AND b.feed = f.feed AND b.exchange IS NOT DISTINCT FROM f.exchange
        AND b.kind = coalesce(f.kind, f.kind_then) AND b.recv_ns <= f.until_ns
    GROUP BY f.place, f.feed, f.exchange, f.symbol, f.until_ns
),
missed AS (
    SELECT DISTINCT
        f.place AS place, f.feed AS feed, f.exchange AS exchange, f.symbol AS symbol, f.until_ns AS until_ns
    FROM followed f
    JOIN uncovered(as_of := $as_of) u ON u.feed = f.feed
        AND u.from_ns < f.until_ns
        AND u.to_ns > coalesce(f.price_ns, f.recv_ns)
)
SELECT
    a.recv_time AS recv_time,
    a.exchange AS exchange,
    a.ticker AS ticker,
    a.listing_type AS listing_type,
    f.exchange AS price_exchange,
    f.symbol AS price_symbol,
    coalesce(f.kind, f.kind_then) AS price_kind,
    f.price AS base_price,
    (f.recv_ns - f.price_ns) / 1e9 AS base_age_seconds,
    (f.until_ns - f.recv_ns) / 1e9 AS horizon_seconds,
    f.price_then AS price,
    (f.until_ns - f.then_ns) / 1e9 AS price_age_seconds,
    100 * (f.price_then / nullif(f.price, 0) - 1) AS change_pct,
    q.price AS publish_price,
    100 * (f.price / nullif(q.price, 0) - 1) AS move_before_receipt_pct,
    100 * (t.price / nullif(t.base, 0) - 1) AS btc_change_pct,
    100 * (f.price_then / nullif(f.price, 0) - 1) - 100 * (t.price / nullif(t.base, 0) - 1) AS abnormal_pct,
    CASE WHEN f.place IS NOT NULL THEN s.place IS NOT NULL END AS gap,
    f.feed AS price_feed,
    a.feed AS feed,
    a.connection AS connection,
    a.seq AS seq,
    a.item AS item
FROM announced a
LEFT JOIN followed f ON f.place = a.place
LEFT JOIN published q ON q.place = f.place AND q.feed = f.feed
    AND q.exchange IS NOT DISTINCT FROM f.exchange AND q.symbol = f.symbol
LEFT JOIN btc t ON t.place = f.place AND t.feed = f.feed AND t.until_ns = f.until_ns
    AND t.exchange IS NOT DISTINCT FROM f.exchange AND t.symbol = f.symbol
LEFT JOIN missed s ON s.place = f.place AND s.feed = f.feed AND s.until_ns = f.until_ns
    AND s.exchange IS NOT DISTINCT FROM f.exchange AND s.symbol = f.symbol
ORDER BY a.place, f.exchange, f.symbol, f.feed, f.until_ns

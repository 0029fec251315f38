-- title: The market around each event of a kind
-- description: One row per event of a known asset, newest first, with the price, liquidations, whale moves
--   and funding of the asset within span before and after the event (the window). asset_of finds the asset of a symbol.
--   Counts are over all exchanges, without the event itself; where several feeds bring the events of one
--   exchange, those of one feed count: the event's, else the one with most in the window. The price is of one instrument and kind,
--   see price_symbol: the event's instrument if possible, else another of its exchange, else of
--   another exchange; last, mark, mid or index, in that order. The funding rate is chosen likewise. A
--   price or rate is the last one received by its moment, and unknown if it was older than max_age.
--   before means received before the event, after received at the same instant or later. Past events
--   re-sent after a subscription are left out.
-- param kind VARCHAR = 'listings'  -- the table of the events: whales, funding, liquidations, listings, open_interest, flows, signals or alerts
-- param span INTERVAL = INTERVAL 5 MINUTE  -- length of the window before and after the event
-- param max_age INTERVAL = INTERVAL 10 MINUTE  -- an older price or rate counts as unknown
-- param min_usd DOUBLE = NULL  -- only events worth at least this many dollars
-- param symbol VARCHAR = NULL  -- only events of this symbol, asset or ticker, in any case
-- param exchange VARCHAR = NULL  -- only events of this exchange, in any case
-- param feed VARCHAR = NULL  -- only events of this feed
-- param since TIMESTAMPTZ = NULL  -- only events received at or after this time
-- param until TIMESTAMPTZ = NULL  -- only events received before this time
-- param limit BIGINT = 20  -- at most this many events
-- column recv_time: when the event was received
-- column exchange: the event's exchange
-- column symbol: the event's symbol, or a listing's ticker
-- column asset: the asset that the other columns describe
-- column notional_usd: the event's value in dollars; NULL if it has none
-- column price_exchange: the exchange of the price; NULL if no price of the asset is known in the window
-- column price_symbol: the instrument of the price
-- column price_kind: last, mark, mid or index
-- column price_before: the price as of the window's start
-- column price: the price as of the event
-- column price_after: the price as of the window's end
-- column change_before_pct: change of the price up to the event, per cent
-- column change_after_pct: change of the price after the event, per cent
-- column liquidations_before: number of liquidations of the asset before the event
-- column liquidations_after: number of liquidations of the asset after the event
-- column liquidated_usd_before: known dollar value of the liquidations before; NULL if none is known
-- column liquidated_usd_after: known dollar value of the liquidations after; NULL if none is known
-- column whales_before: number of whale moves in the asset before the event
-- column whales_after: number of whale moves in the asset after the event
-- column whale_usd_before: known dollar value of the whale moves before; NULL if none is known
-- column whale_usd_after: known dollar value of the whale moves after; NULL if none is known
-- column funding_exchange: the exchange of the funding rate
-- column funding_symbol: the instrument of the funding rate
-- column funding: the rate as of the event, a fraction per interval
-- column funding_after: the rate as of the window's end
-- column gap: true if the event's feed, or a feed that records the asset, has an uncovered gap in the window
-- column gap_feeds: the feeds with such a gap; NULL if there are none
-- column feed: the event's feed
-- column connection: the connection that carried the event
-- column seq: its frame's number on the connection
-- column item: its index within the frame
-- topic: Events
-- plot: dot x=recv_time y=change_after_pct series=asset
-- example: recorder query event_window --kind liquidations --min-usd 1000000 --span '2 minutes'
WITH events AS (
    SELECT
        'listings' AS kind, t.feed AS feed, t.exchange AS exchange, t.ticker AS symbol,
        t.ticker AS name, NULL::DOUBLE AS notional_usd, t.recv_ns AS recv_ns,
        t.recv_time AS recv_time, t.connection AS connection, t.seq AS seq, t.item AS item,
        t.backfill AS backfill
    FROM listings t
    UNION ALL
    SELECT
        'whales', t.feed, t.exchange, coalesce(t.symbol, t.asset),
        coalesce(t.asset, t.symbol), t.notional_usd, t.recv_ns, t.recv_time, t.connection,
        t.seq, t.item, t.backfill
    FROM whales t
    UNION ALL
    SELECT
        'flows', t.feed, t.exchange, coalesce(t.symbol, t.asset),
        coalesce(t.asset, t.symbol), t.amount_usd, t.recv_ns, t.recv_time, t.connection,
        t.seq, t.item, t.backfill
    FROM flows t
    UNION ALL
    SELECT
        'liquidations', t.feed, t.exchange, t.symbol, t.symbol, t.notional_usd, t.recv_ns,
        t.recv_time, t.connection, t.seq, t.item, t.backfill
    FROM liquidations t
    UNION ALL
    SELECT
        'funding', t.feed, t.exchange, t.symbol, t.symbol, NULL, t.recv_ns, t.recv_time,
        t.connection, t.seq, t.item, t.backfill
    FROM funding t
    UNION ALL
    SELECT
        'open_interest', t.feed, t.exchange, t.symbol, t.symbol, t.open_interest_usd,
        t.recv_ns, t.recv_time, t.connection, t.seq, t.item, t.backfill
    FROM open_interest t
    UNION ALL
    SELECT
        'signals', t.feed, t.exchange, t.symbol, t.symbol, NULL, t.recv_ns, t.recv_time,
        t.connection, t.seq, t.item, t.backfill
    FROM signals t
    UNION ALL
    SELECT
        'alerts', t.feed, t.exchange, t.symbol, t.symbol, NULL, t.recv_ns, t.recv_time,
        t.connection, t.seq, t.item, t.backfill
    FROM alerts t
),
newest AS (
    SELECT
        row_number() OVER (
            ORDER BY e.recv_ns DESC, e.feed, e.connection, e.seq DESC, e.item DESC
        ) AS place,
        e.*
    FROM events e
    WHERE CASE
            WHEN $kind IN ('whales', 'funding', 'liquidations', 'listings', 'open_interest', 'flows',
                'signals', 'alerts') THEN e.kind = $kind
            ELSE error('kind is one of: whales, funding, liquidations, listings, open_interest, '
                || 'flows, signals, alerts')
        END
        AND e.backfill IS NOT TRUE
        AND e.name IS NOT NULL
        AND ($min_usd IS NULL OR e.notional_usd >= $min_usd)
        AND ($symbol IS NULL OR lower(e.symbol) = lower($symbol)
            OR upper($symbol) = CASE e.kind WHEN 'listings' THEN upper(e.name) ELSE asset_of(e.exchange, e.name) END)
        AND ($exchange IS NULL OR e.exchange = lower($exchange))
        AND ($feed IS NULL OR e.feed = $feed)
        AND ($since IS NULL OR e.recv_time >= $since)
        AND ($until IS NULL OR e.recv_time < $until)
    ORDER BY place
    LIMIT $limit
),
chosen AS (
    SELECT
        w.*,
        CASE w.kind
            WHEN 'listings' THEN coin_of(w.name) ELSE asset_of(w.exchange, w.name, w.recv_ns)
        END AS asset,
        w.recv_ns - epoch_ns($span) AS from_ns,
        w.recv_ns + epoch_ns($span) AS to_ns
    FROM newest w
),
-- The instruments of the chosen assets, by table; asset_of runs once per symbol, not for every row.
instruments AS (
    SELECT s.source AS source, s.feed AS feed, s.exchange AS exchange, s.symbol AS symbol,
        asset_of(s.exchange, s.symbol) AS asset
    FROM (
        SELECT DISTINCT 'prices' AS source, p.feed AS feed, p.exchange AS exchange, p.symbol AS symbol
        FROM prices p
        UNION ALL
        SELECT DISTINCT 'funding', f.feed, f.exchange, f.symbol FROM funding f
        UNION ALL
        SELECT DISTINCT 'liquidations', q.feed, q.exchange, q.symbol FROM liquidations q
        UNION ALL
        SELECT DISTINCT 'whales', w.feed, w.exchange, coalesce(w.asset, w.symbol) FROM whales w
    ) s
    WHERE asset_of(s.exchange, s.symbol) IN (SELECT c.asset FROM chosen c)
        AND (s.source <> 'prices' OR in_dollars(s.exchange, s.symbol))
),
wanted AS (
    SELECT c.*, i.source AS source, i.feed AS at_feed, i.exchange AS at_exchange, i.symbol AS at_symbol
    FROM chosen c
    JOIN instruments i ON i.asset = c.asset
),
observed AS (
    SELECT
        d.*, p.kind AS observed_kind, p.choice AS choice, p.price AS value, p.recv_ns AS at_ns,
        p.nth AS nth
    FROM wanted d
    JOIN timely_prices(max_age := $max_age, as_of := $as_of) p ON p.symbol = d.at_symbol AND p.feed = d.at_feed
        AND p.exchange IS NOT DISTINCT FROM d.at_exchange
        AND p.recv_ns >= d.from_ns - epoch_ns($max_age) AND p.recv_ns <= d.to_ns
    WHERE d.source = 'prices'
    UNION ALL
    SELECT
        d.*, coalesce(f.basis, 'rate'), CASE f.basis WHEN 'realised' THEN 1 ELSE 0 END, f.rate, f.recv_ns,
        {'ns': f.recv_ns, 'connection': f.connection, 'seq': f.seq, 'item': f.item}
    FROM wanted d
    JOIN funding f ON f.symbol = d.at_symbol AND f.feed = d.at_feed
        AND f.exchange IS NOT DISTINCT FROM d.at_exchange
        AND f.recv_ns >= d.from_ns - epoch_ns($max_age) AND f.recv_ns <= d.to_ns
    WHERE d.source = 'funding' AND f.backfill IS NOT TRUE AND isfinite(f.rate)
        AND (d.kind <> 'funding' OR f.feed <> d.feed OR f.connection <> d.connection
            OR f.seq <> d.seq OR f.item <> d.item)
),
known AS (
    SELECT
        o.place AS place,
        o.source AS source,
        o.at_exchange AS exchange,
        o.at_symbol AS symbol,
        o.observed_kind AS kind,
        arg_max(o.value, o.nth)
            FILTER (o.at_ns <= o.from_ns AND o.at_ns >= o.from_ns - epoch_ns($max_age)) AS at_begin,
        arg_max(o.value, o.nth)
            FILTER (o.at_ns <= o.recv_ns AND o.at_ns >= o.recv_ns - epoch_ns($max_age)) AS at_event,
        arg_max(o.value, o.nth) FILTER (o.at_ns >= o.to_ns - epoch_ns($max_age)) AS at_end
    FROM observed o
    GROUP BY o.place, o.source, o.exchange, o.symbol, o.at_feed, o.at_exchange, o.at_symbol,
        o.observed_kind, o.choice
    QUALIFY row_number() OVER (
        PARTITION BY o.place, o.source
        ORDER BY
            at_event IS NULL,
            o.at_exchange IS DISTINCT FROM o.exchange,
            o.at_symbol IS DISTINCT FROM o.symbol,
            o.choice NULLS LAST,
            o.at_exchange, o.at_symbol, o.at_feed, o.observed_kind
    ) = 1
),
-- The other events of the asset in the window; feed, connection, seq and item identify the event itself.
others AS (
    SELECT
        d.place AS place, d.source AS source, q.recv_ns < d.recv_ns AS early, q.notional_usd AS usd,
        q.exchange AS exchange, NULL AS sort, q.feed AS feed, q.feed <> d.feed AS foreign_feed
    FROM wanted d
    JOIN liquidations q ON q.symbol = d.at_symbol AND q.feed = d.at_feed
        AND q.exchange IS NOT DISTINCT FROM d.at_exchange
        AND q.recv_ns >= d.from_ns AND q.recv_ns <= d.to_ns
    WHERE d.source = 'liquidations' AND q.backfill IS NOT TRUE
        AND (d.kind <> 'liquidations' OR q.feed <> d.feed OR q.connection <> d.connection
            OR q.seq <> d.seq OR q.item <> d.item)
    UNION ALL
    SELECT d.place, d.source, w.recv_ns < d.recv_ns, w.notional_usd, w.exchange, w.kind, w.feed,
        w.feed <> d.feed
    FROM wanted d
    JOIN whales w ON coalesce(w.asset, w.symbol) = d.at_symbol AND w.feed = d.at_feed
        AND w.exchange IS NOT DISTINCT FROM d.at_exchange
        AND w.recv_ns >= d.from_ns AND w.recv_ns <= d.to_ns
    WHERE d.source = 'whales' AND w.backfill IS NOT TRUE
        AND (d.kind <> 'whales' OR w.feed <> d.feed OR w.connection <> d.connection
            OR w.seq <> d.seq OR w.item <> d.item)
),
-- One feed per exchange (and kind of whale move): the event's, else the one with most, else by name.
once AS (
    SELECT s.*
    FROM (
        SELECT
            o.*,
            count(*) OVER (PARTITION BY o.place, o.source, o.exchange, o.sort, o.feed) AS brought
        FROM others o
    ) s
    QUALIFY s.exchange IS NULL OR s.feed = first_value(s.feed) OVER (
        PARTITION BY s.place, s.source, s.exchange, s.sort
        ORDER BY s.foreign_feed, s.brought DESC, s.feed
    )
),
counted AS (
    SELECT
        o.place AS place,
        count(*) FILTER (o.source = 'liquidations' AND o.early) AS liquidations_before,
        count(*) FILTER (o.source = 'liquidations' AND NOT o.early) AS liquidations_after,
        sum(o.usd) FILTER (o.source = 'liquidations' AND o.early) AS liquidated_usd_before,
        sum(o.usd) FILTER (o.source = 'liquidations' AND NOT o.early) AS liquidated_usd_after,
        count(*) FILTER (o.source = 'whales' AND o.early) AS whales_before,
        count(*) FILTER (o.source = 'whales' AND NOT o.early) AS whales_after,
        sum(o.usd) FILTER (o.source = 'whales' AND o.early) AS whale_usd_before,
        sum(o.usd) FILTER (o.source = 'whales' AND NOT o.early) AS whale_usd_after
    FROM once o
    GROUP BY o.place
),
missed AS (
    SELECT n.place AS place, array_to_string(list_sort(list(DISTINCT n.feed)), ', ') AS feeds
    FROM (
        SELECT d.place AS place, d.at_feed AS feed, d.from_ns AS from_ns, d.to_ns AS to_ns FROM wanted d
        UNION
        SELECT c.place, c.feed, c.from_ns, c.to_ns FROM chosen c
    ) n
    JOIN uncovered(as_of := $as_of) u ON u.feed = n.feed AND u.from_ns < n.to_ns AND u.to_ns > n.from_ns
    GROUP BY n.place
)
SELECT
    c.recv_time AS recv_time,
    c.exchange AS exchange,
    c.symbol AS symbol,
    c.asset AS asset,
    c.notional_usd AS notional_usd,
    p.exchange AS price_exchange,
    p.symbol AS price_symbol,
    p.kind AS price_kind,
    p.at_begin AS price_before,
    p.at_event AS price,
    p.at_end AS price_after,
    100 * (p.at_event / nullif(p.at_begin, 0) - 1) AS change_before_pct,
    100 * (p.at_end / nullif(p.at_event, 0) - 1) AS change_after_pct,
    coalesce(n.liquidations_before, 0) AS liquidations_before,
    coalesce(n.liquidations_after, 0) AS liquidations_after,
    n.liquidated_usd_before AS liquidated_usd_before,
    n.liquidated_usd_after AS liquidated_usd_after,
    coalesce(n.whales_before, 0) AS whales_before,
    coalesce(n.whales_after, 0) AS whales_after,
    n.whale_usd_before AS whale_usd_before,
    n.whale_usd_after AS whale_usd_after,
    f.exchange AS funding_exchange,
    f.symbol AS funding_symbol,
    f.at_event AS funding,
    f.at_end AS funding_after,
    m.place IS NOT NULL AS gap,
    m.feeds AS gap_feeds,
    c.feed AS feed,
    c.connection AS connection,
    c.seq AS seq,
    c.item AS item
FROM chosen c
LEFT JOIN known p ON p.place = c.place AND p.source = 'prices'
LEFT JOIN known f ON f.place = c.place AND f.source = 'funding'
LEFT JOIN counted n ON n.place = c.place
LEFT JOIN missed m ON m.place = c.place
ORDER BY c.place

-- title: All events as one timeline, newest first
-- description: One row per event of every event table, with a one-line summary; kind is the table's name.
--   connection, seq and item identify the raw frame.
-- param kind VARCHAR = NULL  -- only this table: whales, funding, liquidations, listings, open_interest, flows, signals, alerts or system_status
-- param symbol VARCHAR = NULL  -- only this symbol (or a listing's ticker), in any case
-- param exchange VARCHAR = NULL  -- only this exchange, in any case
-- param feed VARCHAR = NULL  -- only this feed
-- param since TIMESTAMPTZ = NULL  -- only events received at or after this time
-- param until TIMESTAMPTZ = NULL  -- only events received before this time
-- param limit BIGINT = 100  -- at most this many rows
-- topic: Events
-- plot: dot x=recv_time y=kind series=exchange
-- column recv_time: when we received the event
-- column kind: the table that holds the event
-- column exchange: the venue
-- column symbol: the instrument, or the asset or ticker
-- column summary: the event in one line
-- column notional_usd: the event's value in dollars; NULL if it has none
-- column event_ns: the service's event time, ns since epoch; NULL if it sends none
-- column feed: the feed
-- column connection: the connection that carried it; with seq it leads back to raw
-- column seq: its frame's number on the connection
-- column item: its index within the frame
-- example: recorder query event_history --kind liquidations --symbol BTCUSDT --since '1h ago'
WITH events AS (
    SELECT
        t.recv_ns AS recv_ns, t.recv_time AS recv_time, 'whales' AS kind, t.feed AS feed,
        t.exchange AS exchange, coalesce(t.symbol, t.asset) AS symbol,
        concat_ws(' ', t.kind, t.action, t.side, t.quantity::VARCHAR, t.asset,
            '@ ' || t.price::VARCHAR, 'by ' || coalesce(t.wallet, t.buyer, t.seller)) AS summary,
        t.notional_usd AS notional_usd, t.event_ns AS event_ns,
        t.connection AS connection, t.seq AS seq, t.item AS item
    FROM whales t
    UNION ALL
    SELECT
        t.recv_ns, t.recv_time, 'funding', t.feed, t.exchange, t.symbol,
        concat_ws(' ', 'rate ' || t.rate::VARCHAR, 'per ' || t.interval_hours::VARCHAR || ' h',
            'mark ' || t.mark_price::VARCHAR),
        NULL, t.event_ns, t.connection, t.seq, t.item
    FROM funding t
    UNION ALL
    SELECT
        t.recv_ns, t.recv_time, 'liquidations', t.feed, t.exchange, t.symbol,
        concat_ws(' ', coalesce(t.position_side, 'unknown side'), t.quantity::VARCHAR,
            t.quantity_unit, '@ ' || t.price::VARCHAR),
        t.notional_usd, t.event_ns, t.connection, t.seq, t.item
    FROM liquidations t
    UNION ALL
    SELECT
        t.recv_ns, t.recv_time, 'listings', t.feed, t.exchange, coalesce(t.symbol, t.ticker),
        concat_ws(' ', t.listing_type, t.ticker, t.title),
        NULL, t.event_ns, t.connection, t.seq, t.item
    FROM listings t
    UNION ALL
    SELECT
        t.recv_ns, t.recv_time, 'open_interest', t.feed, t.exchange, t.symbol,
        concat_ws(' ', 'open interest ' || t.open_interest::VARCHAR,
            'changed ' || t.change_pct::VARCHAR || ' %'),
        t.open_interest_usd, t.event_ns, t.connection, t.seq, t.item
    FROM open_interest t
    UNION ALL
    SELECT
        t.recv_ns, t.recv_time, 'flows', t.feed, t.exchange, coalesce(t.symbol, t.asset),
        concat_ws(' ', t.direction, t.amount::VARCHAR, t.asset, 'wallet ' || t.wallet),
        t.amount_usd, t.event_ns, t.connection, t.seq, t.item
    FROM flows t
    UNION ALL
    SELECT
        t.recv_ns, t.recv_time, 'signals', t.feed, t.exchange, t.symbol,
        concat_ws(' ', t.signal_type, t.direction, 'score ' || t.score::VARCHAR),
        NULL, t.event_ns, t.connection, t.seq, t.item
    FROM signals t
    UNION ALL
    SELECT
        t.recv_ns, t.recv_time, 'alerts', t.feed, t.exchange, t.symbol,
        concat_ws(' ', t.severity, t.alert_type, t.title, t.message),
        NULL, t.event_ns, t.connection, t.seq, t.item
    FROM alerts t
    UNION ALL
    SELECT
        t.recv_ns, t.recv_time, 'system_status', t.feed, t.exchange, t.symbol,
        concat_ws(' ', t.component, t.status, t.message),
        NULL, t.event_ns, t.connection, t.seq, t.item
    FROM system_status t
),
chosen AS (
    SELECT e.*
    FROM events e
    WHERE CASE
            WHEN $kind IS NULL THEN true
            WHEN $kind IN ('whales', 'funding', 'liquidations', 'listings', 'open_interest',
                'flows', 'signals', 'alerts', 'system_status') THEN e.kind = $kind
            ELSE error('kind is one of: whales, funding, liquidations, listings, open_interest, '
                || 'flows, signals, alerts, system_status')
        END
        AND ($symbol IS NULL OR lower(e.symbol) = lower($symbol))
        AND ($exchange IS NULL OR e.exchange = lower($exchange))
        AND ($feed IS NULL OR e.feed = $feed)
        AND ($since IS NULL OR e.recv_time >= $since)
        AND ($until IS NULL OR e.recv_time < $until)
    ORDER BY e.recv_ns DESC, e.connection, e.seq DESC, e.item DESC, e.kind
    LIMIT $limit
)
SELECT
    c.recv_time AS recv_time,
    c.kind AS kind,
    c.exchange AS exchange,
    c.symbol AS symbol,
    left(trim(regexp_replace(c.summary, '[[:cntrl:][:space:]]+', ' ', 'g')), 200) AS summary,
    c.notional_usd AS notional_usd,
    c.event_ns AS event_ns,
    c.feed AS feed,
    c.connection AS connection,
    c.seq AS seq,
    c.item AS item
FROM chosen c
ORDER BY c.recv_ns DESC, c.connection, c.seq DESC, c.item DESC, c.kind

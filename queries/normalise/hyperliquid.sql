-- Hyperliquid: {"channel", "data"}. Sizes are in coins, prices in dollars (or a coin pegged to them),
-- times in milliseconds; a context has no time. A trade's side is the aggressor's: B bought, A sold;
-- users are the buyer and the seller. tid is unique only together with coin and time; a hash of zeros
-- is a slice of a TWAP order. Funding is hourly.
-- After a subscription the venue first sends past trades: trades before the acknowledgement (or, if
-- it was not recorded, before the connection was opened) are backfill.

-- step: messages
SELECT
    *,
    CASE
        -- A greeting, which is not JSON.
        WHEN text = 'Websocket connection established.' THEN 'control'
        -- allDexsAssetCtxs is a list of contexts without the names of their coins. Candles have no table.
        WHEN channel IN ('subscriptionResponse', 'pong', 'error', 'notification', 'allDexsAssetCtxs',
            'candle') THEN 'control'
        WHEN channel = 'allMids' THEN CASE WHEN mids IS NOT NULL THEN 'mids' END
        WHEN channel = 'trades' THEN CASE
            WHEN json_type(data) = 'ARRAY' AND json_array_length(data) = 0 THEN 'control'
            WHEN json_type(data) = 'ARRAY' THEN 'trades'
        END
        WHEN channel IN ('activeAssetCtx', 'activeSpotAssetCtx') THEN CASE
            WHEN coin IS NOT NULL AND coalesce(funding, interest, mark, oracle, mid) IS NOT NULL
                THEN 'context'
        END
        WHEN event_ns IS NOT NULL THEN 'other'
    END AS class,
    CASE
        WHEN channel IS NULL THEN 'a message without a channel'
        WHEN channel = 'trades' THEN 'trades that are not a list'
        WHEN channel = 'allMids' THEN 'mid prices without an object of them'
        WHEN channel IN ('activeAssetCtx', 'activeSpotAssetCtx')
            THEN 'a context without a coin, or without a number'
        ELSE 'no table for the channel ' || short(channel) || ', and it carries no time'
    END AS reason
FROM (
    SELECT
        * EXCLUDE (part), part[1] AS channel, part[3] AS coin,
        -- In place of the trades there may be a text, which is not JSON by itself.
        CASE WHEN json_type(json, '$.data') = 'ARRAY' THEN part[2] END AS data,
        CASE WHEN json_type(json, '$.data.mids') = 'OBJECT' THEN json_extract(json, '$.data.mids') END AS mids,
        CASE WHEN channel IS NOT NULL THEN time_ns(part[4], 1000000) END AS event_ns,
        num(part[5]) AS funding, num(part[6]) AS interest, num(part[7]) AS mark, num(part[8]) AS oracle,
        num(part[9]) AS mid, num(part[10]) AS premium
    FROM (
        SELECT
            *,
            json_extract_string(json, [
                '$.channel', '$.data', '$.data.coin', '$.data.time', '$.data.ctx.funding',
                '$.data.ctx.openInterest', '$.data.ctx.markPx', '$.data.ctx.oraclePx', '$.data.ctx.midPx',
                '$.data.ctx.premium'
            ]) AS part
        FROM frames
    )
);

-- step: subscribed
-- When each connection's subscription to a coin's trades was acknowledged.
SELECT id.connection AS connection, part[4] AS coin, id.seq AS seq, id.recv_ns AS since_ns
FROM (
    SELECT
        id,
        json_extract_string(json, [
            '$.channel', '$.data.method', '$.data.subscription.type', '$.data.subscription.coin'
        ]) AS part
    FROM all_frames
    WHERE octet_length(payload) < 1000 AND contains(text, 'subscriptionResponse')
)
WHERE part[1] = 'subscriptionResponse' AND part[2] = 'subscribe' AND part[3] = 'trades'
    AND part[4] IS NOT NULL
UNION ALL
SELECT connection, key, seq, TRY_CAST(json_extract_string(state, '$.since_ns') AS BIGINT)
FROM carried
WHERE name = 'subscribed';

-- state: subscribed
SELECT connection, coin AS key, seq, {'since_ns': since_ns} AS state FROM subscribed;

-- step: trades
SELECT
    t.* EXCLUDE (seq, connection, opened_ns),
    coalesce(event_ns < greatest(opened_ns, since_ns), false) AS backfill,
    coalesce(c.base, asset_spelled(t.coin)) AS asset,
    CASE
        WHEN t.coin IS NULL OR price IS NULL OR quantity IS NULL
            THEN 'a trade without a coin, or without a number as price or size'
    END AS wrong
FROM (
    SELECT
        id, id.connection AS connection, id.seq AS seq, line, clock_error_ns, opened_ns, item,
        part[1] AS coin, CASE part[2] WHEN 'B' THEN 'buy' WHEN 'A' THEN 'sell' END AS side,
        num(part[3]) AS price, num(part[4]) AS quantity, time_ns(part[5], 1000000) AS event_ns,
        part[6] AS tid, part[7] AS hash, part[8] AS buyer, part[9] AS seller
    FROM (
        SELECT
            * EXCLUDE (trade),
            json_extract_string(trade, [
                '$.coin', '$.side', '$.px', '$.sz', '$.time', '$.tid', '$.hash', '$.users[0]', '$.users[1]'
            ]) AS part
        FROM (
            SELECT
                id, line, clock_error_ns, opened_ns,
                unnest(range(json_array_length(data)::BIGINT))::INTEGER AS item,
                unnest(json_transform(data, '["JSON"]')) AS trade
            FROM messages
            WHERE class = 'trades'
        )
    )
) AS t
ASOF LEFT JOIN subscribed AS s
    ON s.connection = t.connection AND s.coin = t.coin AND t.seq >= s.seq
LEFT JOIN contracts AS c
    ON c.symbol = t.coin AND t.id.recv_ns >= c.from_ns AND t.id.recv_ns < c.to_ns;

-- table: rejects
-- One row per frame, however many of its items are wrong: each row holds the whole frame.
SELECT
    id.*, item, 'hyperliquid' AS exchange, payload,
    wrong || CASE WHEN items > 1 THEN ' (the first of ' || items || ' wrong items)' ELSE '' END AS reason
FROM (
    SELECT id AS frame, min(item) AS item, arg_min(wrong, item) AS wrong, count(*) AS items
    FROM trades
    WHERE wrong IS NOT NULL
    GROUP BY id
)
JOIN messages ON messages.id = frame;

-- table: whales once (symbol, event_ns, tx)
SELECT
    id.*, item, 'trades:' || coin AS channel, 'hyperliquid' AS exchange, coin AS symbol, event_ns,
    'trade' AS kind, buyer, seller,
    -- xyz:GOLD is a builder's market of GOLD, PURR/USDC a spot pair; @107 does not name a coin.
    asset,
    side, price, quantity, num(price * quantity) AS notional_usd, tid AS tx, backfill,
    CASE WHEN NOT regexp_full_match(hash, '0x0*') THEN json_object('hash', hash) END AS extra
FROM trades
WHERE wrong IS NULL AND num(price * quantity) >= getvariable('whale_usd');

-- table: prices once (symbol, event_ns, trade_id)
SELECT
    id.*, item, 'trades:' || coin AS channel, 'hyperliquid' AS exchange, coin AS symbol, event_ns,
    'last' AS kind, price, quantity, 'base' AS quantity_unit, num(price * quantity) AS notional_usd,
    side, tid AS trade_id, false AS off_book, backfill
FROM trades
WHERE wrong IS NULL;

-- table: prices
FROM (
    SELECT
        id.*, unnest([0, 1, 2]) AS item, 'activeAssetCtx:' || coin AS channel,
        'hyperliquid' AS exchange, coin AS symbol, unnest(['mark', 'index', 'mid']) AS kind, unnest([mark, oracle, mid]) AS price,
        false AS backfill
    FROM messages
    WHERE class = 'context'
)
WHERE price IS NOT NULL
UNION ALL BY NAME
SELECT
    id.*, item, 'allMids' AS channel, 'hyperliquid' AS exchange, coin AS symbol, 'mid' AS kind, price,
    false AS backfill
FROM (
    SELECT
        id, unnest(json_keys(mids)) AS coin, unnest(range(len(json_keys(mids))))::INTEGER AS item,
        num(unnest(json_extract_string(mids, '$.*'))) AS price
    FROM messages
    WHERE class = 'mids'
)
WHERE price IS NOT NULL AND length(coin) <= 200;

-- table: funding
-- Each full hour of UTC is a funding time (hyperliquid.gitbook.io: paid every hour); no frame says so.
SELECT
    id.*, 0 AS item, 'activeAssetCtx:' || coin AS channel, 'hyperliquid' AS exchange, coin AS symbol,
    funding AS rate, 1 AS interval_hours,
    (id.recv_ns // 3600000000000 + 1) * 3600000000000 AS next_funding_ns, mark AS mark_price, oracle AS index_price,
    'expected' AS basis, false AS backfill,
    CASE WHEN premium IS NOT NULL THEN json_object('premium', premium) END AS extra
FROM messages
WHERE class = 'context' AND funding IS NOT NULL;

-- table: open_interest
SELECT
    id.*, 0 AS item, 'activeAssetCtx:' || coin AS channel, 'hyperliquid' AS exchange, coin AS symbol,
    interest AS open_interest, 'base' AS open_interest_unit, num(interest * mark) AS open_interest_usd, false AS backfill
FROM messages
WHERE class = 'context' AND interest IS NOT NULL;

-- table: latency
-- One row per frame of trades, from its newest trade; other frames with a time (books) have only this row.
SELECT
    id.*, item, 'trades:' || coin AS channel, 'hyperliquid' AS exchange, coin AS symbol, event_ns, line,
    clock_error_ns, backfill
FROM trades
WHERE event_ns IS NOT NULL
QUALIFY row_number() OVER (PARTITION BY id.connection, id.seq ORDER BY event_ns DESC, item) = 1
UNION ALL BY NAME
SELECT
    id.*, 0 AS item,
    CASE WHEN length(channel) <= 100 THEN channel || coalesce(':' || coin, '') END AS channel,
    'hyperliquid' AS exchange, coin AS symbol, event_ns, line, clock_error_ns,
    coalesce(event_ns < opened_ns, false) AS backfill
FROM messages
WHERE class = 'other';

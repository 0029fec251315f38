-- Binance USD-M futures: bare or wrapped ({"stream", "data"}) frames; one event, or an array of them.
-- Times are milliseconds: E is when the venue sent the event, T when it happened (in a mark price: the
-- next funding). The side of a liquidation is the order's: SELL closed a long. st 2 marks COIN-M,
-- whose sizes are contracts. Keys differ by case alone (e, E), which structs cannot hold: paths can.

-- step: messages
SELECT
    *,
    CASE
        WHEN json_type(data) = 'ARRAY' AND json_array_length(data) = 0 THEN 'control'
        WHEN json_type(data) = 'ARRAY' THEN 'events'
        WHEN type IS NOT NULL THEN 'event'
        WHEN answer THEN 'control'
    END AS class,
    CASE WHEN json_type(json) = 'OBJECT' THEN 'a message without an event type' END AS reason
FROM (
    SELECT
        *,
        -- A text may stand where the event is due, and is no JSON by itself.
        CASE WHEN json_type(json, '$.data') IN ('OBJECT', 'ARRAY') THEN wrapped[2] ELSE json END AS data,
        CASE WHEN length(wrapped[1]) <= 200 THEN wrapped[1] END AS stream, -- each item repeats it
        json_extract_string(data, '$.e') AS type,
        len(list_filter(wrapped[3:6], lambda part: part IS NOT NULL)) > 0 AS answer
    FROM (
        SELECT
            *,
            json_extract_string(json, ['$.stream', '$.data', '$.result', '$.id', '$.error', '$.msg'])
                AS wrapped
        FROM frames
    )
);

-- step: events
SELECT
    *,
    CASE
        WHEN type IS NULL THEN 'an item of the array without an event type'
        WHEN type = 'forceOrder' AND (liquidated IS NULL OR side IS NULL)
            THEN 'a liquidation without a symbol, or without a side'
        WHEN type = 'markPriceUpdate'
                AND (symbol IS NULL OR coalesce(num(price), num(rate), num(index_price)) IS NULL)
            OR type = 'aggTrade' AND (symbol IS NULL OR num(price) IS NULL OR num(quantity) IS NULL)
            THEN type || ' without a symbol, or without a number as price'
        WHEN type NOT IN ('forceOrder', 'markPriceUpdate', 'aggTrade')
                AND coalesce(time_ns(sent, 1000000), time_ns(happened, 1000000)) IS NULL
            THEN 'no table for the event type ' || short(type) || ', and it carries no time'
    END AS wrong
FROM (
    SELECT
        id, line, clock_error_ns, item, stream, part[1] AS type, part[2] AS sent, part[3] AS happened,
        part[4] AS symbol, part[5] AS price, part[6] AS index_price, part[7] AS rate,
        part[8] AS quantity, part[9] AS buyer_is_maker, part[10] AS trade, part[11] AS margin,
        part[12] AS liquidated, part[13] AS side, part[14] AS ordered, part[15] AS limit_price,
        part[16] AS average_price, part[17] AS filled, part[18] AS filled_at,
        coalesce(part[19], part[11], '1') = '2' AS coin_margined
    FROM (
        SELECT
            * EXCLUDE (event),
            json_extract_string(event, [
                '$.e', '$.E', '$.T', '$.s', '$.p', '$.i', '$.r', '$.q', '$.m', '$.a', '$.st',
                '$.o.s', '$.o.S', '$.o.q', '$.o.p', '$.o.ap', '$.o.z', '$.o.T', '$.o.st'
            ]) AS part
        FROM (
            SELECT id, line, clock_error_ns, stream, 0 AS item, data AS event
            FROM messages
            WHERE class = 'event'
            UNION ALL
            SELECT
                id, line, clock_error_ns, stream,
                unnest(range(json_array_length(data)::BIGINT))::INTEGER AS item,
                unnest(json_transform(data, '["JSON"]')) AS event
            FROM messages
            WHERE class = 'events'
        )
    )
);

-- table: rejects
-- One row per frame, however many of its items are wrong: each row holds the whole frame.
SELECT
    id.*, item, stream AS channel, 'binance' AS exchange, payload,
    wrong || CASE WHEN items > 1 THEN ' (the first of ' || items || ' wrong items)' ELSE '' END AS reason
FROM (
    SELECT id AS frame, min(item) AS item, arg_min(wrong, item) AS wrong, count(*) AS items
    FROM events
    WHERE wrong IS NOT NULL
    GROUP BY id
)
JOIN messages ON messages.id = frame;

-- table: funding
SELECT
    id.*, item, coalesce(stream, '!markPrice@arr') AS channel, 'binance' AS exchange, symbol,
    time_ns(sent, 1000000) AS event_ns, num(rate) AS rate, time_ns(happened, 1000000) AS next_funding_ns,
    num(price) AS mark_price, num(index_price) AS index_price
FROM events
WHERE type = 'markPriceUpdate' AND wrong IS NULL;

-- table: prices
FROM (
    SELECT
        id.*, item, coalesce(stream, '!markPrice@arr') AS channel, 'binance' AS exchange, symbol,
        time_ns(sent, 1000000) AS event_ns, unnest(['mark', 'index']) AS kind,
        unnest([num(price), num(index_price)]) AS price
    FROM events
    WHERE type = 'markPriceUpdate' AND wrong IS NULL
)
WHERE price IS NOT NULL;

-- table: liquidations
SELECT
    id.*, item, coalesce(stream, '!forceOrder@arr') AS channel, 'binance' AS exchange,
    liquidated AS symbol, time_ns(filled_at, 1000000) AS event_ns,
    CASE side WHEN 'SELL' THEN 'long' WHEN 'BUY' THEN 'short' END AS position_side, side AS raw_side,
    coalesce(num(average_price), num(limit_price)) AS price,
    CASE
        WHEN num(average_price) IS NOT NULL THEN 'average'
        WHEN num(limit_price) IS NOT NULL THEN 'limit'
    END AS price_kind,
    coalesce(num(filled), num(ordered)) AS quantity,
    CASE WHEN coin_margined THEN 'contracts' ELSE 'base' END AS quantity_unit,
    CASE
        WHEN NOT coin_margined
            THEN num(coalesce(num(filled), num(ordered)) * coalesce(num(average_price), num(limit_price)))
    END AS notional_usd
FROM events
WHERE type = 'forceOrder' AND wrong IS NULL;

-- table: whales
SELECT
    id.*, item, coalesce(stream, lower(symbol) || '@aggTrade') AS channel, 'binance' AS exchange, symbol,
    time_ns(happened, 1000000) AS event_ns, 'trade' AS kind,
    regexp_replace(symbol, '(USDT|USDC|BUSD|USD)(_.*)?$', '') AS asset,
    CASE buyer_is_maker WHEN 'true' THEN 'sell' WHEN 'false' THEN 'buy' END AS side,
    num(price) AS price, num(quantity) AS quantity, num(num(price) * num(quantity)) AS notional_usd,
    trade AS tx
FROM events
WHERE type = 'aggTrade' AND wrong IS NULL AND NOT coin_margined
    AND num(price) * num(quantity) >= getvariable('whale_usd');

-- table: latency
SELECT
    id.*, item, coalesce(stream, type) AS channel, 'binance' AS exchange,
    coalesce(symbol, liquidated) AS symbol, line, clock_error_ns, false AS backfill,
    CASE type
        WHEN 'markPriceUpdate' THEN NULL -- its T lies ahead
        WHEN 'forceOrder' THEN time_ns(filled_at, 1000000)
        ELSE time_ns(happened, 1000000)
    END AS event_ns,
    time_ns(sent, 1000000) AS dispatch_ns
FROM events
WHERE item = 0 AND coalesce(event_ns, dispatch_ns) IS NOT NULL;

-- Binance futures (USD-M, COIN-M) and spot: bare or wrapped ({"stream", "data"}) frames, with one event or
-- an array of them. Times are milliseconds: E is when the venue sent the event, T when it happened (in a
-- mark price: the next funding). The side of a liquidation is the order's: SELL closed a long. st 2 marks
-- COIN-M, whose sizes are contracts; the list of instruments has their value. Other sizes are in the coin.
-- The venue sends no past events after a subscription. A futures trade whose X is not MARKET (of the
-- insurance fund, a deleveraging) is not a price of the market. Pairs with another quote than dollars
-- (ETHBTC) have no value in dollars. Some keys differ only in case (e, E): read them by path, since the
-- fields of a struct are case-insensitive.

-- step: messages
SELECT
    *,
    CASE
        WHEN json_type(data) = 'ARRAY' AND json_array_length(data) = 0 THEN 'control'
        WHEN json_type(data) = 'ARRAY' THEN 'events'
        WHEN type = 'serverShutdown' OR wrapped[7] = 'serverShutdown' THEN 'control'
        WHEN type IS NOT NULL THEN 'event'
        WHEN answer THEN 'control'
    END AS class,
    CASE WHEN json_type(json) = 'OBJECT' THEN 'a message without an event type' END AS reason
FROM (
    SELECT
        *,
        -- In place of the event there may be a text, which is not JSON by itself.
        CASE WHEN json_type(json, '$.data') IN ('OBJECT', 'ARRAY') THEN wrapped[2] ELSE json END AS data,
        CASE WHEN length(wrapped[1]) <= 200 THEN wrapped[1] END AS stream, -- each item repeats it
        json_extract_string(data, '$.e') AS type,
        len(list_filter(wrapped[3:6], lambda part: part IS NOT NULL)) > 0 AS answer
    FROM (
        SELECT
            *,
            json_extract_string(
                json,
                ['$.stream', '$.data', '$.result', '$.id', '$.error', '$.msg', '$.event.e']
            ) AS wrapped
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
            OR traded AND (symbol IS NULL OR num(price) IS NULL OR num(quantity) IS NULL)
            THEN type || ' without a symbol, or without a number as price'
        WHEN NOT traded AND type NOT IN ('forceOrder', 'markPriceUpdate')
                AND coalesce(time_ns(sent, 1000000), time_ns(happened, 1000000)) IS NULL
            THEN 'no table for the event type ' || short(type) || ', and it carries no time'
    END AS wrong
FROM (
    SELECT
        id, line, clock_error_ns, item, stream, part[1] AS type,
        type IN ('aggTrade', 'trade') AND coalesce(part[20], 'MARKET') = 'MARKET' AS traded,
        part[2] AS sent, part[3] AS happened,
        part[4] AS symbol, part[5] AS price, part[6] AS index_price, part[7] AS rate,
        part[8] AS quantity, part[9] AS buyer_is_maker,
        CASE type WHEN 'trade' THEN part[21] ELSE part[10] END AS trade,
        part[12] AS liquidated, part[13] AS side, part[14] AS ordered, part[15] AS limit_price,
        part[16] AS average_price, part[17] AS filled, part[18] AS filled_at,
        coalesce(part[19], part[11], '1') = '2' AS coin_margined
    FROM (
        SELECT
            * EXCLUDE (event),
            json_extract_string(event, [
                '$.e', '$.E', '$.T', '$.s', '$.p', '$.i', '$.r', '$.q', '$.m', '$.a', '$.st',
                '$.o.s', '$.o.S', '$.o.q', '$.o.p', '$.o.ap', '$.o.z', '$.o.T', '$.o.st', '$.X', '$.t'
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

-- step: sound
-- Events that make rows, with the value of their contract at that time.
SELECT
    e.*, c.contract_size, c.contract_unit, c.funding_interval_hours,
    regexp_matches(coalesce(e.symbol, liquidated), '(USD|USDT|USDC|USD1|FDUSD|TUSD|BUSD)(_.*)?$') AS dollars
FROM events AS e
LEFT JOIN contracts AS c
    ON c.symbol = coalesce(e.symbol, e.liquidated)
    AND e.id.recv_ns >= c.from_ns AND e.id.recv_ns < c.to_ns
WHERE wrong IS NULL;

-- step: trades
SELECT
    id, item, coalesce(stream, lower(symbol) || '@' || type) AS channel, symbol,
    time_ns(happened, 1000000) AS event_ns, num(price) AS price, num(quantity) AS size,
    CASE buyer_is_maker WHEN 'true' THEN 'sell' WHEN 'false' THEN 'buy' END AS side, trade,
    -- A contract in dollars is converted to the coin at the trade's price.
    CASE
        WHEN coin_margined THEN in_base(num(quantity), num(price), contract_size, contract_unit)
        ELSE num(quantity)
    END AS base_size,
    CASE
        WHEN coin_margined THEN notional(num(quantity), num(price), contract_size, contract_unit)
        WHEN dollars THEN num(num(price) * num(quantity))
    END AS value
FROM sound
WHERE traded;

-- table: funding
SELECT
    id.*, item, coalesce(stream, '!markPrice@arr') AS channel, 'binance' AS exchange, symbol,
    time_ns(sent, 1000000) AS event_ns, num(rate) AS rate, funding_interval_hours AS interval_hours,
    time_ns(happened, 1000000) AS next_funding_ns, num(price) AS mark_price,
    num(index_price) AS index_price, 'expected' AS basis, false AS backfill
FROM sound
WHERE type = 'markPriceUpdate';

-- table: prices
FROM (
    SELECT
        id.*, 2 * item + unnest([0, 1]) AS item, coalesce(stream, '!markPrice@arr') AS channel,
        'binance' AS exchange, symbol, time_ns(sent, 1000000) AS event_ns,
        unnest(['mark', 'index']) AS kind, unnest([num(price), num(index_price)]) AS price,
        false AS backfill
    FROM sound
    WHERE type = 'markPriceUpdate'
)
WHERE price IS NOT NULL
UNION ALL BY NAME
SELECT
    id.*, item, channel, 'binance' AS exchange, symbol, event_ns, 'last' AS kind, price,
    coalesce(base_size, size) AS quantity,
    CASE WHEN base_size IS NULL THEN 'contracts' ELSE 'base' END AS quantity_unit,
    value AS notional_usd, side, trade AS trade_id, false AS backfill
FROM trades;

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
        WHEN coin_margined
        THEN notional(
            coalesce(num(filled), num(ordered)), coalesce(num(average_price), num(limit_price)),
            contract_size, contract_unit
        )
        WHEN dollars
        THEN num(coalesce(num(filled), num(ordered)) * coalesce(num(average_price), num(limit_price)))
    END AS notional_usd,
    false AS backfill
FROM sound
WHERE type = 'forceOrder';

-- table: whales
SELECT
    id.*, item, channel, 'binance' AS exchange, symbol, event_ns, 'trade' AS kind,
    regexp_replace(symbol, '(USDT|USDC|USD1|FDUSD|TUSD|BUSD|USD)(_.*)?$', '') AS asset, side, price,
    base_size AS quantity, value AS notional_usd, trade AS tx, false AS backfill
FROM trades
WHERE value >= getvariable('whale_usd');

-- table: latency
SELECT
    id.*, item, coalesce(stream, type) AS channel, 'binance' AS exchange,
    coalesce(symbol, liquidated) AS symbol, line, clock_error_ns, false AS backfill,
    CASE type
        WHEN 'markPriceUpdate' THEN NULL -- its T is in the future
        WHEN 'forceOrder' THEN time_ns(filled_at, 1000000)
        ELSE time_ns(happened, 1000000)
    END AS event_ns,
    time_ns(sent, 1000000) AS dispatch_ns
FROM events
WHERE item = 0 AND coalesce(event_ns, dispatch_ns) IS NOT NULL;

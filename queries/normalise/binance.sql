-- Binance futures (USD-M, COIN-M) and spot: bare or wrapped ({"stream", "data"}) frames, with one event or
-- an array of them. Times are milliseconds: E is when the venue sent the event, T when it happened (in a
-- mark price: the next funding); the spot market's may be microseconds. The side of a liquidation is the
-- order's: SELL closed a long. Sizes of COIN-M are contracts, others are in the coin: the list of
-- instruments says it, else st (2 is COIN-M, since 2026), else the symbol (BTCUSD_PERP, BTCUSD_210625).
-- The venue sends no past events after a subscription. A futures trade whose X is not MARKET (of the
-- insurance fund, a deleveraging) was agreed off the book; old frames have no X. aggTrade has none, and
-- no such trades. Pairs with another quote than dollars (ETHBTC) have no value in dollars. Some keys
-- differ only in case (e, E): read them by path, since the fields of a struct are case-insensitive.

-- step: messages
SELECT
    *,
    CASE
        WHEN frame_kind = 'polled' THEN CASE
            WHEN json_extract_string(json, '$.symbol') IS NOT NULL
                AND num(json_extract_string(json, '$.openInterest')) IS NOT NULL THEN 'open interest'
        END
        WHEN json_type(data) = 'ARRAY' AND json_array_length(data) = 0 THEN 'control'
        WHEN json_type(data) = 'ARRAY' THEN 'events'
        WHEN type = 'serverShutdown' OR wrapped[7] = 'serverShutdown' THEN 'control'
        WHEN type IS NOT NULL THEN 'event'
        WHEN answer THEN 'control'
    END AS class,
    CASE
        WHEN frame_kind = 'polled' THEN 'a polled answer without a symbol, or without its open interest'
        WHEN json_type(json) = 'OBJECT' THEN 'a message without an event type'
    END AS reason
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
        WHEN stated IS NOT NULL AND (symbol IS NULL OR num(price) IS NULL)
            THEN type || ' without a symbol, or without a number as price'
        WHEN NOT traded AND type NOT IN ('forceOrder', 'markPriceUpdate')
                AND coalesce(ms_or_us(sent), ms_or_us(happened)) IS NULL
            THEN 'no table for the event type ' || short(type) || ', and it carries no time'
    END AS wrong
FROM (
    SELECT
        id, line, clock_error_ns, item, stream, part[1] AS type,
        -- A mark without a price or a size is not a trade.
        type IN ('aggTrade', 'trade')
            AND (coalesce(part[20], 'MARKET') = 'MARKET' OR num(part[5]) > 0 AND num(part[8]) > 0)
            AS traded,
        CASE
            WHEN type = 'aggTrade' AND part[20] IS NULL THEN false
            ELSE part[20] <> 'MARKET'
        END AS off_book,
        -- The prices in other events: the pair's index (COIN-M), the last price of a day's summary.
        CASE
            WHEN type IN ('indexPriceUpdate', 'compositeIndex') THEN 'index'
            WHEN type IN ('24hrTicker', '24hrMiniTicker') THEN 'last'
        END AS stated,
        part[2] AS sent, part[3] AS happened,
        CASE type WHEN 'indexPriceUpdate' THEN part[6] ELSE part[4] END AS symbol,
        CASE stated WHEN 'last' THEN part[22] ELSE part[5] END AS price, part[6] AS index_price, part[7] AS rate,
        part[8] AS quantity, part[9] AS buyer_is_maker,
        CASE type WHEN 'trade' THEN part[21] ELSE part[10] END AS trade,
        part[12] AS liquidated, part[13] AS side, part[14] AS ordered, part[15] AS limit_price,
        part[16] AS average_price, part[17] AS filled, part[18] AS filled_at,
        coalesce(part[19], part[11]) AS margin
    FROM (
        SELECT
            * EXCLUDE (event),
            json_extract_string(event, [
                '$.e', '$.E', '$.T', '$.s', '$.p', '$.i', '$.r', '$.q', '$.m', '$.a', '$.st',
                '$.o.s', '$.o.S', '$.o.q', '$.o.p', '$.o.ap', '$.o.z', '$.o.T', '$.o.st', '$.X', '$.t',
                '$.c'
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
-- Events that make rows, with what the list says of their instrument at that time. The symbol is second:
-- a contract of COIN-M ends in USD_ and PERP or a date, and no other symbol does; an option ends in -C or -P.
SELECT
    e.*, c.contract_size, c.contract_unit, c.funding_interval_hours, c.kind, c.contract_type,
    c.symbol IS NOT NULL AS listed,
    coalesce(c.base, asset_spelled(named)) AS asset,
    coalesce(c.dollars, regexp_matches(named, '(USD|USDT|USDC|USD1)(_.*)?$')) AS dollars,
    CASE
        WHEN c.contract_unit = 'usd' THEN 'contracts'
        WHEN c.contract_unit = 'base' THEN 'base'
        WHEN regexp_matches(named, 'USD_(PERP|\d{6})$|-[CP]$') OR margin = '2' THEN 'contracts'
        WHEN margin = '1' OR regexp_matches(named, '^[^-_]+(_\d{6})?$') THEN 'base'
    END AS unit
FROM (SELECT *, coalesce(symbol, liquidated) AS named FROM events) AS e
LEFT JOIN contracts AS c
    ON c.symbol = named AND e.id.recv_ns >= c.from_ns AND e.id.recv_ns < c.to_ns
WHERE wrong IS NULL;

-- table: open_interest
-- Polled, as no stream has it: contracts of COIN-M, the coin elsewhere. Its value in dollars is known where
-- a contract is worth some.
SELECT
    id.*, 0 AS item, lower(o.symbol) || '@openInterest' AS channel, 'binance' AS exchange, o.symbol, event_ns,
    open_interest,
    CASE
        WHEN c.contract_unit = 'usd' THEN 'contracts'
        WHEN c.contract_unit = 'base' THEN 'base'
        WHEN regexp_matches(o.symbol, 'USD_(PERP|\d{6})$') THEN 'contracts'
        WHEN regexp_matches(o.symbol, '^[^-_]+(_\d{6})?$') THEN 'base'
    END AS open_interest_unit,
    CASE WHEN c.contract_unit = 'usd' THEN open_interest * c.contract_size END AS open_interest_usd,
    false AS backfill,
    rest(json, '{"symbol": null, "openInterest": null, "time": null}') AS extra
FROM (
    SELECT
        id, json, json_extract_string(json, '$.symbol') AS symbol,
        num(json_extract_string(json, '$.openInterest')) AS open_interest,
        ms_or_us(json_extract_string(json, '$.time')) AS event_ns
    FROM messages
    WHERE class = 'open interest'
) AS o
LEFT JOIN contracts AS c
    ON c.symbol = o.symbol AND o.id.recv_ns >= c.from_ns AND o.id.recv_ns < c.to_ns;

-- moments: fundings
SELECT symbol, ms_or_us(happened) AS moment_ns, coalesce(ms_or_us(sent), id.recv_ns) AS at_ns
FROM sound
WHERE type = 'markPriceUpdate'

-- step: trades
SELECT
    id, item, coalesce(stream, lower(symbol) || '@' || type) AS channel, symbol, asset, off_book,
    ms_or_us(happened) AS event_ns, num(price) AS price, num(quantity) AS size, unit,
    CASE buyer_is_maker WHEN 'true' THEN 'sell' WHEN 'false' THEN 'buy' END AS side, trade,
    -- A contract in dollars is converted to the coin at the trade's price.
    CASE unit
        WHEN 'contracts' THEN in_base(num(quantity), num(price), contract_size, contract_unit)
        WHEN 'base' THEN num(quantity)
    END AS base_size,
    CASE unit
        WHEN 'contracts' THEN notional(num(quantity), num(price), contract_size, contract_unit)
        WHEN 'base' THEN value_usd(num(quantity), num(price), 1, 'base', dollars)
    END AS value
FROM sound
WHERE traded;

-- table: funding
-- The interval of a rate is what the time of funding moved by, where that was observed; else the list's;
-- else the venue's default, unless the frame contradicts that.
SELECT
    id.*, item, coalesce(stream, '!markPrice@arr') AS channel, 'binance' AS exchange, symbol, event_ns,
    num(rate) AS rate, coalesce(hours, named_hours, default_hours) AS interval_hours,
    next_funding_ns, num(price) AS mark_price,
    num(index_price) AS index_price, 'expected' AS basis, false AS backfill,
    CASE
        WHEN coalesce(hours, named_hours) IS NULL AND default_hours IS NOT NULL
            THEN '{"interval_hours": "default"}'::JSON
    END AS extra
FROM (
    SELECT
        s.*, f.hours, s.funding_interval_hours AS named_hours,
        -- The venue's list of intervals names those that were ever adjusted; others have 8 hours, and
        -- are funded at 0, 8 and 16 o'clock: one that is funded at another full hour was adjusted since.
        CASE
            WHEN s.listed AND s.funding_interval_hours IS NULL AND num(s.rate) IS NOT NULL
                    AND s.unit = 'base' AND coalesce(s.kind, 'perpetual') = 'perpetual'
                    AND (s.next_funding_ns % 3600000000000 = 0 AND s.next_funding_ns % 28800000000000 <> 0)
                        IS NOT TRUE
                THEN possible_hours(8, s.event_ns, s.next_funding_ns)
        END AS default_hours
    FROM (
        SELECT *, ms_or_us(sent) AS event_ns, ms_or_us(happened) AS next_funding_ns
        FROM sound
        WHERE type = 'markPriceUpdate'
    ) AS s
    LEFT JOIN fundings AS f ON f.symbol = s.symbol AND f.moment_ns = s.next_funding_ns
);

-- table: prices
FROM (
    SELECT
        id.*, 2 * item + unnest([0, 1]) AS item, coalesce(stream, '!markPrice@arr') AS channel,
        'binance' AS exchange, symbol, ms_or_us(sent) AS event_ns,
        unnest(['mark', 'index']) AS kind, unnest([num(price), num(index_price)]) AS price,
        false AS backfill
    FROM sound
    WHERE type = 'markPriceUpdate'
)
WHERE price IS NOT NULL
UNION ALL BY NAME
SELECT
    id.*, 2 * item AS item, coalesce(stream, type) AS channel, 'binance' AS exchange, symbol,
    ms_or_us(sent) AS event_ns, stated AS kind, num(price) AS price, false AS backfill
FROM sound
WHERE stated IS NOT NULL
UNION ALL BY NAME
SELECT
    id.*, item, channel, 'binance' AS exchange, symbol, event_ns, 'last' AS kind, price,
    coalesce(base_size, size) AS quantity,
    CASE WHEN base_size IS NOT NULL THEN 'base' ELSE unit END AS quantity_unit,
    value AS notional_usd, side, trade AS trade_id, off_book, false AS backfill
FROM trades;

-- table: liquidations
-- An order that is not filled yet has 0 as average price and as filled size.
SELECT
    id.*, item, coalesce(stream, '!forceOrder@arr') AS channel, 'binance' AS exchange,
    liquidated AS symbol, ms_or_us(filled_at) AS event_ns,
    CASE side WHEN 'SELL' THEN 'long' WHEN 'BUY' THEN 'short' END AS position_side, side AS raw_side,
    coalesce(average, bound) AS price,
    CASE WHEN average IS NOT NULL THEN 'average' WHEN bound IS NOT NULL THEN 'limit' END AS price_kind,
    size AS quantity, CASE WHEN size IS NOT NULL THEN unit END AS quantity_unit,
    CASE unit
        WHEN 'contracts' THEN notional(size, coalesce(average, bound), contract_size, contract_unit)
        WHEN 'base' THEN value_usd(size, coalesce(average, bound), 1, 'base', dollars)
    END AS notional_usd,
    false AS backfill, CASE WHEN bound IS NOT NULL THEN json_object('order_price', bound) END AS extra
FROM (
    SELECT
        *, nullif(num(average_price), 0) AS average, nullif(num(limit_price), 0) AS bound,
        coalesce(nullif(num(filled), 0), num(ordered)) AS size
    FROM sound
    WHERE type = 'forceOrder'
);

-- table: whales
-- A fund is not a whale.
SELECT
    id.*, item, channel, 'binance' AS exchange, symbol, event_ns, 'trade' AS kind,
    asset, side, price, base_size AS quantity, value AS notional_usd, trade AS tx, false AS backfill
FROM trades
WHERE value >= getvariable('whale_usd') AND off_book IS NOT TRUE;

-- table: latency
SELECT
    id.*, item, coalesce(stream, type) AS channel, 'binance' AS exchange,
    coalesce(symbol, liquidated) AS symbol, line, clock_error_ns, false AS backfill,
    CASE type
        WHEN 'markPriceUpdate' THEN NULL -- its T is in the future
        WHEN 'forceOrder' THEN ms_or_us(filled_at)
        ELSE ms_or_us(happened)
    END AS event_ns,
    ms_or_us(sent) AS dispatch_ns
FROM events
WHERE item = 0 AND coalesce(event_ns, dispatch_ns) IS NOT NULL;

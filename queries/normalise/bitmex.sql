-- BitMEX: {"table", "action", "data": [...]}: a partial (the table's current content), then inserts,
-- updates and deletes; also a welcome, acknowledgements, errors and the text pong. Times are ISO 8601.
-- Events are: each trade and each funding (inserted when it happens; the last one is repeated in a
-- partial), each new liquidation order (inserted; open ones are repeated in a partial, with the same
-- orderID; updates and deletes of it are not further events), each change of an instrument.
-- An instrument's update holds only what changed: a missing field is unchanged, a null is unknown.
-- A liquidation's side is the order's (Buy closes a short), its price the order's limit, its size
-- contracts. It has no time. foreignNotional of a trade is its value in the quote currency.
-- BitMEX writes XBT for BTC. indicativeSettlePrice is the underlying index.

-- step: all_messages
SELECT
    *,
    CASE
        WHEN octet_length(payload) <= 8 AND trim(text) IN ('pong', 'ping') THEN 'control'
        WHEN kind IS NULL AND (present[4] OR present[5] OR present[6]) THEN 'control'
        WHEN kind IS NULL OR coalesce(json_type(json, '$.data') <> 'ARRAY', true) THEN NULL
        WHEN json_array_length(json, '$.data') = 0 OR action = 'delete' THEN 'control'
        WHEN kind = 'liquidation' THEN CASE
            WHEN action = 'update' THEN 'control'
            WHEN action IN ('insert', 'partial') THEN 'items' -- without an action it may be an update
        END
        WHEN kind IN ('trade', 'funding', 'instrument') THEN 'items'
        -- Order books and the like have no table here; only their time is used.
        WHEN first_ns IS NOT NULL THEN 'items'
        WHEN kind IN ('orderBookL2', 'orderBookL2_25', 'orderBook10', 'quote', 'announcement', 'chat',
            'connected', 'insurance', 'settlement', 'publicNotifications') THEN 'control'
    END AS class,
    CASE
        WHEN kind IS NULL THEN 'a message without a table'
        WHEN coalesce(json_type(json, '$.data') <> 'ARRAY', true) THEN 'a table without an array of data'
        WHEN kind = 'liquidation' THEN 'a liquidation without an action, or with an unknown one'
        ELSE 'no rule for the table ' || short(kind) || ', and it carries no time'
    END AS reason
FROM (
    SELECT
        *, envelope[1] AS kind, envelope[2] AS action,
        CASE
            WHEN regexp_full_match(envelope[3], '\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z')
            THEN time_ns(epoch_us(TRY_CAST(envelope[3] AS TIMESTAMP)), 1000)
        END AS first_ns,
        list_transform(envelope, lambda part: part IS NOT NULL) AS present
    FROM (
        SELECT
            *,
            json_extract_string(
                json,
                ['$.table', '$.action', '$.data[0].timestamp', '$.info', '$.success', '$.error']
            ) AS envelope
        FROM all_frames
    )
);

-- step: messages
SELECT * EXCLUDE (fresh) FROM all_messages WHERE fresh;

-- step: items
SELECT
    * EXCLUDE (part), part[2] AS symbol, kind || coalesce(':' || left(part[2], 100), '') AS channel,
    CASE
        WHEN regexp_full_match(part[1], '\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z')
        THEN time_ns(epoch_us(TRY_CAST(part[1] AS TIMESTAMP)), 1000)
    END AS event_ns,
    part[3] AS side, num(part[4]) AS price, num(part[5]) AS size, part[6] AS trade,
    num(part[7]) AS base_size, num(part[8]) AS quote_value, part[9] AS trade_kind, part[10] AS order_id,
    num(part[11]) AS left_size, part[12] AS span, num(part[13]) AS rate
FROM (
    SELECT
        *,
        json_extract_string(element, [
            '$.timestamp', '$.symbol', '$.side', '$.price', '$.size', '$.trdMatchID', '$.homeNotional',
            '$.foreignNotional', '$.trdType', '$.orderID', '$.leavesQty', '$.fundingInterval',
            '$.fundingRate'
        ]) AS part
    FROM (
        SELECT
            id, fresh, line, opened_ns, clock_error_ns, kind, action,
            unnest(range(json_array_length(json, '$.data')::BIGINT))::INTEGER AS item,
            unnest(json_transform(json_extract(json, '$.data'), '["JSON"]')) AS element
        FROM all_messages
        WHERE class = 'items' AND (fresh OR kind = 'instrument')
            OR kind = 'instrument' AND json_type(json, '$.data') = 'ARRAY'
    )
);

-- step: tickers
-- Each change of an instrument, with its last known values: `raw` is JSON, in which a null (unknown)
-- differs from a missing field (unchanged).
SELECT
    * EXCLUDE (known),
    num(raw[1] ->> '$') AS mark, coalesce(num(raw[2] ->> '$'), num(raw[3] ->> '$')) AS index,
    num(raw[4] ->> '$') AS last, num(raw[5] ->> '$') AS mid, num(raw[6] ->> '$') AS interest,
    num(raw[7] ->> '$') AS sent_rate, num(raw[8] ->> '$') AS sent_predicted,
    known,
    num(known.mark ->> '$') AS known_mark,
    coalesce(num(known.index_price ->> '$'), num(known.settle ->> '$')) AS known_index,
    num(known.rate ->> '$') AS known_rate, num(known.predicted ->> '$') AS known_predicted,
    CASE
        WHEN regexp_full_match(known.next ->> '$', '\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z')
        THEN time_ns(epoch_us(TRY_CAST(known.next ->> '$' AS TIMESTAMP)), 1000)
    END AS next_funding_ns,
    known.span ->> '$' AS known_span
FROM (
    SELECT
        *,
        {
            'mark': last_value(raw[1] IGNORE NULLS) OVER era,
            'index_price': last_value(raw[2] IGNORE NULLS) OVER era,
            'settle': last_value(raw[3] IGNORE NULLS) OVER era,
            'rate': last_value(raw[7] IGNORE NULLS) OVER era,
            'predicted': last_value(raw[8] IGNORE NULLS) OVER era,
            'next': last_value(raw[9] IGNORE NULLS) OVER era,
            'span': last_value(raw[10] IGNORE NULLS) OVER era
        } AS known
    FROM (
        SELECT
            *,
            sum((action IS DISTINCT FROM 'update')::INTEGER) OVER (
                PARTITION BY connection, symbol ORDER BY seq, item
            ) AS whole
        FROM (
            SELECT
                id.connection AS connection, id.seq AS seq, item, id, fresh, line, opened_ns,
                clock_error_ns, kind, action, symbol, channel, event_ns,
                CASE
                    WHEN action = 'delete' THEN list_transform(range(10), lambda n: NULL::JSON)
                    ELSE json_extract(element, [
                        '$.markPrice', '$.indexPrice', '$.indicativeSettlePrice', '$.lastPrice',
                        '$.midPrice', '$.openInterest', '$.fundingRate', '$.indicativeFundingRate', '$.fundingTimestamp',
                        '$.fundingInterval'
                    ])
                END AS raw
            FROM items
            WHERE kind = 'instrument' AND symbol IS NOT NULL
            UNION ALL BY NAME
            SELECT
                connection, seq // 1000000 AS seq, -1 AS item, false AS fresh, 'update' AS action,
                key AS symbol,
                list_concat(
                    json_extract(state, ['$.mark', '$.index_price', '$.settle']),
                    [NULL::JSON, NULL::JSON, NULL::JSON],
                    json_extract(state, ['$.rate', '$.predicted', '$.next', '$.span'])
                ) AS raw
            FROM carried
            WHERE name = 'instrument'
        )
    )
    WINDOW era AS (PARTITION BY connection, symbol, whole ORDER BY seq, item)
);

-- state: instrument
-- One frame may change an instrument twice, so that the item within the frame counts too.
SELECT connection, symbol AS key, seq * 1000000 + item + 1 AS seq, known AS state FROM tickers;

-- step: wrongs
SELECT
    id, item,
    CASE
        WHEN symbol IS NULL THEN 'an item of the table ' || kind || ' without a symbol'
        WHEN kind = 'liquidation' THEN 'a liquidation without a side'
        WHEN kind = 'trade' AND coalesce(price, size) IS NOT NULL AND trade_kind <> 'Regular'
            THEN 'no rule for a trade of the kind ' || short(trade_kind) || ', and it carries no time'
        WHEN kind = 'trade' AND price IS NOT NULL AND size IS NOT NULL AND coalesce(trade_kind, side) IS NULL
            THEN 'a trade without a kind and without a side: it may be a settlement'
        WHEN kind = 'trade' THEN 'a trade without a number as price, or as size'
        WHEN kind = 'funding' THEN 'a funding without a number as rate'
    END AS wrong
FROM items
WHERE fresh AND action IS DISTINCT FROM 'delete' AND (
    symbol IS NULL AND kind IN ('liquidation', 'trade', 'funding', 'instrument')
    OR kind = 'liquidation' AND side IS NULL
    OR kind = 'trade' AND (price IS NULL OR size IS NULL OR coalesce(trade_kind, side) IS NULL OR trade_kind <> 'Regular' AND event_ns IS NULL)
    OR kind = 'funding' AND rate IS NULL
)
UNION ALL BY NAME
SELECT id, item, 'an instrument without a time, and without anything that a table holds' AS wrong
FROM tickers
WHERE fresh AND event_ns IS NULL AND action IS DISTINCT FROM 'delete'
    AND coalesce(mark, index, last, mid, interest, sent_rate, sent_predicted) IS NULL;

-- table: rejects
-- One row per frame, however many of its items are wrong: each row holds the whole frame.
SELECT
    id.*, item, kind AS channel, 'bitmex' AS exchange, payload,
    wrong || CASE WHEN items > 1 THEN ' (the first of ' || items || ' wrong items)' ELSE '' END AS reason
FROM (
    SELECT id AS frame, min(item) AS item, arg_min(wrong, item) AS wrong, count(*) AS items
    FROM wrongs
    GROUP BY id
)
JOIN messages ON messages.id = frame;

-- step: sound
-- Items that make rows, with the value of their contract at that time.
SELECT
    i.*, c.contract_size, c.contract_unit, c.funding_interval_hours,
    coalesce(c.base, asset_spelled(i.symbol)) AS asset,
    -- Futures of XBT without a quote in their symbol are in dollars; other coins' may be in XBT.
    coalesce(c.dollars, regexp_matches(i.symbol, '(USD|USDT|USDC|^XBT)([FGHJKMNQUVXZ]\d\d)?$')) AS dollars,
    coalesce(i.action = 'partial', false) OR coalesce(i.event_ns < i.opened_ns, false) AS past
FROM items AS i
ANTI JOIN wrongs AS w ON w.id = i.id AND w.item = i.item
LEFT JOIN contracts AS c
    ON c.symbol = i.symbol AND i.id.recv_ns >= c.from_ns AND i.id.recv_ns < c.to_ns
WHERE i.fresh AND i.action IS DISTINCT FROM 'delete';

-- table: liquidations once (order_id)
SELECT
    id.*, item, 'liquidation' AS channel, 'bitmex' AS exchange, symbol, event_ns,
    CASE side WHEN 'Buy' THEN 'short' WHEN 'Sell' THEN 'long' END AS position_side, side AS raw_side, price,
    CASE WHEN price IS NOT NULL THEN 'limit' END AS price_kind, left_size AS quantity,
    CASE WHEN left_size IS NOT NULL THEN 'contracts' END AS quantity_unit,
    notional(left_size, price, contract_size, contract_unit) AS notional_usd, order_id, past AS backfill
FROM sound
WHERE kind = 'liquidation';

-- step: trades
-- The list of instruments has quote currencies that a symbol, and sizes that a trade, does not state.
SELECT
    * REPLACE (coalesce(base_size, in_base(size, price, contract_size, contract_unit)) AS base_size),
    CASE
        WHEN dollars AND quote_value IS NOT NULL THEN quote_value
        ELSE notional(size, price, contract_size, contract_unit)
    END AS value,
    -- A trade agreed outside the book is of another kind than Regular.
    CASE WHEN trade_kind IS NOT NULL THEN trade_kind <> 'Regular' END AS off_book
FROM sound
WHERE kind = 'trade' AND coalesce(trade_kind, 'Regular') <> 'Settlement'; -- which is not a trade

-- table: whales once (symbol, tx)
SELECT
    id.*, item, channel, 'bitmex' AS exchange, symbol, event_ns, 'trade' AS kind,
    asset,
    CASE side WHEN 'Buy' THEN 'buy' WHEN 'Sell' THEN 'sell' END AS side, price, base_size AS quantity,
    value AS notional_usd, trade AS tx, past AS backfill
FROM trades
WHERE value >= getvariable('whale_usd');

-- step: sized
SELECT
    id, item, channel, 'bitmex' AS exchange, symbol, event_ns, 'last' AS kind, price,
    coalesce(base_size, size) AS quantity,
    CASE WHEN base_size IS NULL THEN 'contracts' ELSE 'base' END AS quantity_unit, value AS notional_usd,
    CASE side WHEN 'Buy' THEN 'buy' WHEN 'Sell' THEN 'sell' END AS side, trade AS trade_id,
    off_book, past AS backfill
FROM trades;

-- table: prices once (symbol, trade_id)
-- A second connection may bring the same trades in other frames.
SELECT id.*, * EXCLUDE (id) FROM sized;

-- table: prices
FROM (
    SELECT
        id.*, 4 * item + unnest(range(4)) AS item, channel, 'bitmex' AS exchange, symbol, event_ns,
        unnest(['mark', 'index', 'last', 'mid']) AS kind, unnest([mark, index, last, mid]) AS price,
        false AS backfill
    FROM tickers
    WHERE fresh AND action IS DISTINCT FROM 'delete'
)
WHERE price IS NOT NULL;

-- moments: fundings
SELECT symbol, next_funding_ns AS moment_ns, coalesce(event_ns, id.recv_ns) AS at_ns
FROM tickers
WHERE fresh AND action IS DISTINCT FROM 'delete'

-- table: funding once (channel, symbol, event_ns)
-- The rate paid at event_ns (funding), or the current rate before the next payment (instrument).
SELECT
    id.*, item, 'funding' AS channel, 'bitmex' AS exchange, symbol, event_ns, rate,
    coalesce(
        -- A duration is written as a time, counted from the start of 2000.
        CASE
            WHEN regexp_full_match(span, '2000-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z')
            THEN nullif((epoch_us(TRY_CAST(span AS TIMESTAMP)) - 946684800000000) / 3600000000, 0)
        END,
        funding_interval_hours
    ) AS interval_hours,
    'realised' AS basis, past AS backfill
FROM sound
WHERE kind = 'funding'
UNION ALL BY NAME
SELECT
    id.*, t.item, t.channel, 'bitmex' AS exchange, t.symbol, t.event_ns, known_rate AS rate,
    coalesce(
        CASE
            WHEN regexp_full_match(known_span, '2000-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z')
            THEN nullif((epoch_us(TRY_CAST(known_span AS TIMESTAMP)) - 946684800000000) / 3600000000, 0)
        END,
        f.hours, c.funding_interval_hours
    ) AS interval_hours,
    known_predicted AS predicted_rate,
    next_funding_ns,
    known_mark AS mark_price, known_index AS index_price, 'expected' AS basis,
    coalesce(t.event_ns < t.opened_ns, false) AS backfill
FROM tickers AS t
LEFT JOIN fundings AS f ON f.symbol = t.symbol AND f.moment_ns = t.next_funding_ns
LEFT JOIN contracts AS c
    ON c.symbol = t.symbol AND t.id.recv_ns >= c.from_ns AND t.id.recv_ns < c.to_ns
WHERE fresh AND action IS DISTINCT FROM 'delete' AND coalesce(sent_rate, sent_predicted) IS NOT NULL;

-- table: open_interest once (symbol, event_ns)
SELECT
    id.*, t.item, t.channel, 'bitmex' AS exchange, t.symbol, t.event_ns, interest AS open_interest,
    'contracts' AS open_interest_unit,
    notional(interest, known_mark, c.contract_size, c.contract_unit) AS open_interest_usd,
    coalesce(t.event_ns < t.opened_ns, false) AS backfill
FROM tickers AS t
LEFT JOIN contracts AS c
    ON c.symbol = t.symbol AND t.id.recv_ns >= c.from_ns AND t.id.recv_ns < c.to_ns
WHERE fresh AND action IS DISTINCT FROM 'delete' AND interest IS NOT NULL;

-- table: latency
-- The newest event of each frame with a time. An instrument's partial is not a past event.
SELECT
    id.*, item, CASE WHEN kind IN ('funding', 'liquidation') THEN kind ELSE channel END AS channel,
    'bitmex' AS exchange, symbol, line, clock_error_ns, event_ns,
    CASE
        WHEN kind IN ('trade', 'funding') THEN past
        ELSE coalesce(event_ns < opened_ns, false)
    END AS backfill
FROM sound
WHERE event_ns IS NOT NULL
QUALIFY row_number() OVER (PARTITION BY id ORDER BY event_ns DESC, item) = 1;

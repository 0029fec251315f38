-- Deribit: JSON-RPC 2.0. Data frames are {"method": "subscription", "params": {"channel", "data"}}, times
-- are milliseconds. A size (amount, open_interest) is in dollars for inverse futures, in coins for linear
-- ones, options and spot: the venue's list of instruments says which, else the symbol (BTC-PERPETUAL and
-- BTC-27DEC30 are inverse, BTC_USDC-PERPETUAL linear, BTC_USDC spot). An option of an inverse market is
-- priced in its coin. A trade's direction is the aggressor's. A trade with a block_trade_id was agreed
-- outside the book, as was one of a combination (combo_id): its price is the combination's.
-- Funding is paid continuously: funding_8h is the funding of the last eight hours. The current rate
-- (current_funding, interest) is not that rate and stays in extra.

-- step: messages
SELECT
    *,
    CASE
        WHEN method = 'heartbeat' OR (method IS NULL AND answer) THEN 'control'
        WHEN method <> 'subscription' OR channel IS NULL THEN NULL
        WHEN starts_with(channel, 'trades.') THEN CASE
            WHEN json_type(data) = 'ARRAY' AND json_array_length(data) = 0 THEN 'control'
            WHEN json_type(data) = 'ARRAY' THEN 'trades'
        END
        WHEN starts_with(channel, 'ticker.') THEN CASE
            WHEN symbol IS NOT NULL AND coalesce(mark, index, last, interest, funding, current) IS NOT NULL
                THEN 'ticker'
        END
        WHEN starts_with(channel, 'perpetual.') THEN CASE
            WHEN coalesce(rate, index) IS NOT NULL THEN 'perpetual'
        END
        WHEN starts_with(channel, 'deribit_price_index.') THEN CASE WHEN price IS NOT NULL THEN 'index' END
        -- A candle has no table, and no time except its start.
        WHEN starts_with(channel, 'chart.') THEN 'control'
        WHEN event_ns IS NOT NULL THEN 'other'
    END AS class,
    CASE
        WHEN method IS NULL THEN 'a message without a method, and not an answer'
        WHEN method <> 'subscription' THEN 'no rule for the method ' || short(method)
        WHEN channel IS NULL
            THEN 'a subscription''s message without a channel, or with one beyond 200 characters'
        WHEN starts_with(channel, 'trades.') THEN 'trades that are not a list'
        WHEN starts_with(channel, 'ticker.') THEN 'a ticker without an instrument, or without a number'
        WHEN starts_with(channel, 'perpetual.') THEN 'an interest that is not a number'
        WHEN starts_with(channel, 'deribit_price_index.') THEN 'an index that is not a number'
        ELSE 'no table for the channel ' || short(channel) || ', and it carries no time'
    END AS reason
FROM (
    SELECT
        * EXCLUDE (part), part[1] AS method,
        CASE WHEN length(part[2]) <= 200 THEN part[2] END AS channel, -- each item repeats it
        CASE WHEN json_type(json, '$.params.data') = 'ARRAY' THEN part[3] END AS data,
        part[4] IS NOT NULL OR part[5] IS NOT NULL OR part[6] IS NOT NULL AS answer,
        part[7] AS symbol, time_ns(part[8], 1000000) AS event_ns,
        coalesce(time_ns(part[8], 1000000) < opened_ns, false) AS backfill,
        num(part[9]) AS mark, num(part[10]) AS index, num(part[11]) AS last, num(part[12]) AS interest,
        num(part[13]) AS funding, num(part[14]) AS current, num(part[15]) AS rate,
        num(part[16]) AS price
    FROM (
        SELECT
            *,
            json_extract_string(json, [
                '$.method', '$.params.channel', '$.params.data', '$.result', '$.error', '$.id',
                '$.params.data.instrument_name', '$.params.data.timestamp', '$.params.data.mark_price',
                '$.params.data.index_price', '$.params.data.last_price', '$.params.data.open_interest',
                '$.params.data.funding_8h', '$.params.data.current_funding', '$.params.data.interest',
                '$.params.data.price'
            ]) AS part
        FROM frames
    )
);

-- step: instruments_of
-- What the list, else the symbol, says of each instrument that occurs, at the time of each frame.
SELECT
    m.id AS frame, m.symbol, coalesce(c.base, asset_spelled(m.symbol)) AS asset,
    coalesce(c.contract_unit, CASE
        WHEN regexp_full_match(m.symbol, '[^-_]+(_[^-_]+)?-[0-9A-Z]+-[0-9d.]+-[CP]') THEN 'base'
        WHEN regexp_full_match(m.symbol, '[^-_]+_[^-_]+(-(PERPETUAL|\d{1,2}[A-Z]{3}\d{2}))?') THEN 'base'
        WHEN regexp_full_match(m.symbol, '(BTC|ETH)-(PERPETUAL|\d{1,2}[A-Z]{3}\d{2})') THEN 'usd'
    END) AS contract_unit,
    CASE WHEN c.contract_unit IS NOT NULL THEN c.contract_size ELSE 1.0 END AS contract_size,
    coalesce(c.dollars, CASE
        WHEN regexp_matches(m.symbol, '-[CP]$') THEN false
        WHEN regexp_matches(m.symbol, '^[^-_]+_') THEN is_dollar(regexp_extract(m.symbol, '_([^-_]+)', 1))
        ELSE true
    END) AS dollars
FROM (
    SELECT id, json_extract_string(trade, '$.instrument_name') AS symbol
    FROM (SELECT id, unnest(json_transform(data, '["JSON"]')) AS trade FROM messages WHERE class = 'trades')
    UNION
    SELECT id, symbol FROM messages WHERE class = 'ticker'
) AS m
LEFT JOIN contracts AS c
    ON c.symbol = m.symbol AND m.id.recv_ns >= c.from_ns AND m.id.recv_ns < c.to_ns;

-- step: trades
SELECT
    t.*, c.contract_size, c.contract_unit, c.asset,
    value_usd(amount, price, c.contract_size, c.contract_unit, c.dollars) AS notional_usd,
    coalesce(event_ns < opened_ns, false) AS backfill,
    CASE
        WHEN t.symbol IS NULL OR price IS NULL OR amount IS NULL
            THEN 'a trade without an instrument, or without a number as price or amount'
    END AS wrong
FROM (
    SELECT
        * EXCLUDE (part), part[1] AS symbol, num(part[2]) AS price, num(part[3]) AS amount,
        num(part[4]) AS count, part[5] AS direction, part[6] AS trade_id, 
        CASE WHEN lower(part[7]) NOT IN ('', 'none') THEN part[7] END AS liquidation,
        time_ns(part[8], 1000000) AS event_ns, part[9] AS block, part[10] AS combination,
        part[11] AS quoted -- agreed by a request for quotes
    FROM (
        SELECT
            * EXCLUDE (trade),
            json_extract_string(trade, [
                '$.instrument_name', '$.price', '$.amount', '$.contracts', '$.direction', '$.trade_id',
                '$.liquidation', '$.timestamp', '$.block_trade_id', '$.combo_id',
                '$.block_rfq_id'
            ]) AS part
        FROM (
            SELECT
                id, line, clock_error_ns, opened_ns, channel,
                unnest(range(json_array_length(data)::BIGINT))::INTEGER AS item,
                unnest(json_transform(data, '["JSON"]')) AS trade
            FROM messages
            WHERE class = 'trades'
        )
    )
) AS t
LEFT JOIN instruments_of AS c ON c.frame = t.id AND c.symbol = t.symbol;

-- table: rejects
-- One row per frame, however many of its items are wrong: each row holds the whole frame.
SELECT
    id.*, item, channel, 'deribit' AS exchange, payload,
    wrong || CASE WHEN items > 1 THEN ' (the first of ' || items || ' wrong items)' ELSE '' END AS reason
FROM (
    SELECT id AS frame, min(item) AS item, arg_min(wrong, item) AS wrong, count(*) AS items
    FROM trades
    WHERE wrong IS NOT NULL
    GROUP BY id
)
JOIN messages ON messages.id = frame;

-- table: whales once (symbol, tx)
SELECT
    id.*, item, channel, 'deribit' AS exchange, symbol, event_ns, 'trade' AS kind,
    asset, CASE WHEN direction IN ('buy', 'sell') THEN direction END AS side, price,
    in_base(amount, price, contract_size, contract_unit) AS quantity, notional_usd, trade_id AS tx, backfill,
    CASE
        WHEN coalesce(block, combination, quoted) IS NOT NULL
            THEN json_merge_patch(
                CASE WHEN block IS NULL THEN '{}' ELSE json_object('block_trade_id', block) END,
                CASE WHEN combination IS NULL THEN '{}' ELSE json_object('combo_id', combination) END,
                CASE WHEN quoted IS NULL THEN '{}' ELSE json_object('block_rfq_id', quoted) END
            )
    END AS extra
FROM trades
WHERE wrong IS NULL AND notional_usd >= getvariable('whale_usd');

-- table: liquidations once (symbol, event_ns, extra)
-- T: the taker was liquidated; M: the maker; MT: both, which is two liquidations. A liquidated side that
-- buys closes a short. A second connection may split the same trades into other frames.
SELECT
    id.*, 2 * item + nth AS item, channel, 'deribit' AS exchange, symbol, event_ns,
    CASE
        WHEN role = 'T' AND direction = 'buy' OR role = 'M' AND direction = 'sell' THEN 'short'
        WHEN role = 'T' AND direction = 'sell' OR role = 'M' AND direction = 'buy' THEN 'long'
    END AS position_side,
    direction AS raw_side, price, 'average' AS price_kind,
    CASE WHEN contract_unit IS NOT NULL THEN num(amount * contract_size) ELSE count END AS quantity,
    CASE WHEN contract_unit IS NOT NULL THEN contract_unit WHEN count IS NOT NULL THEN 'contracts' END
        AS quantity_unit,
    notional_usd, backfill, json_object('liquidation', liquidation, 'trade_id', trade_id) AS extra
FROM (
    SELECT
        *, CASE liquidation WHEN 'MT' THEN ['M', 'T'] ELSE [liquidation] END AS roles,
        unnest(roles) AS role, unnest(range(len(roles))) AS nth
    FROM trades
    WHERE wrong IS NULL AND liquidation IS NOT NULL
);

-- table: funding once (channel, symbol, event_ns)
SELECT
    id.*, 0 AS item, channel, 'deribit' AS exchange, symbol, event_ns, funding AS rate, 8 AS interval_hours,
    mark AS mark_price, index AS index_price, 'realised' AS basis, backfill,
    CASE WHEN current IS NOT NULL THEN json_object('current_funding', current) END AS extra
FROM messages
WHERE class = 'ticker' AND coalesce(funding, current) IS NOT NULL
UNION ALL BY NAME
SELECT
    id.*, 0 AS item, channel, 'deribit' AS exchange, split_part(channel, '.', 2) AS symbol, event_ns,
    index AS index_price, backfill,
    CASE WHEN rate IS NOT NULL THEN json_object('interest', rate) END AS extra
FROM messages
WHERE class = 'perpetual';

-- table: open_interest once (channel, symbol, event_ns)
SELECT
    id.*, 0 AS item, channel, 'deribit' AS exchange, m.symbol, event_ns,
    interest AS open_interest, contract_unit AS open_interest_unit,
    value_usd(interest, mark, contract_size, contract_unit, dollars) AS open_interest_usd, backfill
FROM messages AS m
LEFT JOIN instruments_of AS c ON c.frame = m.id AND c.symbol = m.symbol
WHERE m.class = 'ticker' AND m.interest IS NOT NULL;

-- table: prices once (channel, symbol, kind, event_ns, price)
-- The last price of a ticker has the ticker's time, not the trade's.
FROM (
    SELECT
        id.*, unnest([0, 1, 2]) AS item, channel, 'deribit' AS exchange, symbol, event_ns,
        unnest(['mark', 'index', 'last']) AS kind, unnest([mark, index, last]) AS price,
        backfill
    FROM messages
    WHERE class = 'ticker'
)
WHERE price IS NOT NULL
UNION ALL BY NAME
SELECT
    id.*, 0 AS item, channel, 'deribit' AS exchange, split_part(channel, '.', 2) AS symbol, event_ns,
    'index' AS kind, index AS price, backfill
FROM messages
WHERE class = 'perpetual' AND index IS NOT NULL
UNION ALL BY NAME
SELECT
    id.*, 0 AS item, channel, 'deribit' AS exchange, split_part(channel, '.', 2) AS symbol, event_ns,
    'index' AS kind, price, backfill
FROM messages
WHERE class = 'index';

-- table: prices once (symbol, trade_id)
SELECT
    id.*, item, channel, 'deribit' AS exchange, symbol, event_ns, 'last' AS kind, price,
    coalesce(in_base(amount, price, contract_size, contract_unit), count) AS quantity,
    CASE
        WHEN in_base(amount, price, contract_size, contract_unit) IS NOT NULL THEN 'base'
        WHEN count IS NOT NULL THEN 'contracts'
    END AS quantity_unit,
    notional_usd, CASE WHEN direction IN ('buy', 'sell') THEN direction END AS side, trade_id,
    coalesce(block, combination, quoted) IS NOT NULL AS off_book, backfill
FROM trades
WHERE wrong IS NULL;

-- table: latency
-- One row per frame of trades, from its newest trade; frames without a table (quotes, books) have only
-- this row.
SELECT
    id.*, item, channel, 'deribit' AS exchange, symbol, event_ns, line, clock_error_ns, backfill
FROM trades
WHERE event_ns IS NOT NULL
QUALIFY row_number() OVER (PARTITION BY id.connection, id.seq ORDER BY event_ns DESC, item) = 1
UNION ALL BY NAME
SELECT
    id.*, 0 AS item, channel, 'deribit' AS exchange,
    coalesce(symbol, CASE WHEN class IN ('perpetual', 'index') THEN split_part(channel, '.', 2) END) AS symbol,
    event_ns, line, clock_error_ns, backfill
FROM messages
WHERE class IN ('ticker', 'perpetual', 'index', 'other') AND event_ns IS NOT NULL;

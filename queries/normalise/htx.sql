-- HTX, linear contracts and spot. Market topics are {"ch", "ts", "tick"}, public ones {"op": "notify",
-- "topic", "ts", "data"}. Times are milliseconds: ts of the frame is when the venue made it. Numbers
-- are sometimes quoted.
-- A trade's amount is in contracts on the linear market (its quantity, in coins, is there too), in coins
-- on the spot market. The venue documents a contract's amount as the sum of the buyer's and the seller's,
-- so half of it was traded. The id of a spot trade has more digits than a number holds: tradeId is used.
-- A liquidation's direction is the order's: buy closed a short. Its volume is in contracts, its amount in
-- coins, its price is the bankruptcy price. A candle of the mark or index price has the price in close.
-- A rate of funding is for settlement_time; funding_time, when it was computed, stays in extra.

-- step: messages
SELECT
    *,
    CASE
        WHEN topic IS NULL THEN CASE WHEN answer THEN 'control' END
        WHEN stream = 'trade' THEN CASE
            WHEN form = 'ARRAY' THEN CASE WHEN items > 0 THEN 'trades' ELSE 'control' END
        END
        WHEN stream IN ('liquidation_orders', 'funding_rate') THEN CASE
            WHEN form = 'ARRAY' AND op = 'notify' THEN CASE WHEN items > 0 THEN stream ELSE 'control' END
            WHEN op IN ('sub', 'unsub') THEN 'control'
        END
        WHEN stream IN ('mark_price', 'index') THEN CASE WHEN close IS NOT NULL THEN 'price' END
        WHEN op IN ('sub', 'unsub') THEN 'control'
        WHEN sent_ns IS NOT NULL THEN 'other'
    END AS class,
    CASE
        WHEN topic IS NULL THEN 'a message without a topic'
        WHEN stream IN ('trade', 'liquidation_orders', 'funding_rate')
            THEN short(stream) || ' without a list of events'
        WHEN stream IN ('mark_price', 'index') THEN 'a candle without a number as its close'
        ELSE 'no table for the topic ' || short(topic) || ', and it carries no time'
    END AS reason
FROM (
    SELECT
        * EXCLUDE (head),
        coalesce(head[1], head[2]) AS topic,
        CASE WHEN length(topic) <= 200 THEN topic END AS channel, -- each item repeats it
        CASE WHEN length(topic) <= 200 THEN nullif(split_part(topic, '.', 2), '') END AS symbol,
        split_part(topic, '.', 3) AS stream,
        head[3] AS op,
        CASE WHEN starts_with(topic, 'market.') THEN '$.tick.data' ELSE '$.data' END AS place,
        json_type(json, place) AS form,
        CASE WHEN form = 'ARRAY' THEN json_array_length(json, place) END AS items,
        time_ns(head[4], 1000000) AS sent_ns,
        num(head[5]) AS close,
        len(list_filter(head[6:], lambda value: value IS NOT NULL)) > 0
            OR op IN ('ping', 'close', 'error') AS answer
    FROM (
        SELECT
            *,
            json_extract_string(json, [
                '$.ch', '$.topic', '$.op', '$.ts', '$.tick.close', '$.ping', '$.subbed', '$.unsubbed',
                '$.err-code', '$.status'
            ]) AS head
        FROM frames
    )
);

-- step: events
-- The list says what a contract and a currency are, else the symbol: BTC-USDT, BTC-USDT-261225; btcusdt.
SELECT
    e.* EXCLUDE (part),
    coalesce(c.base, asset_spelled(upper(e.symbol))) AS asset,
    coalesce(c.dollars, is_dollar(nullif(split_part(e.symbol, '-', 2), '')), false) AS dollars,
    c.contract_size AS size, c.contract_unit AS unit,
    CASE
        WHEN NOT contains(e.symbol, '-') THEN amount
        ELSE coalesce(quantity / 2, in_base(amount / 2, price, c.contract_size, c.contract_unit))
    END AS traded,
    coalesce(event_ns < opened_ns, false) AS backfill,
    CASE
        WHEN class = 'trades' AND (e.symbol IS NULL OR price IS NULL OR amount IS NULL)
            THEN 'a trade without an instrument, or without a number as price or amount'
        WHEN class = 'liquidation_orders' AND (e.symbol IS NULL OR direction IS NULL)
            THEN 'a liquidation without a contract, or without a direction'
        WHEN class = 'funding_rate' AND (e.symbol IS NULL OR rate IS NULL)
            THEN 'a rate without a contract, or not a number'
    END AS wrong
FROM (
    SELECT
        * EXCLUDE (symbol, sent_ns),
        CASE class WHEN 'trades' THEN symbol ELSE CASE WHEN length(part[1]) <= 200 THEN part[1] END END
            AS symbol,
        num(part[2]) AS price, num(part[3]) AS amount, num(part[4]) AS quantity, num(part[5]) AS volume,
        num(part[6]) AS turnover, part[7] AS direction, part[8] AS action, coalesce(part[9], part[10]) AS trade,
        num(part[11]) AS rate, num(part[12]) AS predicted, time_ns(part[13], 1000000) AS settled_ns,
        part[14] AS computed, sent_ns,
        CASE class
            WHEN 'funding_rate' THEN sent_ns
            ELSE coalesce(time_ns(part[15], 1000000), time_ns(part[16], 1000000))
        END AS event_ns
    FROM (
        SELECT
            * EXCLUDE (event),
            json_extract_string(event, [
                '$.contract_code', '$.price', '$.amount', '$.quantity', '$.volume', '$.trade_turnover',
                '$.direction', '$.offset', '$.tradeId', '$.id', '$.funding_rate', '$.estimated_rate',
                '$.settlement_time', '$.funding_time', '$.ts', '$.created_at'
            ]) AS part
        FROM (
            SELECT
                id, opened_ns, line, clock_error_ns, class, channel, symbol, sent_ns,
                unnest(range(items::BIGINT))::INTEGER AS item,
                unnest(json_transform(json_extract(json, place), '["JSON"]')) AS event
            FROM messages
            WHERE class IN ('trades', 'liquidation_orders', 'funding_rate')
        )
    )
) AS e
LEFT JOIN contracts AS c
    ON c.symbol = e.symbol AND e.id.recv_ns >= c.from_ns AND e.id.recv_ns < c.to_ns;

-- table: rejects
-- One row per frame, however many of its items are wrong: each row holds the whole frame.
SELECT
    id.*, item, channel, 'htx' AS exchange, payload,
    wrong || CASE WHEN wrongs > 1 THEN ' (the first of ' || wrongs || ' wrong items)' ELSE '' END AS reason
FROM (
    SELECT id AS frame, min(item) AS item, arg_min(wrong, item) AS wrong, count(*) AS wrongs
    FROM events
    WHERE wrong IS NOT NULL
    GROUP BY id
)
JOIN messages ON messages.id = frame;

-- table: liquidations once (symbol, event_ns, raw_side, price, quantity)
SELECT
    id.*, item, channel, 'htx' AS exchange, symbol, event_ns,
    CASE
        WHEN action = 'open' THEN NULL
        WHEN direction = 'buy' THEN 'short' WHEN direction = 'sell' THEN 'long'
    END AS position_side,
    direction AS raw_side, price, CASE WHEN price IS NOT NULL THEN 'bankruptcy' END AS price_kind,
    coalesce(amount, volume) AS quantity,
    CASE WHEN amount IS NOT NULL THEN 'base' WHEN volume IS NOT NULL THEN 'contracts' END AS quantity_unit,
    CASE WHEN dollars THEN coalesce(turnover, num(amount * price), notional(volume, price, size, unit)) END
        AS notional_usd,
    backfill,
    CASE WHEN amount IS NOT NULL AND volume IS NOT NULL THEN json_object('volume', volume) END AS extra
FROM events
WHERE class = 'liquidation_orders' AND wrong IS NULL;

-- table: whales once (symbol, tx)
FROM (
    SELECT
        id.*, item, channel, 'htx' AS exchange, symbol, event_ns, 'trade' AS kind, asset,
        CASE WHEN direction IN ('buy', 'sell') THEN direction END AS side, price, traded AS quantity,
        CASE WHEN dollars THEN num(traded * price) END AS notional_usd, trade AS tx, backfill
    FROM events
    WHERE class = 'trades' AND wrong IS NULL
)
WHERE notional_usd >= getvariable('whale_usd');

-- moments: fundings
SELECT symbol, settled_ns AS moment_ns, coalesce(event_ns, id.recv_ns) AS at_ns
FROM events
WHERE class = 'funding_rate' AND wrong IS NULL

-- table: funding once (symbol, event_ns)
SELECT
    id.*, item, channel, 'htx' AS exchange, symbol, event_ns, rate,
    coalesce(observed_hours, listed_hours) AS interval_hours,
    predicted AS predicted_rate, settled_ns AS next_funding_ns, 'expected' AS basis, backfill,
    CASE WHEN computed IS NOT NULL THEN json_object('funding_time', computed) END AS extra
FROM (
    SELECT e.*, c.funding_interval_hours AS listed_hours
    FROM events AS e
    LEFT JOIN contracts AS c
        ON c.symbol = e.symbol AND e.id.recv_ns >= c.from_ns AND e.id.recv_ns < c.to_ns
    WHERE e.class = 'funding_rate' AND e.wrong IS NULL
)
LEFT JOIN (SELECT symbol AS funded, moment_ns, hours AS observed_hours FROM fundings)
    ON funded = symbol AND moment_ns = settled_ns;

-- table: prices once (symbol, trade_id)
SELECT
    id.*, item, channel, 'htx' AS exchange, symbol, event_ns, 'last' AS kind, price,
    coalesce(traded, amount / 2) AS quantity,
    CASE WHEN traded IS NOT NULL THEN 'base' ELSE 'contracts' END AS quantity_unit,
    CASE WHEN dollars THEN num(traded * price) END AS notional_usd,
    CASE WHEN direction IN ('buy', 'sell') THEN direction END AS side, trade AS trade_id, backfill
FROM events
WHERE class = 'trades' AND wrong IS NULL;

-- table: prices once (symbol, kind, event_ns, price)
SELECT
    id.*, 0 AS item, channel, 'htx' AS exchange, symbol, sent_ns AS event_ns,
    CASE stream WHEN 'index' THEN 'index' ELSE 'mark' END AS kind, close AS price, false AS backfill
FROM messages
WHERE class = 'price';

-- table: latency
-- One row per frame of trades or liquidations, from its newest; other frames have their own time alone.
SELECT
    id.*, item, channel, 'htx' AS exchange, symbol, event_ns, sent_ns AS dispatch_ns, line, clock_error_ns,
    backfill
FROM events
WHERE class <> 'funding_rate' AND event_ns IS NOT NULL
QUALIFY row_number() OVER (PARTITION BY id.connection, id.seq ORDER BY event_ns DESC, item) = 1
UNION ALL BY NAME
SELECT
    id.*, 0 AS item, channel, 'htx' AS exchange, symbol, sent_ns AS dispatch_ns, sent_ns AS event_ns, line,
    clock_error_ns, false AS backfill
FROM messages
WHERE class IN ('price', 'other', 'funding_rate') AND sent_ns IS NOT NULL;

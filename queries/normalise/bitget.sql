-- Bitget v3: {"action": snapshot | update, "arg": {instType, topic, symbol}, "data", "ts"}, times in
-- milliseconds. Sizes of USDT and USDC contracts are in coins. The side of a liquidation is the position's
-- (buy was a long), its amount is in the quote currency; what its price is, is not documented. A snapshot
-- of trades is the past. A ticker without a next time of funding ("" or "0") has no rate. Whether
-- openInterest counts one side or both is not documented: it makes no row of open_interest.

-- step: messages
SELECT
    *,
    CASE
        WHEN text = 'pong' THEN 'control'
        WHEN event IN ('subscribe', 'unsubscribe', 'error') THEN 'control'
        WHEN topic IS NULL THEN NULL
        WHEN topic IN ('publicTrade', 'ticker', 'liquidation') THEN CASE
            WHEN items > 0 THEN topic WHEN items = 0 THEN 'control'
        END
        WHEN sent_ns IS NOT NULL THEN 'other'
    END AS class,
    CASE
        WHEN topic IS NULL THEN 'a message without a topic'
        WHEN topic IN ('publicTrade', 'ticker', 'liquidation') THEN short(topic) || ' without a list of data'
        ELSE 'no table for the topic ' || short(topic) || ', and it carries no time'
    END AS reason
FROM (
    SELECT
        * EXCLUDE (head),
        head[1] AS topic, head[2] AS market, head[3] AS event, head[4] AS action,
        CASE WHEN length(head[5]) <= 200 THEN head[5] END AS named,
        concat_ws('.', left(head[1], 60), left(head[2], 60), left(head[5], 60)) AS channel,
        time_ns(head[6], 1000000) AS sent_ns,
        CASE WHEN json_type(json, '$.data') = 'ARRAY' THEN json_array_length(json, '$.data') END AS items
    FROM (
        SELECT
            *,
            json_extract_string(json, [
                '$.arg.topic', '$.arg.instType', '$.event', '$.action', '$.arg.symbol', '$.ts'
            ]) AS head
        FROM frames
    )
);

-- step: events
SELECT
    e.* EXCLUDE (part),
    coalesce(c.base, asset_spelled(e.symbol)) AS asset,
    CASE WHEN linear THEN 'base' END AS unit,
    coalesce(c.dollars, linear, false) AS dollars,
    c.funding_interval_hours AS listed_hours,
    coalesce(event_ns < opened_ns OR action = 'snapshot' AND class = 'publicTrade', false) AS backfill,
    CASE
        WHEN e.symbol IS NULL THEN 'data without a symbol'
        WHEN class = 'publicTrade' AND (price IS NULL OR size IS NULL)
            THEN 'a trade without a number as price or size'
        WHEN class = 'liquidation' AND side IS NULL THEN 'a liquidation without a side'
        WHEN class = 'ticker' AND coalesce(rate, mark, index, last) IS NULL THEN 'a ticker without a number'
    END AS wrong
FROM (
    SELECT
        *,
        CASE class
            WHEN 'liquidation' THEN CASE WHEN length(part[1]) <= 200 THEN part[1] END ELSE named
        END AS symbol,
        num(coalesce(part[2], part[3])) AS price, num(part[4]) AS size, num(part[5]) AS amount,
        coalesce(part[6], part[7]) AS side, part[8] AS trade,
        num(part[9]) AS last, num(part[10]) AS mark, num(part[11]) AS index, num(part[12]) AS rate,
        time_ns(part[13], 1000000) AS next_ns,
        coalesce(market IN ('usdt-futures', 'usdc-futures'), false) AS linear,
        CASE class
            WHEN 'ticker' THEN sent_ns ELSE coalesce(time_ns(part[14], 1000000), time_ns(part[15], 1000000))
        END AS event_ns
    FROM (
        SELECT
            * EXCLUDE (event),
            json_extract_string(event, [
                '$.symbol', '$.p', '$.price', '$.v', '$.amount', '$.S', '$.side', '$.i', '$.lastPrice',
                '$.markPrice', '$.indexPrice', '$.fundingRate', '$.nextFundingTime', '$.T', '$.ts'
            ]) AS part
        FROM (
            SELECT
                id, opened_ns, line, clock_error_ns, class, channel, named, market, action, sent_ns,
                unnest(range(items::BIGINT))::INTEGER AS item,
                unnest(json_transform(json_extract(json, '$.data'), '["JSON"]')) AS event
            FROM messages
            WHERE class IN ('publicTrade', 'ticker', 'liquidation')
        )
    )
) AS e
LEFT JOIN contracts AS c
    ON c.symbol = e.symbol AND e.id.recv_ns >= c.from_ns AND e.id.recv_ns < c.to_ns;

-- table: rejects
-- One row per frame, however many of its items are wrong: each row holds the whole frame.
SELECT
    id.*, item, channel, 'bitget' AS exchange, payload,
    wrong || CASE WHEN wrongs > 1 THEN ' (the first of ' || wrongs || ' wrong items)' ELSE '' END AS reason
FROM (
    SELECT id AS frame, min(item) AS item, arg_min(wrong, item) AS wrong, count(*) AS wrongs
    FROM events
    WHERE wrong IS NOT NULL
    GROUP BY id
)
JOIN messages ON messages.id = frame;

-- table: liquidations once (symbol, event_ns, raw_side, price, extra)
SELECT
    id.*, item, channel, 'bitget' AS exchange, symbol, event_ns,
    CASE side WHEN 'buy' THEN 'long' WHEN 'sell' THEN 'short' END AS position_side, side AS raw_side, price,
    CASE WHEN linear THEN num(amount / nullif(price, 0)) END AS quantity,
    CASE WHEN linear AND amount / nullif(price, 0) IS NOT NULL THEN 'base' END AS quantity_unit,
    CASE WHEN dollars THEN amount END AS notional_usd, backfill, json_object('amount', amount) AS extra
FROM events
WHERE class = 'liquidation' AND wrong IS NULL;

-- table: whales once (symbol, tx)
FROM (
    SELECT
        id.*, item, channel, 'bitget' AS exchange, symbol, event_ns, 'trade' AS kind, asset,
        CASE WHEN side IN ('buy', 'sell') THEN side END AS side, price,
        CASE WHEN linear THEN size END AS quantity, value_usd(size, price, 1, unit, dollars) AS notional_usd,
        trade AS tx, backfill
    FROM events
    WHERE class = 'publicTrade' AND wrong IS NULL
)
WHERE notional_usd >= getvariable('whale_usd');

-- moments: fundings
SELECT symbol, next_ns AS moment_ns, coalesce(event_ns, id.recv_ns) AS at_ns
FROM events
WHERE class = 'ticker' AND wrong IS NULL

-- table: funding once (symbol, event_ns)
SELECT
    id.*, item, channel, 'bitget' AS exchange, symbol, event_ns, rate,
    coalesce(observed_hours, listed_hours) AS interval_hours,
    next_ns AS next_funding_ns, mark AS mark_price, index AS index_price, 'expected' AS basis, backfill
FROM events
LEFT JOIN (SELECT symbol AS funded, moment_ns, hours AS observed_hours FROM fundings)
    ON funded = symbol AND moment_ns = next_ns
WHERE class = 'ticker' AND wrong IS NULL AND rate IS NOT NULL AND next_ns IS NOT NULL;

-- table: prices once (symbol, kind, event_ns, price)
FROM (
    SELECT
        id.*, 3 * item + unnest([0, 1, 2]) AS item, channel, 'bitget' AS exchange, symbol, event_ns,
        unnest(['mark', 'index', 'last']) AS kind, unnest([mark, index, last]) AS price, backfill
    FROM events
    WHERE class = 'ticker' AND wrong IS NULL
)
WHERE price IS NOT NULL;

-- table: prices once (symbol, trade_id)
SELECT
    id.*, item, channel, 'bitget' AS exchange, symbol, event_ns, 'last' AS kind, price, size AS quantity,
    unit AS quantity_unit, value_usd(size, price, 1, unit, dollars) AS notional_usd,
    CASE WHEN side IN ('buy', 'sell') THEN side END AS side, trade AS trade_id, backfill
FROM events
WHERE class = 'publicTrade' AND wrong IS NULL;

-- table: latency
-- One row per frame, from its newest event; frames without a table have only this row.
SELECT
    id.*, item, channel, 'bitget' AS exchange, symbol, event_ns, sent_ns AS dispatch_ns, line,
    clock_error_ns, backfill
FROM events
WHERE event_ns IS NOT NULL
QUALIFY row_number() OVER (PARTITION BY id.connection, id.seq ORDER BY event_ns DESC, item) = 1
UNION ALL BY NAME
SELECT
    id.*, 0 AS item, channel, 'bitget' AS exchange, named AS symbol, sent_ns AS dispatch_ns,
    sent_ns AS event_ns, line, clock_error_ns, false AS backfill
FROM messages
WHERE class = 'other';

-- Gate futures: {"time", "time_ms", "channel", "event", "result"}; events are update and all. time_ms is
-- when the venue made the frame. Sizes are in contracts: the list says how many coins one is. The sign of
-- a trade's size is its taker's side. The sign of a liquidation's size is contradicted between the venue's
-- interfaces, so the side is NULL; extra keeps the size as sent. Its price is the order's. The time of a
-- liquidation is in milliseconds, before 2026-08-20 in seconds.
-- funding_next_apply and funding_interval are seconds. What total_size counts, one side or both, is not
-- documented: it makes no row of open_interest.

-- step: messages
SELECT
    *,
    CASE
        WHEN channel_name IS NULL THEN NULL
        WHEN coalesce(event, '') IN ('', 'subscribe', 'unsubscribe') THEN
            CASE WHEN event <> '' OR channel_name IN ('futures.pong', 'futures.ping') THEN 'control' END
        WHEN channel_name IN ('futures.trades', 'futures.tickers', 'futures.public_liquidates') THEN CASE
            WHEN items > 0 THEN channel_name WHEN items = 0 THEN 'control'
        END
        WHEN sent_ns IS NOT NULL THEN 'other'
    END AS class,
    CASE
        WHEN channel_name IS NULL THEN 'a message without a channel'
        WHEN coalesce(event, '') = '' THEN 'a message without an event'
        WHEN channel_name IN ('futures.trades', 'futures.tickers', 'futures.public_liquidates')
            THEN short(channel_name) || ' without a list of results'
        ELSE 'no table for the channel ' || short(channel_name) || ', and it carries no time'
    END AS reason
FROM (
    SELECT
        * EXCLUDE (head),
        CASE WHEN length(head[1]) <= 200 THEN head[1] END AS channel_name,
        head[2] AS event,
        coalesce(time_ns(head[3], 1000000), time_ns(head[4], 1000000000)) AS sent_ns,
        CASE WHEN json_type(json, '$.result') = 'ARRAY' THEN json_array_length(json, '$.result') END AS items
    FROM (
        SELECT *, json_extract_string(json, ['$.channel', '$.event', '$.time_ms', '$.time']) AS head
        FROM frames
    )
);

-- step: events
SELECT
    e.* EXCLUDE (part),
    CASE
        WHEN class = 'futures.public_liquidates' OR e.symbol IS NULL THEN class
        ELSE class || ':' || e.symbol
    END AS channel,
    coalesce(c.base, asset_spelled(e.symbol)) AS asset,
    c.contract_size AS lot, c.contract_unit AS unit, coalesce(c.dollars, false) AS dollars,
    c.funding_interval_hours AS listed_hours,
    abs(size) AS contracts,
    coalesce(event_ns < opened_ns, false) AS backfill,
    CASE
        WHEN e.symbol IS NULL THEN 'a result without a contract'
        WHEN class <> 'futures.tickers' AND (price IS NULL OR size IS NULL)
            THEN 'a result without a number as price or size'
        WHEN class = 'futures.tickers' AND coalesce(rate, mark, index, last) IS NULL
            THEN 'a ticker without a number'
    END AS wrong
FROM (
    SELECT
        *,
        CASE WHEN length(part[1]) <= 200 THEN part[1] END AS symbol,
        num(part[2]) AS price, num(part[3]) AS size, part[3] AS sent_size, part[4] AS trade,
        CASE part[5] WHEN 'true' THEN true WHEN 'false' THEN false END AS internal,
        num(part[6]) AS last, num(part[7]) AS mark, num(part[8]) AS index, num(part[9]) AS rate,
        num(part[10]) AS interval_seconds, time_ns(part[11], 1000000000) AS next_ns, part[12] AS indicative,
        CASE class
            WHEN 'futures.tickers' THEN coalesce(time_ns(part[13], 1000000), sent_ns)
            WHEN 'futures.trades' THEN coalesce(time_ns(part[14], 1000000), time_ns(part[15], 1000000000))
            ELSE coalesce(
                time_ns(part[16], 1000000), time_ns(part[17], 1000000), time_ns(part[17], 1000000000)
            )
        END AS event_ns
    FROM (
        SELECT
            * EXCLUDE (result),
            json_extract_string(result, [
                '$.contract', '$.price', '$.size', '$.id', '$.is_internal', '$.last', '$.mark_price',
                '$.index_price', '$.funding_rate', '$.funding_interval', '$.funding_next_apply',
                '$.funding_rate_indicative', '$.t', '$.create_time_ms', '$.create_time', '$.time_ms', '$.time'
            ]) AS part
        FROM (
            SELECT
                id, opened_ns, line, clock_error_ns, class, sent_ns,
                unnest(range(items::BIGINT))::INTEGER AS item,
                unnest(json_transform(json_extract(json, '$.result'), '["JSON"]')) AS result
            FROM messages
            WHERE class IN ('futures.trades', 'futures.tickers', 'futures.public_liquidates')
        )
    )
) AS e
LEFT JOIN contracts AS c
    ON c.symbol = e.symbol AND e.id.recv_ns >= c.from_ns AND e.id.recv_ns < c.to_ns;

-- table: rejects
-- One row per frame, however many of its items are wrong: each row holds the whole frame.
SELECT
    id.*, item, channel_name AS channel, 'gate' AS exchange, payload,
    wrong || CASE WHEN wrongs > 1 THEN ' (the first of ' || wrongs || ' wrong items)' ELSE '' END AS reason
FROM (
    SELECT id AS frame, min(item) AS item, arg_min(wrong, item) AS wrong, count(*) AS wrongs
    FROM events
    WHERE wrong IS NOT NULL
    GROUP BY id
)
JOIN messages ON messages.id = frame;

-- table: liquidations once (symbol, event_ns, price, extra)
SELECT
    id.*, item, channel, 'gate' AS exchange, symbol, event_ns, price, 'limit' AS price_kind,
    coalesce(in_base(contracts, price, lot, unit), contracts) AS quantity,
    CASE WHEN unit IS NOT NULL THEN 'base' ELSE 'contracts' END AS quantity_unit,
    value_usd(contracts, price, lot, unit, dollars) AS notional_usd, backfill,
    json_object('size', sent_size) AS extra
FROM events
WHERE class = 'futures.public_liquidates' AND wrong IS NULL;

-- table: whales once (symbol, tx)
FROM (
    SELECT
        id.*, item, channel, 'gate' AS exchange, symbol, event_ns, 'trade' AS kind, asset,
        CASE WHEN size > 0 THEN 'buy' WHEN size < 0 THEN 'sell' END AS side, price,
        in_base(contracts, price, lot, unit) AS quantity,
        value_usd(contracts, price, lot, unit, dollars) AS notional_usd, trade AS tx, backfill,
        CASE WHEN internal THEN '{"is_internal": true}'::JSON END AS extra
    FROM events
    WHERE class = 'futures.trades' AND wrong IS NULL
)
WHERE notional_usd >= getvariable('whale_usd');

-- moments: fundings
SELECT symbol, next_ns AS moment_ns, coalesce(event_ns, id.recv_ns) AS at_ns
FROM events
WHERE class = 'futures.tickers' AND wrong IS NULL

-- table: funding once (symbol, event_ns)
SELECT
    id.*, item, channel, 'gate' AS exchange, symbol, event_ns, rate,
    coalesce(
        CASE WHEN interval_seconds > 0 THEN interval_seconds / 3600 END, observed_hours,
        listed_hours
    ) AS interval_hours,
    next_ns AS next_funding_ns, mark AS mark_price, index AS index_price, 'expected' AS basis, backfill,
    CASE WHEN indicative IS NOT NULL THEN json_object('funding_rate_indicative', indicative) END AS extra
FROM events
LEFT JOIN (SELECT symbol AS funded, moment_ns, hours AS observed_hours FROM fundings)
    ON funded = symbol AND moment_ns = next_ns
WHERE class = 'futures.tickers' AND wrong IS NULL AND rate IS NOT NULL;

-- table: prices once (symbol, kind, event_ns, price)
FROM (
    SELECT
        id.*, 3 * item + unnest([0, 1, 2]) AS item, channel, 'gate' AS exchange, symbol, event_ns,
        unnest(['mark', 'index', 'last']) AS kind, unnest([mark, index, last]) AS price, backfill
    FROM events
    WHERE class = 'futures.tickers' AND wrong IS NULL
)
WHERE price IS NOT NULL;

-- table: prices once (symbol, trade_id)
SELECT
    id.*, item, channel, 'gate' AS exchange, symbol, event_ns, 'last' AS kind, price,
    coalesce(in_base(contracts, price, lot, unit), contracts) AS quantity,
    CASE WHEN unit IS NOT NULL THEN 'base' ELSE 'contracts' END AS quantity_unit,
    value_usd(contracts, price, lot, unit, dollars) AS notional_usd,
    CASE WHEN size > 0 THEN 'buy' WHEN size < 0 THEN 'sell' END AS side, trade AS trade_id,
    internal AS off_book, backfill
FROM events
WHERE class = 'futures.trades' AND wrong IS NULL;

-- table: latency
-- One row per frame, from its newest result; frames without a table have only this row.
SELECT
    id.*, item, channel, 'gate' AS exchange, symbol, event_ns, sent_ns AS dispatch_ns, line, clock_error_ns,
    backfill
FROM events
WHERE event_ns IS NOT NULL
QUALIFY row_number() OVER (PARTITION BY id.connection, id.seq ORDER BY event_ns DESC, item) = 1
UNION ALL BY NAME
SELECT
    id.*, 0 AS item, channel_name AS channel, 'gate' AS exchange, sent_ns AS dispatch_ns, sent_ns AS event_ns,
    line, clock_error_ns, false AS backfill
FROM messages
WHERE class = 'other';

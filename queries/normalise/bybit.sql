-- Bybit V5 public streams: {"topic", "type", "ts", "data"}. Times are milliseconds: ts is when the
-- venue made the frame, T when the event happened, cts when the matching engine processed it.
-- The side of a liquidation is the position's: Buy was a long; its price is the bankruptcy price.
-- Sizes are in base currency, except for inverse contracts (BTCUSD, BTCUSDM26), whose sizes are dollars:
-- the venue's list of instruments says it (relation contracts), else the symbol. BT marks a block trade,
-- agreed outside the book. openInterest counts both sides, singleOpenInterest one.
-- The first ticker is a snapshot, the next are changes (delta): a field that a delta leaves out is
-- unchanged. The known values of a symbol are kept per connection, from its last snapshot, or else from
-- the first value received; a null means the same as a missing field.
-- Trades of API v2 (trade.BTCUSD: trade_time_ms, symbol, side, size, price) are read as well; topics
-- without a table (order books, candles) only have a latency. The topic `liquidation.` (before 2025-02)
-- has one liquidation as an object: updatedTime, symbol, side, size, price.

-- step: messages
SELECT
    *,
    CASE
        WHEN topic IS NULL THEN CASE WHEN answer THEN 'control' END
        WHEN stream IN ('publicTrade', 'trade') AND form = 'ARRAY'
            THEN CASE WHEN items > 0 THEN 'trades' ELSE 'control' END
        WHEN stream IN ('allLiquidation', 'liquidation') AND form = 'ARRAY'
            THEN CASE WHEN items > 0 THEN 'liquidations' ELSE 'control' END
        WHEN stream = 'liquidation' AND form = 'OBJECT' THEN 'liquidations'
        WHEN stream IN ('publicTrade', 'trade', 'allLiquidation', 'liquidation') THEN NULL
        WHEN stream = 'tickers' THEN CASE
            WHEN form = 'OBJECT' AND symbol IS NOT NULL AND (sent_ns IS NOT NULL OR has_value) THEN 'ticker'
        END
        WHEN sent_ns IS NOT NULL THEN 'other'
    END AS class,
    CASE
        WHEN topic IS NULL THEN 'a message without a topic'
        WHEN stream IN ('publicTrade', 'trade', 'allLiquidation', 'liquidation')
            THEN short(topic) || ' without a list of events'
        WHEN stream = 'tickers' THEN 'a ticker without a symbol, or without a time and any value'
        ELSE 'no table for the topic ' || short(topic) || ', and it carries no time'
    END AS reason
FROM (
    SELECT
        * EXCLUDE (head),
        head[1] AS topic,
        CASE WHEN length(head[1]) <= 200 THEN head[1] END AS channel, -- each item repeats it
        split_part(head[1], '.', 1) AS stream,
        json_type(json, '$.data') AS form,
        CASE WHEN form = 'ARRAY' THEN json_array_length(json, '$.data') END AS items,
        coalesce(time_ns(head[2], 1000000), time_ns(head[3], 1000)) AS sent_ns,
        time_ns(head[4], 1000000) AS matched_ns,
        -- A list of trades or liquidations is sorted by time.
        coalesce(
            time_ns(head[5], 1000000), time_ns(head[6], 1000000), time_ns(head[7], 1000000)
        ) AS newest_ns,
        CASE WHEN length(head[8]) <= 200 THEN head[8] END AS symbol,
        len(list_filter(head[9:14], lambda value: num(value) IS NOT NULL)) > 0 AS has_value,
        len(list_filter(head[15:], lambda value: value IS NOT NULL)) > 0 AS answer
    FROM (
        SELECT
            *,
            json_extract_string(json, [
                '$.topic', '$.ts', '$.timestamp_e6', '$.cts', '$.data[#-1].T', '$.data[#-1].trade_time_ms',
                '$.data.updatedTime', '$.data.symbol', '$.data.markPrice', '$.data.indexPrice', '$.data.lastPrice',
                '$.data.fundingRate', '$.data.openInterest', '$.data.openInterestValue', '$.op', '$.success',
                '$.ret_msg', '$.conn_id'
            ]) AS head
        FROM frames
    )
);

-- step: events
SELECT
    e.* EXCLUDE (spelled, part),
    -- From the venue's list, or else from the symbol.
    coalesce(c.contract_unit, spelled) AS unit,
    CASE WHEN c.contract_unit IS NOT NULL THEN c.contract_size WHEN spelled IS NOT NULL THEN 1.0 END AS size,
    coalesce(c.dollars, spelled IS NOT NULL) AS dollars,
    coalesce(c.base, asset_spelled(e.symbol)) AS asset,
    coalesce(event_ns < opened_ns, false) AS backfill,
    CASE
        WHEN class = 'trades' AND (e.symbol IS NULL OR price IS NULL OR quantity IS NULL)
            THEN 'a trade without a symbol, or without a number as price or size'
        WHEN class = 'liquidations' AND (e.symbol IS NULL OR side IS NULL)
            THEN 'a liquidation without a symbol, or without a side'
    END AS wrong
FROM (
    SELECT
        *,
        coalesce(time_ns(part[1], 1000000), time_ns(part[2], 1000000), time_ns(part[14], 1000000))
            AS event_ns,
        coalesce(part[3], part[4]) AS symbol,
        coalesce(part[5], part[6]) AS side,
        num(coalesce(part[7], part[8])) AS quantity,
        num(coalesce(part[9], part[10])) AS price,
        coalesce(part[11], part[12]) AS trade,
        CASE part[13] WHEN 'true' THEN true WHEN 'false' THEN false END AS block,
        CASE
            -- Not XRPRLUSD, a spot pair in a dollar coin.
            WHEN regexp_full_match(symbol, '[\p{L}\d]+USD([FGHJKMNQUVXZ]\d{2})?')
                AND NOT regexp_matches(symbol, '.(RL|PY|FD)USD$')
                THEN 'usd'
            WHEN regexp_full_match(symbol,
                '[\p{L}\d]+((USDT|USDC|PERP)(-\d{1,2}[A-Z]{3}\d{2})?|-\d{1,2}[A-Z]{3}\d{2})')
                THEN 'base'
        END AS spelled
    FROM (
        SELECT
            * EXCLUDE (event),
            json_extract_string(event, [
                '$.T', '$.trade_time_ms', '$.s', '$.symbol', '$.S', '$.side', '$.v', '$.size', '$.p',
                '$.price', '$.i', '$.trade_id', '$.BT', '$.updatedTime'
            ]) AS part
        FROM (
            SELECT
                id, opened_ns, class, channel,
                unnest(range(coalesce(items, 1)::BIGINT))::INTEGER AS item,
                unnest(CASE form
                    WHEN 'ARRAY' THEN json_transform(json_extract(json, '$.data'), '["JSON"]')
                    ELSE [json_extract(json, '$.data')]
                END) AS event
            FROM messages
            WHERE class IN ('trades', 'liquidations')
        )
    )
) AS e
LEFT JOIN contracts AS c
    ON c.symbol = e.symbol AND e.id.recv_ns >= c.from_ns AND e.id.recv_ns < c.to_ns;

-- step: tickers
-- Each ticker, with the known values after it: all tickers of a connection, including those that another
-- line received first. The state of an earlier batch starts the sequence, as a snapshot does.
SELECT
    *,
    last_value(mark IGNORE NULLS) OVER since AS known_mark,
    last_value(index IGNORE NULLS) OVER since AS known_index,
    last_value(hours IGNORE NULLS) OVER since AS known_hours,
    last_value(next_funding IGNORE NULLS) OVER since AS known_next_funding,
    last_value(interest IGNORE NULLS) OVER since AS known_interest,
    last_value(interest_value IGNORE NULLS) OVER since AS known_interest_value,
    last_value(single_interest IGNORE NULLS) OVER since AS known_single,
    last_value(single_interest_value IGNORE NULLS) OVER since AS known_single_value
FROM (
    SELECT
        *,
        count(*) FILTER (WHERE whole) OVER (PARTITION BY connection, symbol ORDER BY seq) AS epoch
    FROM (
        SELECT
            id, fresh, id.connection AS connection, id.seq AS seq, part[1] AS channel,
            part[2] = 'snapshot' AS whole, part[3] AS sent, part[4] AS symbol, part[5] AS mark,
            part[6] AS index, part[7] AS last, part[8] AS rate, part[9] AS hours, part[10] AS next_funding,
            part[11] AS interest, part[12] AS interest_value, part[13] AS single_interest,
            part[14] AS single_interest_value
        FROM (
            SELECT
                *,
                json_extract_string(json, [
                    '$.topic', '$.type', '$.ts', '$.data.symbol', '$.data.markPrice', '$.data.indexPrice',
                    '$.data.lastPrice', '$.data.fundingRate', '$.data.fundingIntervalHour',
                    '$.data.nextFundingTime', '$.data.openInterest', '$.data.openInterestValue',
                    '$.data.singleOpenInterest', '$.data.singleOpenInterestValue'
                ]) AS part
            FROM all_frames
            WHERE json IS NOT NULL AND (contains(text, 'tickers') OR contains(text, '\u'))
        )
        WHERE split_part(part[1], '.', 1) = 'tickers' AND json_type(json, '$.data') = 'OBJECT'
            AND length(part[4]) <= 200
        UNION ALL BY NAME
        SELECT
            false AS fresh, connection, seq, key AS symbol, true AS whole, state->>'mark' AS mark,
            state->>'index' AS index, state->>'hours' AS hours, state->>'next_funding' AS next_funding,
            state->>'interest' AS interest, state->>'interest_value' AS interest_value,
            state->>'single' AS single_interest, state->>'single_value' AS single_interest_value
        FROM carried
        WHERE name = 'tickers'
    )
)
WINDOW since AS (
    PARTITION BY connection, symbol, epoch ORDER BY seq ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
);

-- state: tickers
SELECT
    connection, symbol AS key, seq,
    {'mark': known_mark, 'index': known_index, 'hours': known_hours, 'next_funding': known_next_funding,
     'interest': known_interest, 'interest_value': known_interest_value, 'single': known_single,
     'single_value': known_single_value} AS state
FROM tickers;

-- step: fresh_tickers
SELECT
    t.*, time_ns(sent, 1000000) AS event_ns, c.funding_interval_hours AS listed_hours,
    coalesce(c.contract_unit, spelled) AS unit, coalesce(c.dollars, spelled IS NOT NULL) AS dollars
FROM (
    SELECT
        * REPLACE (CASE WHEN length(channel) <= 200 THEN channel END AS channel),
        CASE
            -- Not XRPRLUSD, a spot pair in a dollar coin.
            WHEN regexp_full_match(symbol, '[\p{L}\d]+USD([FGHJKMNQUVXZ]\d{2})?')
                AND NOT regexp_matches(symbol, '.(RL|PY|FD)USD$')
                THEN 'usd'
            WHEN regexp_full_match(symbol,
                '[\p{L}\d]+((USDT|USDC|PERP)(-\d{1,2}[A-Z]{3}\d{2})?|-\d{1,2}[A-Z]{3}\d{2})')
                THEN 'base'
        END AS spelled
    FROM tickers
    WHERE fresh
) AS t
LEFT JOIN contracts AS c
    ON c.symbol = t.symbol AND t.id.recv_ns >= c.from_ns AND t.id.recv_ns < c.to_ns;

-- table: rejects
-- One row per frame, however many of its items are wrong: each row holds the whole frame.
SELECT
    id.*, item, channel, 'bybit' AS exchange, payload,
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
    id.*, item, channel, 'bybit' AS exchange, symbol, event_ns,
    CASE side WHEN 'Buy' THEN 'long' WHEN 'Sell' THEN 'short' END AS position_side, side AS raw_side,
    price, CASE WHEN price IS NOT NULL THEN 'bankruptcy' END AS price_kind, quantity,
    CASE
        WHEN quantity IS NULL THEN NULL
        WHEN unit IN ('base', 'usd') AND size = 1 THEN unit
        WHEN size IS NOT NULL THEN 'contracts'
    END AS quantity_unit,
    value_usd(quantity, price, size, unit, dollars) AS notional_usd, backfill
FROM events
WHERE class = 'liquidations' AND wrong IS NULL;

-- table: whales once (symbol, tx)
FROM (
    SELECT
        id.*, item, channel, 'bybit' AS exchange, symbol, event_ns, 'trade' AS kind,
        asset, CASE side WHEN 'Buy' THEN 'buy' WHEN 'Sell' THEN 'sell' END AS side, price,
        in_base(quantity, price, size, unit) AS quantity,
        value_usd(quantity, price, size, unit, dollars) AS notional_usd, trade AS tx, backfill,
        CASE WHEN block THEN '{"BT": true}'::JSON END AS extra -- agreed outside the order book
    FROM events
    WHERE class = 'trades' AND wrong IS NULL
)
WHERE notional_usd >= getvariable('whale_usd');

-- moments: fundings
SELECT
    symbol, time_ns(known_next_funding, 1000000) AS moment_ns, coalesce(event_ns, id.recv_ns) AS at_ns
FROM fresh_tickers

-- table: funding
-- The frame has the rate; the other values are the known ones. A known time of funding that has passed
-- counts as the next one only if the frame itself sends it. The interval is the frame's, else what the
-- time of funding moved by, else the list's.
SELECT
    id.*, 0 AS item, channel, 'bybit' AS exchange, symbol, event_ns, num(rate) AS rate,
    coalesce(
        CASE WHEN num(known_hours) > 0 THEN num(known_hours) END, observed_hours,
        listed_hours
    ) AS interval_hours,
    next_funding_ns,
    num(known_mark) AS mark_price, num(known_index) AS index_price, 'expected' AS basis,
    false AS backfill
FROM (
    SELECT
        *,
        CASE
            WHEN next_funding IS NOT NULL
                    OR time_ns(known_next_funding, 1000000) > coalesce(event_ns, id.recv_ns)
                THEN time_ns(known_next_funding, 1000000)
        END AS next_funding_ns
    FROM fresh_tickers
    WHERE num(rate) IS NOT NULL
)
LEFT JOIN (SELECT symbol AS funded, moment_ns, hours AS observed_hours FROM fundings)
    ON funded = symbol AND moment_ns = next_funding_ns;

-- table: open_interest
-- One side, as other venues state it; what counts both sides is then in extra. Before 2026-06 the venue
-- sent one number, which is taken as it is. The value is in dollars for contracts of base currency, and
-- in coins for inverse ones.
SELECT
    id.*, 0 AS item, channel, 'bybit' AS exchange, symbol, event_ns, one_side AS open_interest,
    CASE WHEN one_side IS NOT NULL THEN unit END AS open_interest_unit,
    CASE WHEN unit = 'base' AND dollars THEN one_value WHEN unit = 'usd' THEN one_side END
        AS open_interest_usd,
    false AS backfill,
    CASE
        WHEN single
            THEN to_json({'openInterest': known_interest, 'openInterestValue': known_interest_value})
    END AS extra
FROM (
    SELECT
        *, coalesce(num(known_single), num(known_single_value)) IS NOT NULL AS single,
        num(CASE WHEN single THEN known_single ELSE known_interest END) AS one_side,
        num(CASE WHEN single THEN known_single_value ELSE known_interest_value END) AS one_value
    FROM fresh_tickers
)
WHERE coalesce(num(interest), num(interest_value), num(single_interest), num(single_interest_value))
    IS NOT NULL;

-- table: prices
FROM (
    SELECT
        id.*, unnest([0, 1, 2]) AS item, channel, 'bybit' AS exchange, symbol, event_ns,
        unnest(['mark', 'index', 'last']) AS kind, unnest([num(mark), num(index), num(last)]) AS price,
        false AS backfill
    FROM fresh_tickers
)
WHERE price IS NOT NULL;

-- table: prices once (symbol, trade_id)
SELECT
    id.*, item, channel, 'bybit' AS exchange, symbol, event_ns, 'last' AS kind, price,
    coalesce(in_base(quantity, price, size, unit), quantity) AS quantity,
    CASE
        WHEN in_base(quantity, price, size, unit) IS NOT NULL THEN 'base'
        WHEN unit = 'usd' AND size = 1 THEN 'usd'
    END AS quantity_unit,
    value_usd(quantity, price, size, unit, dollars) AS notional_usd,
    CASE side WHEN 'Buy' THEN 'buy' WHEN 'Sell' THEN 'sell' END AS side, trade AS trade_id,
    -- Trades of API v2 do not say it.
    block AS off_book, backfill
FROM events
WHERE class = 'trades' AND wrong IS NULL;

-- table: latency
-- One row per frame, from the newest event of a list. The current state, which the venue sends after a
-- subscription, may be older than the connection.
SELECT
    id.*, 0 AS item, channel, 'bybit' AS exchange,
    coalesce(symbol, split_part(channel, '.', -1)) AS symbol, line, clock_error_ns, event_ns,
    sent_ns AS dispatch_ns, coalesce(coalesce(event_ns, sent_ns) < opened_ns, false) AS backfill
FROM (
    SELECT
        *,
        CASE
            WHEN class IN ('trades', 'liquidations') THEN newest_ns
            WHEN class = 'other' THEN matched_ns
        END AS event_ns
    FROM messages
    WHERE class <> 'control'
)
WHERE coalesce(event_ns, sent_ns) IS NOT NULL;

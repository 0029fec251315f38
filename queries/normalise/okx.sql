-- OKX V5 public streams: {"arg": {"channel", "instId" or "instType"}, "data": [...]}; all values are
-- texts, times are milliseconds. ts is when a trade or a liquidation happened, or when a price, a
-- funding rate or an open interest was computed; the venue sends no time of sending.
-- Sizes are contracts, whose value is in the venue's list of instruments (relation contracts); those
-- of pairs (BTC-USDT, also on margin) are in base currency. An empty text is unknown; nextFundingRate is
-- always empty. A funding rate is exchanged at fundingTime; its interval began at prevFundingTime.
-- The side of a liquidation is the order's (sell closed a long), posSide the position's or `net`.
-- After a subscription the venue sends recent liquidations again: an event before the opening of the
-- connection is marked as backfill, and makes one row however often it is sent.
-- Not events: "pong", answers ({"event"}), answers of REST ({"code", "data"}), candles and lists of
-- instruments (no table, no time), frames of API v3 ({"table"}, retired in 2022).

-- step: messages
SELECT
    *,
    CASE
        WHEN text = 'pong' THEN 'control'
        WHEN event IS NOT NULL THEN 'control'
        WHEN name IS NULL THEN CASE WHEN answer THEN 'control' END
        WHEN form IS DISTINCT FROM 'ARRAY' THEN NULL
        WHEN items = 0 OR contains(name, 'candle') OR name = 'instruments' THEN 'control'
        WHEN name = 'liquidation-orders' THEN 'liquidations'
        WHEN name IN ('trades', 'trades-all', 'public-block-trades', 'funding-rate', 'mark-price', 'open-interest', 'tickers',
            'index-tickers') THEN 'events'
        WHEN first_ns IS NOT NULL THEN 'other'
    END AS class,
    CASE
        WHEN name IS NULL THEN 'a message without a channel'
        WHEN form IS DISTINCT FROM 'ARRAY' THEN short(name) || ' without a list of data'
        ELSE 'no table for the channel ' || short(name) || ', and it carries no time'
    END AS reason
FROM (
    SELECT
        * EXCLUDE (head),
        head[1] AS event,
        head[2] AS name,
        coalesce(head[3], head[4], head[5]) AS subject, -- an instrument, or a type of them
        head[4] AS market,
        CASE WHEN length(name) + coalesce(length(subject), 0) <= 200 THEN concat_ws(':', name, subject) END
            AS channel, -- each item repeats it
        json_type(json, '$.data') AS form,
        CASE WHEN form = 'ARRAY' THEN json_array_length(json, '$.data') END AS items,
        time_ns(head[6], 1000000) AS first_ns,
        (head[7] IS NOT NULL OR head[8] IS NOT NULL) AND form IS NOT NULL AS answer
    FROM (
        SELECT
            *,
            json_extract_string(json, [
                '$.event', '$.arg.channel', '$.arg.instId', '$.arg.instType', '$.arg.instFamily',
                '$.data[0].ts', '$.code', '$.table'
            ]) AS head
        FROM frames
    )
);

-- step: events
SELECT
    e.* EXCLUDE (part, pair),
    CASE WHEN c.contract_unit IS NOT NULL THEN c.contract_unit WHEN pair THEN 'base' END AS unit,
    CASE WHEN c.contract_unit IS NOT NULL THEN c.contract_size WHEN pair THEN 1.0 END AS size,
    coalesce(c.dollars, is_dollar(split_part(e.symbol, '-', 2)) AND NOT optional) AS dollars,
    CASE
        WHEN pair OR c.kind IN ('spot', 'margin') THEN 'base'
        WHEN c.kind IS NOT NULL OR regexp_full_match(e.symbol, '[^-]+-[^-]+-.+') THEN 'contracts'
    END AS sent_unit,
    coalesce(c.base, asset_spelled(e.symbol)) AS asset,
    c.funding_interval_hours AS listed_hours,
    coalesce(event_ns < opened_ns, false) AS backfill,
    CASE
        WHEN e.symbol IS NULL THEN 'data without an instrument: ' || short(name)
        WHEN name IN ('trades', 'trades-all', 'public-block-trades') AND (price IS NULL OR quantity IS NULL)
            THEN 'a trade without a number as price or size'
        WHEN name = 'funding-rate' AND rate IS NULL THEN 'a funding rate that is not a number'
        WHEN name IN ('mark-price', 'index-tickers') AND price IS NULL THEN 'a price that is not a number'
        WHEN name = 'tickers' AND price IS NULL AND event_ns IS NULL
            THEN 'a ticker without a number as price, and without a time'
        WHEN name = 'open-interest' AND coalesce(interest, interest_usd) IS NULL
            THEN 'an open interest that is not a number'
    END AS wrong
FROM (
    SELECT
        * EXCLUDE (event),
        CASE WHEN name = 'funding-rate' AND json_type(event) = 'OBJECT' THEN event END AS whole,
        part[1] AS symbol,
        time_ns(part[2], 1000000) AS event_ns,
        num(CASE name WHEN 'mark-price' THEN part[4] WHEN 'tickers' THEN part[5]
            WHEN 'index-tickers' THEN part[6] ELSE part[3] END) AS price,
        num(part[7]) AS quantity,
        part[8] AS side,
        part[9] AS trade,
        name = 'public-block-trades' AS block,
        num(part[10]) AS rate,
        num(part[11]) AS predicted_rate,
        time_ns(part[12], 1000000) AS funding_ns,
        time_ns(part[13], 1000000) AS later_funding_ns,
        num(part[14]) AS interest,
        num(part[15]) AS interest_usd,
        CASE WHEN num(part[16]) IS NOT NULL THEN to_json({'oiCcy': part[16]}) END AS interest_extra,
        time_ns(part[17], 1000000) AS earlier_funding_ns,
        -- BTC-EUR; contracts have a third part. The last part of an option says call or put.
        regexp_full_match(symbol, '[^-]+-[^-]+') AS pair,
        coalesce(regexp_matches(symbol, '-[CP]$'), false) AS optional
    FROM (
        SELECT
            *,
            json_extract_string(event, [
                '$.instId', '$.ts', '$.px', '$.markPx', '$.last', '$.idxPx', '$.sz', '$.side', '$.tradeId',
                '$.fundingRate', '$.nextFundingRate', '$.fundingTime', '$.nextFundingTime', '$.oi',
                '$.oiUsd', '$.oiCcy', '$.prevFundingTime'
            ]) AS part
        FROM (
            SELECT
                id, opened_ns, name, channel,
                unnest(range(items::BIGINT))::INTEGER AS item,
                unnest(json_transform(json_extract(json, '$.data'), '["JSON"]')) AS event
            FROM messages
            WHERE class = 'events'
        )
    )
) AS e
LEFT JOIN contracts AS c
    ON c.symbol = e.symbol AND e.id.recv_ns >= c.from_ns AND e.id.recv_ns < c.to_ns;

-- step: liquidated
-- Each instrument of a frame has its own list of details; items are numbered over the whole frame.
SELECT
    d.* EXCLUDE (place, pair),
    CASE WHEN c.contract_unit IS NOT NULL THEN c.contract_unit WHEN pair THEN 'base' END AS unit,
    CASE WHEN c.contract_unit IS NOT NULL THEN c.contract_size WHEN pair THEN 1.0 END AS size,
    coalesce(c.dollars, is_dollar(split_part(d.symbol, '-', 2)) AND NOT regexp_matches(d.symbol, '-[CP]$'))
        AS dollars,
    CASE
        WHEN pair OR c.kind IN ('spot', 'margin') THEN 'base'
        WHEN c.kind IS NOT NULL OR regexp_full_match(d.symbol, '[^-]+-[^-]+-.+') THEN 'contracts'
    END AS sent_unit,
    coalesce(event_ns < opened_ns, false) AS backfill,
    CASE
        WHEN d.symbol IS NULL OR side IS NULL
            THEN 'a liquidation without an instrument, without details, or without a side'
    END AS wrong
FROM (
    SELECT
        id, opened_ns, channel, place, symbol, market,
        (row_number() OVER (PARTITION BY id.connection, id.seq ORDER BY place, rank) - 1)::INTEGER AS item,
        CASE WHEN json_type(detail) = 'OBJECT' THEN detail END AS whole,
        regexp_full_match(symbol, '[^-]+-[^-]+') AS pair,
        part[1] AS side, part[2] AS position, num(part[3]) AS price, num(part[4]) AS quantity,
        time_ns(part[5], 1000000) AS event_ns
    FROM (
        SELECT
            *,
            json_extract_string(detail, ['$.side', '$.posSide', '$.bkPx', '$.sz', '$.ts']) AS part
        FROM (
            SELECT
                * EXCLUDE (details), unnest(range(len(details))) AS rank, unnest(details) AS detail
            FROM (
                SELECT
                    id, opened_ns, channel, place, json_extract_string(event, '$.instId') AS symbol,
                    coalesce(json_extract_string(event, '$.instType'), market) AS market,
                    CASE
                        WHEN json_type(event, '$.details') = 'ARRAY'
                            AND json_array_length(event, '$.details') > 0
                            THEN json_transform(json_extract(event, '$.details'), '["JSON"]')
                        ELSE [NULL::JSON]
                    END AS details
                FROM (
                    SELECT
                        id, opened_ns, channel, market, unnest(range(items::BIGINT)) AS place,
                        unnest(json_transform(json_extract(json, '$.data'), '["JSON"]')) AS event
                    FROM messages
                    WHERE class = 'liquidations'
                )
            )
        )
    )
) AS d
LEFT JOIN contracts AS c
    ON c.symbol = d.symbol AND d.id.recv_ns >= c.from_ns AND d.id.recv_ns < c.to_ns;

-- table: rejects
-- One row per frame, however many of its items are wrong: each row holds the whole frame.
SELECT
    id.*, item, channel, 'okx' AS exchange, payload,
    wrong || CASE WHEN wrongs > 1 THEN ' (the first of ' || wrongs || ' wrong items)' ELSE '' END AS reason
FROM (
    SELECT id AS frame, min(item) AS item, arg_min(wrong, item) AS wrong, count(*) AS wrongs
    FROM (SELECT id, item, wrong FROM events UNION ALL SELECT id, item, wrong FROM liquidated)
    WHERE wrong IS NOT NULL
    GROUP BY id
)
JOIN messages ON messages.id = frame;

-- table: liquidations once (symbol, event_ns, raw_side, price, quantity)
SELECT
    id.*, item, channel, 'okx' AS exchange, symbol, event_ns,
    CASE
        WHEN position IN ('long', 'short') THEN position
        WHEN side = 'sell' THEN 'long'
        WHEN side = 'buy' THEN 'short'
    END AS position_side,
    side AS raw_side, price, CASE WHEN price IS NOT NULL THEN 'bankruptcy' END AS price_kind, quantity,
    CASE WHEN quantity IS NOT NULL THEN sent_unit END AS quantity_unit,
    value_usd(quantity, price, size, unit, dollars) AS notional_usd,
    backfill, rest(whole, '{"side": null, "bkPx": null, "sz": null, "ts": null}') AS extra
FROM liquidated
WHERE wrong IS NULL;

-- table: whales once (symbol, tx)
FROM (
    SELECT
        id.*, item, channel, 'okx' AS exchange, symbol, event_ns, 'trade' AS kind,
        asset, CASE WHEN side IN ('buy', 'sell') THEN side END AS side, price,
        in_base(quantity, price, size, unit) AS quantity,
        value_usd(quantity, price, size, unit, dollars) AS notional_usd, trade AS tx, backfill,
        CASE WHEN block THEN '{"block": true}'::JSON END AS extra
    FROM events
    WHERE name IN ('trades', 'trades-all', 'public-block-trades') AND wrong IS NULL
)
WHERE notional_usd >= getvariable('whale_usd');

-- moments: fundings
SELECT symbol, funding_ns AS moment_ns, coalesce(event_ns, id.recv_ns) AS at_ns
FROM events
WHERE name = 'funding-rate' AND wrong IS NULL

-- table: funding once (symbol, event_ns)
-- The rate's own interval ends at fundingTime. Old frames lack prevFundingTime: it is then what the time
-- of funding moved by, if that was observed, else the next interval, from fundingTime to nextFundingTime
-- (they differ while the venue changes it).
SELECT
    id.*, item, channel, 'okx' AS exchange, symbol, event_ns, rate, predicted_rate,
    coalesce(
        hours_between(earlier_funding_ns, funding_ns), observed_hours,
        hours_between(funding_ns, later_funding_ns), listed_hours
    ) AS interval_hours,
    funding_ns AS next_funding_ns, 'expected' AS basis, backfill,
    rest(whole, '{"instId": null, "instType": null, "fundingRate": null, "nextFundingRate": null,
        "prevFundingTime": null, "fundingTime": null, "nextFundingTime": null, "ts": null}') AS extra
FROM events
LEFT JOIN (SELECT symbol AS funded, moment_ns, hours AS observed_hours FROM fundings)
    ON funded = symbol AND moment_ns = funding_ns
WHERE name = 'funding-rate' AND wrong IS NULL;

-- table: open_interest once (symbol, event_ns)
SELECT
    id.*, item, channel, 'okx' AS exchange, symbol, event_ns, interest AS open_interest,
    CASE WHEN interest IS NOT NULL THEN sent_unit END AS open_interest_unit,
    interest_usd AS open_interest_usd, backfill, interest_extra AS extra
FROM events
WHERE name = 'open-interest' AND wrong IS NULL;

-- table: prices
SELECT
    id.*, item, channel, 'okx' AS exchange, symbol, event_ns,
    CASE name WHEN 'mark-price' THEN 'mark' WHEN 'index-tickers' THEN 'index' ELSE 'last' END AS kind, price,
    backfill
FROM events
WHERE name IN ('mark-price', 'index-tickers', 'tickers') AND wrong IS NULL AND price IS NOT NULL;

-- table: prices once (symbol, trade_id, off_book)
-- Block trades come on another channel.
SELECT
    id.*, item, channel, 'okx' AS exchange, symbol, event_ns, 'last' AS kind, price,
    coalesce(in_base(quantity, price, size, unit), quantity) AS quantity,
    CASE WHEN in_base(quantity, price, size, unit) IS NULL THEN sent_unit ELSE 'base' END
        AS quantity_unit,
    value_usd(quantity, price, size, unit, dollars) AS notional_usd,
    CASE WHEN side IN ('buy', 'sell') THEN side END AS side, trade AS trade_id, block AS off_book, backfill
FROM events
WHERE name IN ('trades', 'trades-all', 'public-block-trades') AND wrong IS NULL;

-- table: latency
-- The newest event of each frame.
SELECT
    id.*, item, channel, 'okx' AS exchange, symbol, line, clock_error_ns, event_ns,
    coalesce(event_ns < opened_ns, false) AS backfill
FROM (
    SELECT id AS frame, max(event_ns) AS event_ns, arg_max(item, event_ns) AS item,
        arg_max(symbol, event_ns) AS symbol
    FROM (
        SELECT id, event_ns, item, symbol FROM events WHERE wrong IS NULL
        UNION ALL
        SELECT id, event_ns, item, symbol FROM liquidated WHERE wrong IS NULL
        UNION ALL
        SELECT id, first_ns AS event_ns, 0 AS item, subject AS symbol FROM messages WHERE class = 'other'
    )
    WHERE event_ns IS NOT NULL
    GROUP BY id
)
JOIN messages ON messages.id = frame;

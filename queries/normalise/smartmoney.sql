-- Smart Money API: eight channels, flat ({"type", "wallet", ...}) or wrapped
-- ({"type", "channel", "payload": {...}}). Only a few fields are documented. Others are read if they
-- have an obvious name; the rest is kept in extra. Times, if a frame has one, are in milliseconds
-- (not documented).

-- step: kinds
SELECT unnest(types) AS type, kind
FROM (VALUES
    (['whale_update'], 'whale'),
    (['funding_rate'], 'funding'),
    (['liquidation'], 'liquidation'),
    (['open_interest', 'openinterest', 'open_interest_update'], 'open_interest'),
    (['exchange_flow', 'flow', 'onchain_flow', 'flow_update'], 'flow'),
    (['signal', 'confirmation', 'signal_update'], 'signal'),
    (['alert', 'market_alert'], 'alert'),
    (['status', 'system_status'], 'status'),
    (['pong', 'ping', 'welcome', 'heartbeat', 'authenticated', 'auth_success', 'auth_ok', 'subscribed',
      'unsubscribed', 'subscription_success', 'error', 'auth_error', 'ack'], 'control')
) AS known(types, kind);

-- step: messages
SELECT
    id, line, clock_error_ns, channel, object, symbol, exchange, asset, event_ns,
    -- The number of fields of the object that every table holds.
    (symbol IS NOT NULL)::INTEGER + (exchange IS NOT NULL)::INTEGER
        + CASE WHEN wrapped THEN 0 ELSE (type IS NOT NULL)::INTEGER + (channel IS NOT NULL)::INTEGER END
        + CASE
            WHEN event_ns IS NULL THEN 0
            ELSE (own.timestamp IS NOT NULL)::INTEGER + (own.time IS NOT NULL)::INTEGER
                + (own.ts IS NOT NULL)::INTEGER
        END AS held,
    CASE kind
        WHEN 'whale' THEN CASE WHEN own.wallet IS NOT NULL THEN kind END
        WHEN 'funding' THEN CASE WHEN symbol IS NOT NULL AND num(own.rate) IS NOT NULL THEN kind END
        WHEN 'flow' THEN CASE WHEN coalesce(asset, symbol) IS NOT NULL THEN kind END
        WHEN 'liquidation' THEN CASE WHEN symbol IS NOT NULL THEN kind END
        WHEN 'open_interest' THEN CASE WHEN symbol IS NOT NULL THEN kind END
        WHEN 'signal' THEN CASE WHEN symbol IS NOT NULL THEN kind END
        ELSE kind
    END AS class,
    CASE
        WHEN class IS NOT NULL THEN NULL
        WHEN type IS NULL THEN 'a message without a type'
        WHEN kind IS NULL THEN 'unknown message type ' || short(type)
        WHEN kind = 'whale' THEN 'a whale update without a wallet'
        WHEN kind = 'funding' THEN 'a funding rate without a symbol or a number as rate'
        WHEN kind = 'flow' THEN 'a flow without an asset'
        ELSE 'a ' || type || ' without a symbol'
    END AS reason
FROM (
    SELECT
        *,
        own.symbol AS symbol,
        lower(own.exchange) AS exchange,
        own.asset AS asset,
        coalesce(
            time_ns(own.timestamp, 1000000), time_ns(own.time, 1000000), time_ns(own.ts, 1000000)
        ) AS event_ns
    FROM (
        SELECT
            *,
            CASE
                WHEN wrapped
                    THEN from_json(object, '{"type": "VARCHAR", "channel": "VARCHAR",
                        "symbol": "VARCHAR", "exchange": "VARCHAR", "timestamp": "VARCHAR",
                        "time": "VARCHAR", "ts": "VARCHAR", "asset": "VARCHAR", "wallet": "VARCHAR",
                        "rate": "VARCHAR", "payload": "JSON"}')
                ELSE envelope
            END AS own
        FROM (
            SELECT
                *,
                envelope.type AS type,
                envelope.channel AS channel,
                CASE
                    WHEN NOT wrapped THEN text
                    WHEN len(json_keys(text))
                            = 1 + (envelope.type IS NOT NULL)::INTEGER + (envelope.channel IS NOT NULL)::INTEGER
                        THEN envelope.payload::VARCHAR
                    -- The envelope has more fields.
                    ELSE json_merge_patch(text, '{"payload": null}', envelope.payload)::VARCHAR
                END AS object
            FROM (
                SELECT *, coalesce(starts_with(envelope.payload, '{'), false) AS wrapped
                FROM (
                    -- Parse each payload once for the fields of all tables; each table then parses its
                    -- own fields.
                    SELECT
                        *,
                        TRY(from_json(text, '{"type": "VARCHAR", "channel": "VARCHAR",
                            "symbol": "VARCHAR", "exchange": "VARCHAR", "timestamp": "VARCHAR",
                            "time": "VARCHAR", "ts": "VARCHAR", "asset": "VARCHAR",
                            "wallet": "VARCHAR", "rate": "VARCHAR", "payload": "JSON"}')) AS envelope
                    FROM frames
                )
            )
        )
    )
)
LEFT JOIN kinds USING (type);

-- table: whales
SELECT
    id.*, 0 AS item, coalesce(channel, 'whales:' || asset) AS channel,
    exchange, coalesce(symbol, asset) AS symbol, event_ns,
    'position' AS kind, own[1] AS wallet, own[2] AS asset, own[3] AS action, lower(own[4]) AS side,
    coalesce(num(own[5]), num(own[10])) AS price, num(own[6]) AS quantity, num(own[7]) AS notional_usd,
    coalesce(own[8], own[9]) AS tx,
    leftover(object, held + list_count(own[:9]), event_ns, '{
        "wallet": null, "asset": null, "action": null, "side": null, "price": null, "quantity": null,
        "size_usd": null, "tx": null, "tx_hash": null}') AS extra
FROM (
    SELECT *, json_extract_string(object, [
        '$.wallet', '$.asset', '$.action', '$.side', '$.price', '$.quantity', '$.size_usd', '$.tx',
        '$.tx_hash', '$.entry_price'
    ]) AS own
    FROM messages
    WHERE class = 'whale'
);

-- table: funding
SELECT
    id.*, 0 AS item, coalesce(channel, 'derivatives:funding') AS channel,
    exchange, symbol, event_ns,
    num(own[1]) AS rate, num(own[2]) AS interval_hours, num(own[3]) AS predicted_rate,
    time_ns(own[4], 1000000) AS next_funding_ns, num(own[5]) AS mark_price, num(own[6]) AS index_price,
    CASE WHEN time_ns(own[4], 1000000) IS NOT NULL THEN 'expected' END AS basis,
    leftover(object, held + list_count(own[:6]), event_ns, '{
        "rate": null, "interval_hours": null, "predicted_rate": null, "next_funding_time": null,
        "mark_price": null, "index_price": null}') AS extra
FROM (
    SELECT *, json_extract_string(object, [
        '$.rate', '$.interval_hours', '$.predicted_rate', '$.next_funding_time', '$.mark_price',
        '$.index_price'
    ]) AS own
    FROM messages
    WHERE class = 'funding'
);

-- table: liquidations
SELECT
    id.*, 0 AS item, coalesce(channel, 'derivatives:liquidations') AS channel,
    exchange, symbol, event_ns,
    CASE WHEN lower(own[1]) IN ('long', 'short') THEN lower(own[1]) END AS position_side,
    own[1] AS raw_side, num(own[2]) AS price,
    num(own[3]) AS quantity, -- in a unit that the service does not document: coins or contracts
    num(own[4]) AS notional_usd,
    leftover(object, held + list_count(own[:4]), event_ns, '{
        "side": null, "price": null, "quantity": null, "size_usd": null}') AS extra
FROM (
    SELECT *, json_extract_string(object, [
        '$.side', '$.price', '$.quantity', '$.size_usd'
    ]) AS own
    FROM messages
    WHERE class = 'liquidation'
);

-- table: open_interest
SELECT
    id.*, 0 AS item, coalesce(channel, 'derivatives:openinterest') AS channel,
    exchange, symbol, event_ns,
    num(own[1]) AS open_interest, num(own[2]) AS open_interest_usd, num(own[3]) AS change_pct,
    leftover(object, held + list_count(own[:3]), event_ns, '{
        "open_interest": null, "open_interest_usd": null, "change_pct": null}') AS extra
FROM (
    SELECT *, json_extract_string(object, [
        '$.open_interest', '$.open_interest_usd', '$.change_pct'
    ]) AS own
    FROM messages
    WHERE class = 'open_interest'
);

-- table: flows
SELECT
    id.*, 0 AS item, coalesce(channel, 'onchain:flows') AS channel,
    exchange, coalesce(symbol, asset) AS symbol, event_ns,
    coalesce(own[1], symbol) AS asset, lower(own[2]) AS direction, num(own[3]) AS amount,
    coalesce(num(own[4]), num(own[5])) AS amount_usd, own[6] AS wallet, coalesce(own[7], own[8]) AS tx,
    leftover(object, held + list_count(own[:8]), event_ns, '{
        "asset": null, "direction": null, "amount": null, "amount_usd": null, "size_usd": null,
        "wallet": null, "tx": null, "tx_hash": null}') AS extra
FROM (
    SELECT *, json_extract_string(object, [
        '$.asset', '$.direction', '$.amount', '$.amount_usd', '$.size_usd', '$.wallet', '$.tx',
        '$.tx_hash'
    ]) AS own
    FROM messages
    WHERE class = 'flow'
);

-- table: signals
SELECT
    id.*, 0 AS item, coalesce(channel, 'signals:confirmation') AS channel,
    exchange, symbol, event_ns,
    own[1] AS signal_type, own[2] AS direction, num(own[3]) AS score,
    leftover(object, held + list_count(own[:3]), event_ns, '{
        "signal_type": null, "direction": null, "score": null}') AS extra
FROM (
    SELECT *, json_extract_string(object, [
        '$.signal_type', '$.direction', '$.score'
    ]) AS own
    FROM messages
    WHERE class = 'signal'
);

-- table: alerts
SELECT
    id.*, 0 AS item, coalesce(channel, 'market:alerts') AS channel, exchange, symbol, event_ns,
    own[1] AS alert_type, own[2] AS severity, own[3] AS title, own[4] AS message,
    leftover(object, held + list_count(own[:4]), event_ns, '{
        "alert_type": null, "severity": null, "title": null, "message": null}') AS extra
FROM (
    SELECT *, json_extract_string(object, [
        '$.alert_type', '$.severity', '$.title', '$.message'
    ]) AS own
    FROM messages
    WHERE class = 'alert'
);

-- table: system_status
SELECT
    id.*, 0 AS item, coalesce(channel, 'system:status') AS channel, exchange, symbol, event_ns,
    own[1] AS component, own[2] AS status, own[3] AS message,
    leftover(object, held + list_count(own[:3]), event_ns, '{
        "component": null, "status": null, "message": null}') AS extra
FROM (
    SELECT *, json_extract_string(object, [
        '$.component', '$.status', '$.message'
    ]) AS own
    FROM messages
    WHERE class = 'status'
);

-- table: latency
SELECT
    id.*, 0 AS item,
    coalesce(channel, CASE class
        WHEN 'whale' THEN 'whales:' || asset
        WHEN 'funding' THEN 'derivatives:funding'
        WHEN 'liquidation' THEN 'derivatives:liquidations'
        WHEN 'open_interest' THEN 'derivatives:openinterest'
        WHEN 'flow' THEN 'onchain:flows'
        WHEN 'signal' THEN 'signals:confirmation'
        WHEN 'alert' THEN 'market:alerts'
        WHEN 'status' THEN 'system:status'
    END) AS channel,
    exchange, symbol, event_ns, line, clock_error_ns, false AS backfill
FROM messages
WHERE class <> 'control' AND event_ns IS NOT NULL;

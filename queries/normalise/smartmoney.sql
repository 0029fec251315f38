-- Smart Money API: eight channels, flat ({"type", "wallet", ...}) or wrapped
-- ({"type", "channel", "payload": {...}}). Only a few fields are documented; the others are read
-- where they appear under a plain name, and everything else is kept in extra.
-- Times, where a frame has one, are milliseconds (not documented).

-- step: messages
SELECT
    f.*,
    CASE
        WHEN type IN ('pong', 'ping', 'welcome', 'heartbeat', 'authenticated', 'auth_success', 'auth_ok',
            'subscribed', 'unsubscribed', 'subscription_success', 'error', 'auth_error', 'ack') THEN 'control'
        WHEN type = 'whale_update' AND m.wallet IS NOT NULL THEN 'whale'
        WHEN type = 'funding_rate' AND m.symbol IS NOT NULL AND num(m.rate) IS NOT NULL THEN 'funding'
        WHEN type = 'liquidation' AND m.symbol IS NOT NULL THEN 'liquidation'
        WHEN type IN ('open_interest', 'openinterest', 'open_interest_update') AND m.symbol IS NOT NULL
            THEN 'open_interest'
        WHEN type IN ('exchange_flow', 'flow', 'onchain_flow', 'flow_update')
            AND coalesce(m.asset, m.symbol) IS NOT NULL THEN 'flow'
        WHEN type IN ('signal', 'confirmation', 'signal_update') AND m.symbol IS NOT NULL THEN 'signal'
        WHEN type IN ('alert', 'market_alert') THEN 'alert'
        WHEN type IN ('status', 'system_status') THEN 'status'
    END AS class,
    CASE
        WHEN type IS NULL THEN 'a message without a type'
        WHEN type = 'whale_update' THEN 'a whale update without a wallet'
        WHEN type = 'funding_rate' THEN 'a funding rate without a symbol or a number as rate'
        WHEN type IN ('liquidation', 'open_interest', 'openinterest', 'open_interest_update', 'signal',
            'confirmation', 'signal_update') THEN 'a ' || type || ' without a symbol'
        WHEN type IN ('exchange_flow', 'flow', 'onchain_flow', 'flow_update') THEN 'a flow without an asset'
        ELSE 'unknown message type ' || short(type)
    END AS reason,
    coalesce(time_ns(m.timestamp, 1000000), time_ns(m.time, 1000000), time_ns(m.ts, 1000000)) AS event_ns,
    -- What a column of every table holds is no extra; a time that could not be read is.
    json_merge_patch(inner_json, CASE
        WHEN event_ns IS NULL THEN '{"type": null, "channel": null, "exchange": null, "symbol": null}'
        ELSE '{"type": null, "channel": null, "exchange": null, "symbol": null,
            "timestamp": null, "time": null, "ts": null}'
    END) AS more
FROM (
    SELECT
        *,
        envelope[1] AS type,
        envelope[2] AS channel,
        json_transform(inner_json, '{
            "wallet": "VARCHAR", "asset": "VARCHAR", "symbol": "VARCHAR", "exchange": "VARCHAR",
            "action": "VARCHAR", "side": "VARCHAR", "size_usd": "VARCHAR", "price": "VARCHAR",
            "entry_price": "VARCHAR", "quantity": "VARCHAR", "tx": "VARCHAR", "tx_hash": "VARCHAR",
            "rate": "VARCHAR", "interval_hours": "VARCHAR", "predicted_rate": "VARCHAR",
            "next_funding_time": "VARCHAR", "mark_price": "VARCHAR", "index_price": "VARCHAR",
            "open_interest": "VARCHAR", "open_interest_usd": "VARCHAR", "change_pct": "VARCHAR",
            "direction": "VARCHAR", "amount": "VARCHAR", "amount_usd": "VARCHAR",
            "signal_type": "VARCHAR", "score": "VARCHAR", "alert_type": "VARCHAR",
            "severity": "VARCHAR", "title": "VARCHAR", "message": "VARCHAR",
            "component": "VARCHAR", "status": "VARCHAR",
            "timestamp": "VARCHAR", "time": "VARCHAR", "ts": "VARCHAR"
        }') AS m
    FROM (
        SELECT
            *,
            json_extract_string(json, ['$.type', '$.channel', '$.payload']) AS envelope,
            CASE
                WHEN coalesce(json_type(json, '$.payload') <> 'OBJECT', true) THEN json
                WHEN len(json_keys(json)) = len(envelope) THEN envelope[3]
                ELSE json_merge_patch(json, '{"payload": null}', envelope[3]) -- the envelope says more
            END AS inner_json
        FROM frames
    )
) AS f;

-- table: whales
SELECT
    id.*, 0 AS item, coalesce(channel, 'whales:' || m.asset) AS channel, lower(m.exchange) AS exchange,
    coalesce(m.symbol, m.asset) AS symbol, event_ns, 'position' AS kind, m.wallet AS wallet,
    m.asset AS asset, m.action AS action, lower(m.side) AS side,
    coalesce(num(m.price), num(m.entry_price)) AS price, num(m.quantity) AS quantity,
    num(m.size_usd) AS notional_usd, coalesce(m.tx, m.tx_hash) AS tx,
    rest(more, '{"wallet": null, "asset": null, "action": null, "side": null, "price": null,
        "quantity": null, "size_usd": null, "tx": null, "tx_hash": null}') AS extra
FROM messages
WHERE class = 'whale';

-- table: funding
SELECT
    id.*, 0 AS item, coalesce(channel, 'derivatives:funding') AS channel, lower(m.exchange) AS exchange,
    m.symbol AS symbol, event_ns, num(m.rate) AS rate, num(m.interval_hours) AS interval_hours,
    num(m.predicted_rate) AS predicted_rate, time_ns(m.next_funding_time, 1000000) AS next_funding_ns,
    num(m.mark_price) AS mark_price, num(m.index_price) AS index_price,
    rest(more, '{"rate": null, "interval_hours": null, "predicted_rate": null,
        "next_funding_time": null, "mark_price": null, "index_price": null}') AS extra
FROM messages
WHERE class = 'funding';

-- table: liquidations
SELECT
    id.*, 0 AS item, coalesce(channel, 'derivatives:liquidations') AS channel,
    lower(m.exchange) AS exchange, m.symbol AS symbol, event_ns,
    CASE WHEN lower(m.side) IN ('long', 'short') THEN lower(m.side) END AS position_side,
    m.side AS raw_side, num(m.price) AS price, num(m.quantity) AS quantity,
    CASE WHEN num(m.quantity) IS NOT NULL THEN 'base' END AS quantity_unit,
    num(m.size_usd) AS notional_usd,
    rest(more, '{"side": null, "price": null, "quantity": null, "size_usd": null}') AS extra
FROM messages
WHERE class = 'liquidation';

-- table: open_interest
SELECT
    id.*, 0 AS item, coalesce(channel, 'derivatives:openinterest') AS channel,
    lower(m.exchange) AS exchange, m.symbol AS symbol, event_ns,
    num(m.open_interest) AS open_interest, num(m.open_interest_usd) AS open_interest_usd,
    num(m.change_pct) AS change_pct,
    rest(more, '{"open_interest": null, "open_interest_usd": null, "change_pct": null}') AS extra
FROM messages
WHERE class = 'open_interest';

-- table: flows
SELECT
    id.*, 0 AS item, coalesce(channel, 'onchain:flows') AS channel, lower(m.exchange) AS exchange,
    coalesce(m.symbol, m.asset) AS symbol, event_ns, coalesce(m.asset, m.symbol) AS asset,
    lower(m.direction) AS direction, num(m.amount) AS amount,
    coalesce(num(m.amount_usd), num(m.size_usd)) AS amount_usd, m.wallet AS wallet,
    coalesce(m.tx, m.tx_hash) AS tx,
    rest(more, '{"asset": null, "direction": null, "amount": null, "amount_usd": null,
        "size_usd": null, "wallet": null, "tx": null, "tx_hash": null}') AS extra
FROM messages
WHERE class = 'flow';

-- table: signals
SELECT
    id.*, 0 AS item, coalesce(channel, 'signals:confirmation') AS channel,
    lower(m.exchange) AS exchange, m.symbol AS symbol, event_ns, m.signal_type AS signal_type,
    m.direction AS direction, num(m.score) AS score,
    rest(more, '{"signal_type": null, "direction": null, "score": null}') AS extra
FROM messages
WHERE class = 'signal';

-- table: alerts
SELECT
    id.*, 0 AS item, coalesce(channel, 'market:alerts') AS channel, lower(m.exchange) AS exchange,
    m.symbol AS symbol, event_ns, m.alert_type AS alert_type, m.severity AS severity,
    m.title AS title, m.message AS message,
    rest(more, '{"alert_type": null, "severity": null, "title": null, "message": null}') AS extra
FROM messages
WHERE class = 'alert';

-- table: system_status
SELECT
    id.*, 0 AS item, coalesce(channel, 'system:status') AS channel, lower(m.exchange) AS exchange,
    m.symbol AS symbol, event_ns,
    m.component AS component, m.status AS status, m.message AS message,
    rest(more, '{"component": null, "status": null, "message": null}') AS extra
FROM messages
WHERE class = 'status';

-- table: latency
SELECT
    id.*, 0 AS item,
    coalesce(channel, CASE class
        WHEN 'whale' THEN 'whales:' || m.asset
        WHEN 'funding' THEN 'derivatives:funding'
        WHEN 'liquidation' THEN 'derivatives:liquidations'
        WHEN 'open_interest' THEN 'derivatives:openinterest'
        WHEN 'flow' THEN 'onchain:flows'
        WHEN 'signal' THEN 'signals:confirmation'
        WHEN 'alert' THEN 'market:alerts'
        WHEN 'status' THEN 'system:status'
    END) AS channel,
    lower(m.exchange) AS exchange, m.symbol AS symbol, event_ns, line, clock_error_ns, false AS backfill
FROM messages
WHERE class <> 'control' AND event_ns IS NOT NULL;

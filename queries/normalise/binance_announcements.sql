-- Binance announcements: {"type": "DATA", "topic", "data"}, where data is JSON inside a text: catalogId,
-- catalogName, publishDate (ms), title, body, disclaimer; also answers to commands.
-- One row per ticker that the title names, or one row without a ticker if it names none (title_tickers,
-- title_type). Both are read only in the catalogues 48 (new listings) and 161 (delistings). A removal of
-- trading pairs, for instance, delists no coin. Body and disclaimer are long and stay in raw.

-- step: messages
SELECT
    * EXCLUDE (present, part),
    part[1] AS catalogue, part[2] AS title, time_ns(part[3], 1000000) AS publish_ns,
    CASE
        WHEN type = 'DATA' AND nullif(trim(title), '') IS NOT NULL THEN 'announcement'
        WHEN type = 'DATA' THEN NULL
        WHEN type IN ('COMMAND', 'ERROR', 'PING', 'PONG') OR type IS NULL AND (present[4] OR present[5])
            THEN 'control'
    END AS class,
    CASE
        WHEN type IS NULL THEN 'a message without a type'
        WHEN type <> 'DATA' THEN 'unknown message type ' || short(type)
        WHEN inner_json IS NULL THEN 'an announcement whose data is not a JSON object'
        ELSE 'an announcement without a title'
    END AS reason
FROM (
    SELECT
        *, json_extract_string(inner_json, ['$.catalogId', '$.title', '$.publishDate']) AS part
    FROM (
        SELECT
            *, envelope[1] AS type, envelope[2] AS topic,
            list_transform(envelope, lambda piece: piece IS NOT NULL) AS present,
            CASE
                WHEN json_valid(envelope[3]) AND json_type(envelope[3]) = 'OBJECT' THEN envelope[3]::JSON
            END AS inner_json
        FROM (
            SELECT
                *,
                json_extract_string(json, ['$.type', '$.topic', '$.data', '$.code', '$.error']) AS envelope
            FROM frames
        )
    )
);

-- step: announcements
SELECT
    *,
    coalesce(catalogue IN ('48', '161'), false) AS about_coins,
    CASE WHEN about_coins THEN title_type(plain_title(title)) END AS listing_type,
    CASE WHEN about_coins THEN title_tickers(plain_title(title)) ELSE [] END AS tickers
FROM messages
WHERE class = 'announcement';

-- table: listings
SELECT
    *, ticker AS symbol
FROM (
    SELECT
        id.*, topic AS channel, 'binance' AS exchange, publish_ns AS event_ns,
        unnest(range(greatest(len(tickers), 1)))::INTEGER AS item, 'binance' AS publisher,
        unnest(CASE WHEN len(tickers) = 0 THEN [NULL] ELSE tickers END) AS ticker,
        listing_type, title, publish_ns, coalesce(publish_ns < opened_ns, false) AS backfill,
        rest(inner_json, '{"title": null, "publishDate": null, "body": null, "disclaimer": null}') AS extra
    FROM announcements
);

-- table: latency
SELECT
    id.*, 0 AS item, topic AS channel, 'binance' AS exchange, line, clock_error_ns,
    coalesce(publish_ns < opened_ns, false) AS backfill, publish_ns, publish_ns AS event_ns
FROM announcements
WHERE publish_ns IS NOT NULL;

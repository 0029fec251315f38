-- cryptolisting.ws: announcements. Times are integer microseconds; ticker may be a comma list, and
-- is empty on the free tier, where the title is an upgrade notice (except for not_listing).

-- step: messages
SELECT
    f.*,
    m,
    -- Every ticker becomes a row that repeats the title: a huge list would fill the disk.
    len(list_intersect(kinds, ['ARRAY', 'OBJECT'])) > 0 OR length(m.ticker) > 10000 AS odd,
    CASE
        WHEN m.type IN ('welcome', 'heartbeat', 'error', 'test_announcement', 'changelog', 'renewal_notice')
            THEN 'control'
        WHEN m.type IS DISTINCT FROM 'announcement' OR odd THEN NULL
        WHEN m.ticker = '' AND coalesce(m.listingType, '') <> 'not_listing' THEN 'control'
        WHEN coalesce(nullif(trim(m.title), ''), nullif(trim(m.ticker), '')) IS NOT NULL THEN 'announcement'
    END AS class,
    CASE
        WHEN m.type = 'announcement' AND odd THEN 'an announcement whose ticker or title is no plain text'
        WHEN m.type = 'announcement' THEN 'an announcement without a title and without a ticker'
        WHEN m.type IS NULL THEN 'a message without a type'
        ELSE 'unknown message type ' || short(m.type)
    END AS reason
FROM (
    SELECT
        *,
        json_transform(json, '{
            "type": "VARCHAR", "title": "VARCHAR", "ticker": "VARCHAR", "publisher": "VARCHAR",
            "listingType": "VARCHAR", "url": "VARCHAR", "publishTimestampUs": "VARCHAR",
            "detectedTimestampUs": "VARCHAR", "dispatchTimestampUs": "VARCHAR",
            "abnormalDetectionLatency": "VARCHAR"
        }') AS m,
        json_type(json, ['$.ticker', '$.title']) AS kinds
    FROM frames
) AS f;

-- table: listings
SELECT
    id.*,
    unnest(range(greatest(len(tickers), 1)))::INTEGER AS item,
    'announcements' AS channel,
    lower(m.publisher) AS exchange,
    nullif(trim(unnest(CASE WHEN len(tickers) > 0 THEN tickers ELSE [NULL] END)), '') AS symbol,
    symbol AS ticker,
    time_ns(m.publishTimestampUs, 1000) AS publish_ns,
    publish_ns AS event_ns,
    time_ns(m.detectedTimestampUs, 1000) AS detected_ns,
    time_ns(m.dispatchTimestampUs, 1000) AS dispatch_ns,
    m.publisher AS publisher,
    m.listingType AS listing_type,
    m.title AS title,
    m.url AS url,
    TRY_CAST(m.abnormalDetectionLatency AS BOOLEAN) AS abnormal_latency,
    rest(json, '{"type": null, "title": null, "ticker": null, "publisher": null, "listingType": null,
        "url": null, "publishTimestampUs": null, "detectedTimestampUs": null,
        "dispatchTimestampUs": null, "abnormalDetectionLatency": null}') AS extra
FROM (
    SELECT *, list_filter(string_split(m.ticker, ','), lambda t: trim(t) <> '') AS tickers
    FROM messages
    WHERE class = 'announcement'
);

-- table: latency
SELECT
    id.*,
    0 AS item,
    'announcements' AS channel,
    lower(m.publisher) AS exchange,
    line,
    clock_error_ns,
    false AS backfill,
    time_ns(m.publishTimestampUs, 1000) AS publish_ns,
    publish_ns AS event_ns,
    time_ns(m.detectedTimestampUs, 1000) AS detected_ns,
    time_ns(m.dispatchTimestampUs, 1000) AS dispatch_ns
FROM messages
WHERE class = 'announcement' AND coalesce(publish_ns, detected_ns, dispatch_ns) IS NOT NULL;

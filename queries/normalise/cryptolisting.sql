-- cryptolisting.ws: announcements. Times are integer microseconds. `ticker` may hold several tickers,
-- separated by commas. On the free tier it is empty, and the title is an upgrade notice (except for
-- not_listing): no listing, but its times are a latency.

-- step: messages
SELECT
    *,
    CASE
        WHEN type = 'announcement' THEN CASE
            WHEN odd THEN NULL
            WHEN ticker = '' AND coalesce(listing_type, '') <> 'not_listing'
                THEN CASE WHEN coalesce(publish_ns, detected_ns, dispatch_ns) IS NULL THEN 'control' ELSE 'blank' END
            WHEN trim(ticker) <> '' OR trim(title) <> '' THEN type
        END
        WHEN type IN ('welcome', 'heartbeat', 'error', 'test_announcement', 'changelog', 'renewal_notice')
            THEN 'control'
    END AS class,
    CASE
        WHEN class IS NOT NULL THEN NULL
        WHEN type = 'announcement' AND odd THEN 'an announcement whose ticker or title is not plain text'
        WHEN type = 'announcement' THEN 'an announcement without a title and without a ticker'
        WHEN type IS NULL THEN 'a message without a type'
        ELSE 'unknown message type ' || short(type)
    END AS reason
FROM (
    SELECT
        id, line, clock_error_ns, fields[1] AS type, fields[2] AS title, fields[3] AS ticker,
        fields[4] AS publisher, fields[5] AS listing_type, fields[6] AS url,
        time_ns(fields[7], 1000) AS publish_ns, time_ns(fields[8], 1000) AS detected_ns,
        time_ns(fields[9], 1000) AS dispatch_ns, TRY_CAST(fields[10] AS BOOLEAN) AS abnormal_latency,
        -- Every ticker becomes a row that repeats the title, so a huge list would fill the disk.
        CASE
            WHEN strlen(fields[3]) > 10000 AND length(fields[3]) > 10000 THEN true
            WHEN starts_with(fields[2], '[') OR starts_with(fields[2], '{')
                    OR starts_with(fields[3], '[') OR starts_with(fields[3], '{')
                THEN len(
                    list_intersect(json_type(json, ['$.ticker', '$.title']), ['ARRAY', 'OBJECT'])
                ) > 0
            ELSE false
        END AS odd,
        CASE
            WHEN fields[1] <> 'announcement' OR len(json_keys(json)) <= list_count(fields) THEN NULL
            ELSE rest(json, '{"type": null, "title": null, "ticker": null, "publisher": null,
                    "listingType": null, "url": null, "publishTimestampUs": null,
                    "detectedTimestampUs": null, "dispatchTimestampUs": null,
                    "abnormalDetectionLatency": null}')
        END AS extra
    FROM (
        SELECT
            *,
            json_extract_string(json, ['$.type', '$.title', '$.ticker', '$.publisher', '$.listingType',
                '$.url', '$.publishTimestampUs', '$.detectedTimestampUs', '$.dispatchTimestampUs',
                '$.abnormalDetectionLatency']) AS fields
        FROM frames
    )
);

-- table: listings
SELECT
    id.*, item, 'announcements' AS channel, lower(publisher) AS exchange, one AS symbol, one AS ticker,
    publish_ns, publish_ns AS event_ns, detected_ns, dispatch_ns, publisher, listing_type, title, url,
    abnormal_latency, false AS backfill, extra
FROM (
    SELECT *, 0 AS item, nullif(trim(ticker), '') AS one
    FROM messages
    WHERE class = 'announcement' AND NOT coalesce(contains(plain_title(ticker), ','), false)
    UNION ALL BY NAME
    SELECT
        *,
        unnest(range(greatest(len(tickers), 1)))::INTEGER AS item,
        trim(unnest(CASE WHEN len(tickers) > 0 THEN tickers ELSE [NULL] END)) AS one
    FROM (
        SELECT
            *,
            each_once(list_filter(
                list_transform(string_split(plain_title(ticker), ','), lambda t: trim(t)), lambda t: t <> ''
            )) AS tickers
        FROM messages
        WHERE class = 'announcement' AND contains(plain_title(ticker), ',')
    )
);

-- table: latency
SELECT
    id.*, 0 AS item, 'announcements' AS channel, lower(publisher) AS exchange, line, clock_error_ns,
    false AS backfill, publish_ns, publish_ns AS event_ns, detected_ns, dispatch_ns
FROM messages
WHERE class IN ('announcement', 'blank') AND coalesce(publish_ns, detected_ns, dispatch_ns) IS NOT NULL;

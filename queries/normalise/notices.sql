-- Exchanges' notices, polled. Each answer repeats the newest: Bithumb [{categories, title, pc_url,
-- published_at}] with times of Korea (UTC+9) that name no zone; KuCoin {data: {items: [{annId, annTitle,
-- annUrl, cTime}]}}; Bybit {result: {list: [{title, type, url, publishTime}]}}; Bitget {data: [{annId,
-- annTitle, annUrl, cTime}]}; their times are milliseconds. A notice is a row per ticker that its title
-- names (title_tickers, title_type), once per connection; another title is another notice. What was
-- published before the connection began is marked as sent again.

-- step: messages
SELECT
    *,
    CASE
        WHEN line_group IN ('bithumb', 'kucoin', 'bybit', 'bitget') AND line_group <> publisher THEN NULL
        WHEN json_array_length(list) = 0 THEN 'control'
        WHEN len(list_filter(titles, lambda title: nullif(trim(title), '') IS NOT NULL)) > 0 THEN 'notices'
    END AS class,
    'an answer without a list of notices that have titles' AS reason
FROM (
    SELECT
        *,
        -- The forms of the four answers differ.
        CASE
            WHEN json_type(json) = 'ARRAY' THEN 'bithumb'
            WHEN json_type(json, '$.data.items') = 'ARRAY' THEN 'kucoin'
            WHEN json_type(json, '$.result.list') = 'ARRAY' THEN 'bybit'
            WHEN json_type(json, '$.data') = 'ARRAY' THEN 'bitget'
        END AS publisher,
        CASE publisher
            WHEN 'bithumb' THEN json
            WHEN 'kucoin' THEN json_extract(json, '$.data.items')
            WHEN 'bybit' THEN json_extract(json, '$.result.list')
            WHEN 'bitget' THEN json_extract(json, '$.data')
        END AS list,
        CASE
            WHEN publisher IN ('bithumb', 'bybit') THEN json_extract_string(list, '$[*].title')
            ELSE json_extract_string(list, '$[*].annTitle')
        END AS titles
    FROM frames
);

-- step: notices
-- Each notice at the first answer of its connection that has it.
SELECT *
FROM (
    SELECT
        id, opened_ns, publisher, notice, place, part[1] AS title, part[2] AS url,
        CASE
            WHEN publisher <> 'bithumb' THEN time_ns(part[3], 1000000)
            WHEN regexp_full_match(part[3], '\d{4}-\d{2}-\d{2}[ T]\d{2}:\d{2}:\d{2}')
                THEN epoch_ns(TRY_CAST(part[3] AS TIMESTAMP)) - 32400000000000
        END AS publish_ns,
        concat_ws(' ', publisher, coalesce(url, ''), coalesce(publish_ns::VARCHAR, ''), title) AS key
    FROM (
        SELECT
            *,
            CASE publisher
                WHEN 'bithumb' THEN json_extract_string(notice, ['$.title', '$.pc_url', '$.published_at'])
                WHEN 'bybit' THEN json_extract_string(notice, ['$.title', '$.url', '$.publishTime'])
                ELSE json_extract_string(notice, ['$.annTitle', '$.annUrl', '$.cTime'])
            END AS part
        FROM (
            SELECT
                id, opened_ns, publisher,
                unnest(range(json_array_length(list)::BIGINT))::INTEGER AS place,
                unnest(json_transform(list, '["JSON"]')) AS notice
            FROM messages
            WHERE class = 'notices'
        )
    )
    WHERE nullif(trim(title), '') IS NOT NULL
) AS n
WHERE NOT EXISTS (
    FROM carried AS c
    WHERE c.name = 'seen' AND c.connection = n.id.connection AND c.key = n.key
)
QUALIFY row_number() OVER (PARTITION BY id.connection, key ORDER BY id.seq, place) = 1;

-- state: seen
SELECT id.connection AS connection, key, id.seq AS seq, {'place': place} AS state
FROM notices;

-- step: announcements
SELECT
    *, title_type(plain_title(title)) AS listing_type, title_tickers(plain_title(title)) AS named,
    -- Bithumb's list has notices of every kind; the others' are asked for new listings alone.
    CASE
        WHEN publisher <> 'bithumb' OR listing_type IS NOT NULL OR regexp_matches(title, '거래지원|마켓')
            THEN named
        ELSE []
    END AS tickers
FROM notices;

-- table: listings once (exchange, title, publish_ns, url)
SELECT
    * EXCLUDE (place, nth), ticker AS symbol,
    (row_number() OVER (PARTITION BY connection, seq ORDER BY place, nth) - 1)::INTEGER AS item
FROM (
    SELECT
        id.*, publisher AS channel, publisher AS exchange, publish_ns AS event_ns, place,
        unnest(range(greatest(len(tickers), 1))) AS nth, publisher,
        unnest(CASE WHEN len(tickers) = 0 THEN [NULL] ELSE tickers END) AS ticker,
        listing_type, title, url, publish_ns, coalesce(publish_ns < opened_ns, false) AS backfill,
        notice AS extra
    FROM announcements
);

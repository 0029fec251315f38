-- Tree of Alpha: one news item per frame: title, body, source, type, link or url, time (ms), coin,
-- suggestions [{coin, found, symbols}] and other fields. News from an exchange's announcements (the
-- source is the exchange, e.g. Binance EN, Upbit) become listings, all others alerts.
-- A ticker is read from a title about listings (title_tickers, title_type). The service's guesses (coin,
-- suggestions: BNB wherever Binance is named) are not announced tickers and stay in extra.
-- `time` is when the service found the news (an item's _id begins with it), not a time of the exchange.

-- step: messages
SELECT
    * EXCLUDE (part),
    part[1] AS title, part[2] AS english, part[3] AS body, part[4] AS source, part[5] AS type,
    coalesce(nullif(part[6], ''), nullif(part[7], '')) AS url, part[9] AS coin,
    time_ns(part[8], 1000000) AS event_ns,
    CASE
        WHEN regexp_full_match(
            left(text, 200), '(?i)\s*(ping|pong|((login|logged|welcome|connected)\b[^{]*))\s*'
        ) THEN 'control'
        WHEN coalesce(nullif(trim(title), ''), nullif(trim(english), ''), nullif(trim(body), '')) IS NOT NULL
            THEN 'news'
        WHEN coalesce(part[10], part[11], part[12], part[13]) IS NOT NULL THEN 'control'
    END AS class,
    'a message without a title or a body' AS reason,
    CASE
        WHEN class = 'news' AND regexp_full_match(lower(trim(source)),
            '(binance|upbit|bithumb|coinbase|kraken|bybit|okx|okex|kucoin|bitfinex|huobi|htx|gate(\.io)?|'
            || 'bitget|mexc|korbit|coinone|ftx)( (en|kr|ko|us))?')
        THEN regexp_extract(lower(trim(source)), '^[a-z]+')
    END AS publisher
FROM (
    SELECT
        *,
        json_extract_string(json, [
            '$.title', '$.en', '$.body', '$.source', '$.type', '$.url', '$.link', '$.time', '$.coin',
            '$.user', '$.error', '$.status', '$.success'
        ]) AS part
    FROM frames
);

-- step: announcements
-- The title, and its translation if there is one: what either says.
SELECT
    *,
    plain_title(regexp_replace(title, '^[A-Z]+ [A-Z]{2}: ', '')) AS own_title, plain_title(english) AS translated,
    concat_ws(' ', own_title, translated) AS titles,
    coalesce(title_type(own_title), title_type(translated)) AS listing_type,
    CASE
        WHEN listing_type IS NOT NULL
            OR regexp_matches(titles, '(?i)\b(de)?list(s|ed|ing|ings)?\b|roadmap|market support|거래지원|마켓')
            THEN each_once(list_concat(title_tickers(own_title), title_tickers(translated)))
        ELSE []
    END AS tickers
FROM messages
WHERE class = 'news' AND publisher IS NOT NULL;

-- table: listings
SELECT
    *, ticker AS symbol
FROM (
    SELECT
        id.*, 'news' AS channel, publisher AS exchange, event_ns,
        unnest(range(greatest(len(tickers), 1)))::INTEGER AS item, source AS publisher,
        unnest(CASE WHEN len(tickers) = 0 THEN [NULL] ELSE tickers END) AS ticker,
        listing_type, coalesce(title, english, body) AS title, url, event_ns AS detected_ns,
        coalesce(event_ns < opened_ns, false) AS backfill,
        rest(json, CASE
            WHEN event_ns IS NULL THEN '{"title": null, "source": null, "url": null, "link": null}'
            ELSE '{"title": null, "source": null, "url": null, "link": null, "time": null}'
        END) AS extra
    FROM announcements
);

-- table: alerts
SELECT
    id.*, 0 AS item, 'news' AS channel, coin AS symbol, event_ns,
    coalesce(nullif(source, ''), type) AS alert_type, coalesce(title, english) AS title, body AS message,
    coalesce(event_ns < opened_ns, false) AS backfill,
    rest(json, CASE
        WHEN event_ns IS NULL THEN '{"title": null, "body": null, "source": null, "coin": null}'
        ELSE '{"title": null, "body": null, "source": null, "coin": null, "time": null}'
    END) AS extra
FROM messages
WHERE class = 'news' AND publisher IS NULL;

-- table: latency
SELECT
    id.*, 0 AS item, 'news' AS channel, publisher AS exchange, line, clock_error_ns,
    coalesce(event_ns < opened_ns, false) AS backfill, event_ns AS detected_ns, event_ns
FROM messages
WHERE class = 'news' AND event_ns IS NOT NULL;

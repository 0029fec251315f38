-- title: Announced listings and delistings, newest first
-- description: One row per announced ticker, with the service's times of publication, detection and
--   dispatch, and latency_ms from publication to receipt.
-- param ticker VARCHAR = NULL  -- only this ticker, in any case
-- param listing_type VARCHAR = NULL  -- only this type, e.g. spot_listing
-- param publisher VARCHAR = NULL  -- only this publisher, in any case
-- param exchange VARCHAR = NULL  -- only this exchange, in any case
-- param feed VARCHAR = NULL  -- only this feed
-- param since TIMESTAMPTZ = NULL  -- only announcements received at or after this time
-- param until TIMESTAMPTZ = NULL  -- only announcements received before this time
-- param limit BIGINT = 100  -- at most this many rows
-- topic: Events
-- plot: dot x=recv_time y=latency_ms series=exchange log
-- column recv_time: when we received the announcement
-- column exchange: the venue
-- column ticker: the announced ticker
-- column listing_type: the service's type of the announcement
-- column title: the title of the announcement
-- column latency_ms: from publication to receipt, ms
-- column publish_time: time of publication by the exchange
-- column detected_time: time of detection by the service
-- column dispatch_time: time of sending by the service
-- column abnormal_latency: the service's flag of a late detection
-- column publisher: the publisher of the announcement
-- column url: link to the announcement
-- column feed: the feed
-- column connection: the connection that carried it; with seq it leads back to raw
-- column seq: its frame's number on the connection
-- column item: its index within the frame
-- example: recorder query listings --exchange binance --since '7d ago'
SELECT
    l.recv_time AS recv_time,
    l.exchange AS exchange,
    l.ticker AS ticker,
    l.listing_type AS listing_type,
    l.title AS title,
    (l.recv_ns::HUGEINT - l.publish_ns) / 1e6 AS latency_ms,
    make_timestamptz(l.publish_ns // 1000) AS publish_time,
    make_timestamptz(l.detected_ns // 1000) AS detected_time,
    make_timestamptz(l.dispatch_ns // 1000) AS dispatch_time,
    l.abnormal_latency AS abnormal_latency,
    l.publisher AS publisher,
    l.url AS url,
    l.feed AS feed,
    l.connection AS connection,
    l.seq AS seq,
    l.item AS item
FROM listings l
WHERE ($ticker IS NULL OR lower(l.ticker) = lower($ticker))
    AND ($listing_type IS NULL OR l.listing_type = $listing_type)
    AND ($publisher IS NULL OR lower(l.publisher) = lower($publisher))
    AND ($exchange IS NULL OR l.exchange = lower($exchange))
    AND ($feed IS NULL OR l.feed = $feed)
    AND ($since IS NULL OR l.recv_time >= $since)
    AND ($until IS NULL OR l.recv_time < $until)
ORDER BY l.recv_ns DESC, l.connection, l.seq DESC, l.item DESC
LIMIT $limit

-- title: Prices that were current when they were received
-- description: One row per row of the table prices, without trades that were older than max_age when received
--   (re-sent after a subscription), trades that were agreed outside the book (off_book) and values that
--   are not numbers. Rows are not sorted.
-- param max_age INTERVAL = INTERVAL 1 MINUTE  -- the largest age of the event time at receipt
-- column feed: the feed
-- column exchange: the venue
-- column symbol: the instrument
-- column recv_ns: when we received it, ns since epoch
-- column kind: last, mark, mid or index
-- column choice: preference among kinds: 1 last, 2 mark, 3 mid, 4 index; NULL for others
-- column price: the price
-- column nth: its position among all frames: receive time, then connection, seq and item
-- example: SELECT arg_max(p.price, p.nth) FROM timely_prices() p WHERE p.symbol = 'BTCUSDT'
SELECT
    p.feed AS feed,
    p.exchange AS exchange,
    p.symbol AS symbol,
    p.recv_ns AS recv_ns,
    p.kind AS kind,
    list_position(['last', 'mark', 'mid', 'index'], p.kind) AS choice,
    p.price AS price,
    {'ns': p.recv_ns, 'connection': p.connection, 'seq': p.seq, 'item': p.item} AS nth
FROM prices p
WHERE isfinite(p.price)
    AND p.off_book IS NOT TRUE
    AND (p.event_ns IS NULL OR p.event_ns::HUGEINT >= p.recv_ns - epoch_ns($max_age))

-- title: Prices that were prices of the moment when they came
-- description: One row per row of the table prices, but those that tell no price of now: a trade of longer ago
--   than max_age, sent again after a subscription, or what is no number. In no order.
-- param max_age INTERVAL = INTERVAL 1 MINUTE  -- an event's own time may lie so far back
-- column feed: the feed
-- column exchange: the venue
-- column symbol: the instrument
-- column recv_ns: when we received it, ns since epoch
-- column kind: last, mark, mid or index
-- column choice: which kind to take first where there are several: 1 last, 2 mark, 3 mid, 4 index; NULL others
-- column price: the price
-- column nth: its place among all frames: sorts by receive time, then connection, seq and item
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
    AND (p.event_ns IS NULL OR p.event_ns::HUGEINT >= p.recv_ns - epoch_ns($max_age))

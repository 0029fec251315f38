-- title: Whale position changes and trades, largest first
-- description: Sorted by dollar value. Moves of unknown value are last; with min_usd they are left out.
-- param min_usd DOUBLE = NULL  -- only moves worth at least this many dollars
-- param kind VARCHAR = NULL  -- position or trade
-- param symbol VARCHAR = NULL  -- only this symbol or asset, in any case
-- param wallet VARCHAR = NULL  -- only moves of this wallet, buyer or seller, in any case
-- param exchange VARCHAR = NULL  -- only this exchange, in any case
-- param feed VARCHAR = NULL  -- only this feed
-- param since TIMESTAMPTZ = NULL  -- only moves received at or after this time
-- param until TIMESTAMPTZ = NULL  -- only moves received before this time
-- param limit BIGINT = 50  -- at most this many rows
-- topic: Events
-- plot: dot x=recv_time y=notional_usd series=symbol log
-- column recv_time: when we received it
-- column exchange: the venue
-- column symbol: the instrument
-- column asset: the coin
-- column kind: position (a wallet's change) or trade
-- column action: what the whale did, in the service's words
-- column side: long or short; for a trade the aggressor's side, buy or sell
-- column notional_usd: value in dollars; NULL if unknown
-- column price: price in quote currency
-- column quantity: size in base currency
-- column wallet: the wallet whose position changed
-- column buyer: the buying account, if the venue names it
-- column seller: the selling account, if the venue names it
-- column tx: transaction hash or trade id
-- column event_time: the service's event time; NULL if it sends none
-- column feed: the feed
-- column connection: the connection that carried it; with seq it leads back to raw
-- column seq: its frame's number on the connection
-- column item: its index within the frame
-- example: recorder query whale_moves --min-usd 1000000 --since '1d ago'
SELECT
    w.recv_time AS recv_time,
    w.exchange AS exchange,
    w.symbol AS symbol,
    w.asset AS asset,
    w.kind AS kind,
    w.action AS action,
    w.side AS side,
    w.notional_usd AS notional_usd,
    w.price AS price,
    w.quantity AS quantity,
    w.wallet AS wallet,
    w.buyer AS buyer,
    w.seller AS seller,
    w.tx AS tx,
    make_timestamptz(w.event_ns // 1000) AS event_time,
    w.feed AS feed,
    w.connection AS connection,
    w.seq AS seq,
    w.item AS item
FROM whales w
WHERE ($min_usd IS NULL OR w.notional_usd >= $min_usd)
    AND ($kind IS NULL OR w.kind = $kind)
    AND ($symbol IS NULL OR lower($symbol) IN (lower(w.symbol), lower(w.asset)))
    AND ($wallet IS NULL OR lower($wallet) IN (lower(w.wallet), lower(w.buyer), lower(w.seller)))
    AND ($exchange IS NULL OR w.exchange = lower($exchange))
    AND ($feed IS NULL OR w.feed = $feed)
    AND ($since IS NULL OR w.recv_time >= $since)
    AND ($until IS NULL OR w.recv_time < $until)
ORDER BY w.notional_usd DESC NULLS LAST, w.recv_ns DESC, w.connection, w.seq DESC, w.item DESC
LIMIT $limit

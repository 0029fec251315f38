-- title: Several whales on one asset and side within a short time
-- description: A cluster is a run of moves of one asset, kind and side in which every move is part of at least
--   min_whales moves within one span; overlapping runs are one cluster. whales are the distinct known
--   accounts (the wallet, or the buyer or seller according to the side). Moves of unknown accounts
--   (unnamed) count as one whale each, so a cluster of them may belong to one whale. Past events
--   re-sent after a subscription are left out.
-- param span INTERVAL = INTERVAL 5 MINUTE  -- the time within which min_whales moves must be
-- param min_whales BIGINT = 3  -- only clusters of at least this many whales
-- param min_usd DOUBLE = NULL  -- only moves worth at least this many dollars
-- param asset VARCHAR = NULL  -- only this asset, e.g. BTC, in any case
-- param action VARCHAR = NULL  -- only this action, in the service's words (open, close, ...)
-- param exchange VARCHAR = NULL  -- only this exchange, in any case
-- param feed VARCHAR = NULL  -- only this feed
-- param since TIMESTAMPTZ = NULL  -- only moves received at or after this time
-- param until TIMESTAMPTZ = NULL  -- only moves received before this time
-- param limit BIGINT = 50  -- at most this many rows
-- column start_time: when the first move was received
-- column end_time: when the last one was received
-- column duration_seconds: time from the first to the last
-- column asset: the coin
-- column kind: position or trade
-- column side: long or short, or the aggressor's side, buy or sell; NULL if the feed does not say
-- column whales: number of distinct known accounts
-- column unnamed: moves of unknown accounts
-- column moves: number of moves in the cluster
-- column notional_usd: sum of the known dollar values; NULL if none is known
-- column without_usd: moves of unknown dollar value
-- column actions: the actions with their counts; NULL if the feed does not say
-- column exchanges: the exchanges of the moves
-- column gap: true if one of the feeds has an uncovered gap within one span of the cluster
-- column feeds: the feeds of the moves
-- topic: Events
-- plot: dot x=start_time y=notional_usd series=asset log
-- example: recorder query whale_clusters --asset BTC --span '10 minutes' --since '7d ago'
-- The asset of each name is computed once, not for every row.
-- Clusters are formed per stream: one asset, kind and side, identified by a number.
WITH streams AS (
    SELECT n.*, dense_rank() OVER (ORDER BY n.asset, n.kind, n.side) AS stream
    FROM (
        SELECT d.name AS name, asset_of(d.name) AS asset, d.kind AS kind, d.side AS side
        FROM (
            SELECT DISTINCT coalesce(w.asset, w.symbol) AS name, w.kind AS kind, w.side AS side
            FROM whales w
        ) d
    ) n
    WHERE $asset IS NULL OR n.asset = upper($asset)
),
moves AS (
    SELECT
        s.stream AS stream,
        s.asset AS asset,
        w.feed AS feed,
        w.exchange AS exchange,
        w.kind AS kind,
        w.side AS side,
        w.action AS action,
        w.notional_usd AS notional_usd,
        w.recv_ns AS recv_ns,
        coalesce(
            w.wallet, CASE w.side WHEN 'buy' THEN w.buyer WHEN 'sell' THEN w.seller END
        ) AS account
    FROM whales w
    JOIN streams s ON s.name = coalesce(w.asset, w.symbol)
        AND s.kind IS NOT DISTINCT FROM w.kind
        AND s.side IS NOT DISTINCT FROM w.side
    WHERE w.backfill IS NOT TRUE
        AND ($min_usd IS NULL OR w.notional_usd >= $min_usd)
        AND ($action IS NULL OR w.action = $action)
        AND ($exchange IS NULL OR w.exchange = lower($exchange))
        AND ($feed IS NULL OR w.feed = $feed)
        AND ($since IS NULL OR w.recv_time >= $since)
        AND ($until IS NULL OR w.recv_time < $until)
),
reaching AS (
    SELECT
        m.stream AS stream,
        m.recv_ns AS recv_ns,
        m.account AS account,
        m.notional_usd AS notional_usd,
        CASE WHEN lead(m.recv_ns, greatest($min_whales, 1) - 1) OVER follows
                - m.recv_ns <= epoch_ns($span)
            THEN lead(m.recv_ns, greatest($min_whales, 1) - 1) OVER follows
        END AS until_ns
    FROM moves m
    WINDOW follows AS (PARTITION BY m.stream ORDER BY m.recv_ns)
),
reached AS (
    SELECT
        r.*,
        max(r.until_ns) OVER (follows RANGE UNBOUNDED PRECEDING) AS reach_ns,
        max(r.until_ns) OVER (follows ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS earlier_ns
    FROM reaching r
    WINDOW follows AS (PARTITION BY r.stream ORDER BY r.recv_ns)
),
numbered AS (
    SELECT
        d.*,
        count_if(d.earlier_ns IS NULL OR d.earlier_ns < d.recv_ns) OVER (
            PARTITION BY d.stream ORDER BY d.recv_ns
        ) AS run
    FROM reached d
    WHERE d.reach_ns >= d.recv_ns
),
clusters AS (
    SELECT
        n.stream AS stream,
        min(n.recv_ns) AS from_ns,
        max(n.recv_ns) AS to_ns,
        count(*) AS moves,
        count(DISTINCT n.account) AS whales,
        count(*) - count(n.account) AS unnamed,
        sum(n.notional_usd) AS notional_usd,
        count(*) - count(n.notional_usd) AS without_usd
    FROM numbered n
    GROUP BY n.stream, n.run
),
ranked AS (
    SELECT
        row_number() OVER (
            ORDER BY c.whales + c.unnamed DESC, c.notional_usd DESC NULLS LAST, c.from_ns, c.stream
        ) AS place,
        c.*
    FROM clusters c
    WHERE c.whales + c.unnamed >= $min_whales
    ORDER BY place
    LIMIT $limit
),
-- All moves of a stream between a cluster's ends belong to the cluster. Their details are collected
-- last, for the shown clusters only, since that takes longer than finding them.
chosen AS (
    SELECT
        r.*,
        any_value(m.asset) AS asset,
        any_value(m.kind) AS kind,
        any_value(m.side) AS side,
        histogram(m.action) AS actions,
        list_sort(list(DISTINCT m.exchange) FILTER (m.exchange IS NOT NULL)) AS exchanges,
        list_sort(list(DISTINCT m.feed)) AS feeds
    FROM ranked r
    JOIN moves m ON m.stream = r.stream AND m.recv_ns >= r.from_ns AND m.recv_ns <= r.to_ns
    GROUP BY ALL
),
missed AS (
    SELECT DISTINCT c.place AS place
    FROM chosen c
    JOIN uncovered(as_of := $as_of) u ON list_contains(c.feeds, u.feed)
        AND u.from_ns < c.to_ns + epoch_ns($span)
        AND u.to_ns > c.from_ns - epoch_ns($span)
)
SELECT
    make_timestamptz(c.from_ns // 1000) AS start_time,
    make_timestamptz(c.to_ns // 1000) AS end_time,
    (c.to_ns - c.from_ns) / 1e9 AS duration_seconds,
    c.asset AS asset,
    c.kind AS kind,
    c.side AS side,
    c.whales AS whales,
    c.unnamed AS unnamed,
    c.moves AS moves,
    c.notional_usd AS notional_usd,
    c.without_usd AS without_usd,
    array_to_string(
        list_transform(map_entries(c.actions), lambda done: done.key || ' ' || done.value), ', '
    ) AS actions,
    array_to_string(c.exchanges, ', ') AS exchanges,
    m.place IS NOT NULL AS gap,
    array_to_string(c.feeds, ', ') AS feeds
FROM chosen c
LEFT JOIN missed m ON m.place = c.place
ORDER BY c.place

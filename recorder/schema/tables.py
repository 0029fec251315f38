"""The tables of `recorder.duckdb` that frames become: every column with its type, unit and meaning.

This, and `state.py` for the tables about the database itself, is the only definition of the tables.
The database's DDL and comments, and the documentation's column lists, are made from it.
"""

from __future__ import annotations

from recorder.schema.table import Column, Table

#: The first columns of every event table; they identify the raw frame of a row.
COMMON = (
    Column("feed", "VARCHAR NOT NULL", "the feed's name in the configuration"),
    Column("channel", "VARCHAR", "the service's own stream name; NULL if the frame does not say"),
    Column(
        "exchange",
        "VARCHAR",
        "the venue the event happened on, lower case; NULL if the feed does not say",
    ),
    Column("symbol", "VARCHAR", "the instrument as the venue spells it"),
    Column(
        "recv_ns",
        "BIGINT NOT NULL",
        "our wall clock when the frame's last bytes left the socket, ns since epoch UTC",
    ),
    Column(
        "recv_time",
        "TIMESTAMPTZ NOT NULL",
        "recv_ns as a timestamp (microseconds; recv_ns is the truth)",
    ),
    Column(
        "event_ns",
        "BIGINT",
        "the service's own time of the event, ns since epoch UTC; NULL if it gives none",
    ),
    Column(
        "connection",
        "VARCHAR NOT NULL",
        "the connection that carried the frame; with seq it leads back to raw",
    ),
    Column("seq", "BIGINT NOT NULL", "the frame's number on its connection, from 0"),
    Column(
        "item",
        "INTEGER NOT NULL",
        "which of the table's rows of this frame, in their order, from 0; may leave numbers out",
    ),
)

EXTRA = Column("extra", "JSON", "fields that the feed sent and no column holds")

BACKFILL = Column(
    "backfill",
    "BOOLEAN",
    "true for a past event sent after a subscription: recv_ns is not its time; NULL if unknown",
)

#: Connections and gaps have this instead of a channel: a connection carries a group of channels.
LINE_GROUP = Column(
    "line_group",
    "VARCHAR",
    "the group of channels that the connection carries; the lines of a group carry the same ones",
)

_OWN: dict[str, tuple[str, tuple[Column, ...]]] = {
    "whales": (
        "A whale's position change, or a trade at or above the feed's threshold (whale_usd).",
        (
            Column("kind", "VARCHAR", "position (a wallet's change) or trade"),
            Column("wallet", "VARCHAR", "the wallet whose position changed"),
            Column("buyer", "VARCHAR", "the buying account of a trade, where the venue names it"),
            Column("seller", "VARCHAR", "the selling account of a trade, where the venue names it"),
            Column("asset", "VARCHAR", "the coin, e.g. BTC"),
            Column(
                "action",
                "VARCHAR",
                "what the whale did, in the service's words (open, close, increase, ...)",
            ),
            Column(
                "side", "VARCHAR", "position: long or short; trade: buy or sell of the aggressor"
            ),
            Column("price", "DOUBLE", "price in quote currency"),
            Column("quantity", "DOUBLE", "size in base currency"),
            Column(
                "notional_usd", "DOUBLE", "value in US dollars (stablecoins counted as dollars)"
            ),
            Column("tx", "VARCHAR", "transaction hash or trade id"),
            BACKFILL,
            EXTRA,
        ),
    ),
    "funding": (
        "One funding observation of one instrument.",
        (
            Column(
                "rate", "DOUBLE", "funding rate as a fraction per interval (0.0001 = 1 basis point)"
            ),
            Column(
                "interval_hours",
                "DOUBLE",
                "hours of the rate's own interval: the frame's, else observed, else the list's, "
                "else the venue's default (extra says so); NULL if unknown",
            ),
            Column("predicted_rate", "DOUBLE", "the next interval's predicted rate, as a fraction"),
            Column(
                "next_funding_ns",
                "BIGINT",
                "when the next funding is exchanged, ns since epoch UTC",
            ),
            Column("mark_price", "DOUBLE", "mark price at the observation"),
            Column("index_price", "DOUBLE", "index price at the observation"),
            Column(
                "basis",
                "VARCHAR",
                "expected: the rate of the coming funding; realised: what was exchanged at "
                "event_ns, or over the hours before it; NULL if the feed does not say",
            ),
            BACKFILL,
            EXTRA,
        ),
    ),
    "liquidations": (
        "One liquidation. Sums undercount where a venue does not push all: Binance pushes only the "
        "largest per symbol and second, OKX says that its channel is not complete.",
        (
            Column(
                "position_side",
                "VARCHAR",
                "the position that was closed: long or short; NULL if the feed does not say",
            ),
            Column("raw_side", "VARCHAR", "the side exactly as the feed sent it"),
            Column("price", "DOUBLE", "price; price_kind says which"),
            Column(
                "price_kind", "VARCHAR", "average (fill), bankruptcy, limit, or NULL if unknown"
            ),
            Column("quantity", "DOUBLE", "size; quantity_unit says in what"),
            Column("quantity_unit", "VARCHAR", "base, contracts or usd"),
            Column(
                "notional_usd",
                "DOUBLE",
                "value in US dollars; NULL where the contract's value is unknown",
            ),
            Column("order_id", "VARCHAR", "the venue's id of the liquidation order, if sent"),
            BACKFILL,
            EXTRA,
        ),
    ),
    "listings": (
        "One announced ticker: an announcement of three tickers is three rows.",
        (
            Column("publisher", "VARCHAR", "who published the announcement"),
            Column("ticker", "VARCHAR", "one ticker; NULL where the announcement names none"),
            Column(
                "listing_type",
                "VARCHAR",
                "spot_listing, spot_delisting, futures_listing, futures_delisting, ...",
            ),
            Column("title", "VARCHAR", "the announcement's title"),
            Column("url", "VARCHAR", "link to the announcement"),
            Column("publish_ns", "BIGINT", "published by the exchange, ns since epoch UTC"),
            Column("detected_ns", "BIGINT", "detected by the service, ns since epoch UTC"),
            Column("dispatch_ns", "BIGINT", "dispatched by the service, ns since epoch UTC"),
            Column("abnormal_latency", "BOOLEAN", "the service's own flag of a late detection"),
            BACKFILL,
            EXTRA,
        ),
    ),
    "open_interest": (
        "One open-interest observation.",
        (
            Column(
                "open_interest",
                "DOUBLE",
                "open interest of one side; open_interest_unit says in what",
            ),
            Column("open_interest_unit", "VARCHAR", "base, contracts or usd; NULL if unknown"),
            Column("open_interest_usd", "DOUBLE", "open interest in US dollars"),
            Column("change_pct", "DOUBLE", "change in per cent, over the feed's own period"),
            BACKFILL,
            EXTRA,
        ),
    ),
    "flows": (
        "One exchange deposit or withdrawal flow seen on chain.",
        (
            Column("asset", "VARCHAR", "the coin"),
            Column("direction", "VARCHAR", "inflow (deposit) or outflow (withdrawal)"),
            Column("amount", "DOUBLE", "amount in coins"),
            Column("amount_usd", "DOUBLE", "amount in US dollars"),
            Column("wallet", "VARCHAR", "the wallet on the other side"),
            Column("tx", "VARCHAR", "transaction hash"),
            BACKFILL,
            EXTRA,
        ),
    ),
    "signals": (
        "One signal or confirmation-score update.",
        (
            Column("signal_type", "VARCHAR", "the service's name of the signal"),
            Column("direction", "VARCHAR", "bullish/bearish or long/short, as sent"),
            Column("score", "DOUBLE", "score or confidence as sent"),
            BACKFILL,
            EXTRA,
        ),
    ),
    "alerts": (
        "One alert of the service.",
        (
            Column("alert_type", "VARCHAR", "the service's name of the alert"),
            Column("severity", "VARCHAR", "severity as sent"),
            Column("title", "VARCHAR", "short text"),
            Column("message", "VARCHAR", "long text"),
            BACKFILL,
            EXTRA,
        ),
    ),
    "system_status": (
        "One status message of the service.",
        (
            Column("component", "VARCHAR", "what it is about"),
            Column("status", "VARCHAR", "the state as sent"),
            Column("message", "VARCHAR", "text"),
            BACKFILL,
            EXTRA,
        ),
    ),
    "prices": (
        "One price observation. Every trade is one: kind last, with its quantity; the last price "
        "that a ticker states has none.",
        (
            Column("kind", "VARCHAR", "mark, index, last or mid"),
            Column("price", "DOUBLE", "price in quote currency"),
            Column("quantity", "DOUBLE", "a trade's size; quantity_unit says in what"),
            Column(
                "quantity_unit", "VARCHAR", "base; contracts or usd where it is not known in base"
            ),
            Column(
                "notional_usd",
                "DOUBLE",
                "a trade's value in US dollars; NULL where it is unknown",
            ),
            Column("side", "VARCHAR", "what the taker of a trade did: buy or sell"),
            Column("trade_id", "VARCHAR", "the venue's id of a trade"),
            Column(
                "off_book",
                "BOOLEAN",
                "true for a trade that was not matched in the book (a block trade, the insurance "
                "fund): no price of the market; NULL if unknown, or not a trade",
            ),
            BACKFILL,
        ),
    ),
    "instruments": (
        "What the venue's public list says of an instrument, from recv_ns on; a row per change.",
        (
            Column("base", "VARCHAR", "the coin, without the multiplier of its name: BTC, PEPE"),
            Column("quote", "VARCHAR", "the currency of its prices, as the venue spells it"),
            Column("settle", "VARCHAR", "the currency that it is settled in"),
            Column("kind", "VARCHAR", "perpetual, future, spot, margin or option"),
            Column("contract_type", "VARCHAR", "linear, inverse or quanto; NULL for spot"),
            Column(
                "contract_size",
                "DOUBLE",
                "one contract (or one unit of a frame's size) is this much of contract_unit",
            ),
            Column("contract_unit", "VARCHAR", "base or usd; NULL if unknown, or a third coin"),
            Column(
                "multiplier", "DOUBLE", "coins that one unit of base stands for: 1000 for 1000PEPE"
            ),
            Column("tick_size", "DOUBLE", "the least step of a price"),
            Column("lot_size", "DOUBLE", "the least step of a size, in the venue's unit"),
            Column("funding_interval_hours", "DOUBLE", "hours between two fundings"),
            Column("state", "VARCHAR", "the venue's word for its state"),
            Column("dex", "VARCHAR", "the builder's exchange within the venue"),
        ),
    ),
    "latency": (
        "One data frame that carries a time. Negative values are kept: clocks differ.",
        (
            Column("publish_ns", "BIGINT", "published at the source, ns since epoch UTC"),
            Column("detected_ns", "BIGINT", "detected by the service, ns since epoch UTC"),
            Column("dispatch_ns", "BIGINT", "sent by the service, ns since epoch UTC"),
            Column(
                "total_ns",
                "BIGINT",
                "recv_ns - publish_ns, or recv_ns - event_ns where the feed has no publish time",
            ),
            Column("network_ns", "BIGINT", "recv_ns - dispatch_ns"),
            Column("line", "VARCHAR", "the line (A, B) that carried the frame"),
            Column(
                "backfill",
                "BOOLEAN",
                "true for a past event re-sent after a subscription: no latency",
            ),
            Column(
                "clock_error_ns",
                "BIGINT",
                "the kernel's estimate of our clock's error, last measured on the connection "
                "before the frame; NULL if none was",
            ),
        ),
    ),
    "connections": (
        "One connection, or one failed attempt (opened_ns is NULL).",
        (
            LINE_GROUP,
            Column("line", "VARCHAR", "the line (A, B) of the feed"),
            Column("url", "VARCHAR", "endpoint, secrets and query values removed"),
            Column(
                "opened_ns",
                "BIGINT",
                "handshake done, ns since epoch UTC; NULL for a failed attempt",
            ),
            Column(
                "closed_ns",
                "BIGINT",
                "closed, ns since epoch UTC; NULL while open, or if the process died",
            ),
            Column(
                "code", "INTEGER", "WebSocket close code, or the HTTP status of a refused handshake"
            ),
            Column("reason", "VARCHAR", "why it closed"),
            Column("frames", "BIGINT", "data frames received"),
            Column("bytes", "BIGINT", "payload bytes received"),
            Column("last_seq", "BIGINT", "number of its last frame recorded, markers included"),
            Column("rtt", "DOUBLE", "round-trip time in seconds, last measured"),
            Column(
                "first_frame_ns",
                "BIGINT",
                "first frame after the handshake, a pong included, ns since epoch UTC; NULL if "
                "none came",
            ),
            Column("last_heard_ns", "BIGINT", "last proof of life recorded, ns since epoch UTC"),
            Column(
                "clock_error_ns",
                "BIGINT",
                "the kernel's estimate of our clock's error, last measured; NULL if unknown",
            ),
            Column(
                "stamped",
                "VARCHAR",
                "pattern of what the service stamps on each connection's copy of a frame: copies "
                "are equal without it; NULL if it stamps nothing",
            ),
        ),
    ),
    "gaps": (
        "An interval without cover on one line: frames may be missing.",
        (
            LINE_GROUP,
            Column("line", "VARCHAR", "the line (A, B) of the feed"),
            Column("from_ns", "BIGINT", "last proof of life before the gap, ns since epoch UTC"),
            Column(
                "to_ns",
                "BIGINT",
                "first frame after it, or the handshake where that frame took more than 5 s; "
                "NULL while the gap lasts",
            ),
            Column(
                "cause",
                "VARCHAR",
                "why, e.g. closed 1006, refused 503, silence, process ended, journal damage",
            ),
            Column(
                "frames_missing",
                "BIGINT",
                "how many frames are known to be missing; NULL if unknown",
            ),
            Column(
                "covered", "BOOLEAN", "true if another line of the feed covered the whole interval"
            ),
        ),
    ),
    "rejects": (
        "A frame, or an item of one, that could not be normalised; raw keeps it whole.",
        (
            Column("reason", "VARCHAR", "what was wrong, in words"),
            Column("payload", "BLOB", "the exact bytes"),
        ),
    ),
}


def _columns(own: tuple[Column, ...]) -> tuple[Column, ...]:
    """Return the common columns and a table's own; `line_group` replaces `channel`."""
    left_out = "channel" if LINE_GROUP in own else None
    return tuple(column for column in COMMON if column.name != left_out) + own


#: Raised whenever a table changes; an older database is rebuilt from raw.
SCHEMA_VERSION = 10

TABLES: dict[str, Table] = {
    name: Table(name, comment, _columns(own)) for name, (comment, own) in _OWN.items()
}

#: The tables whose rows are market events: one timeline.
EVENT_TABLES = (
    "whales",
    "funding",
    "liquidations",
    "listings",
    "open_interest",
    "flows",
    "signals",
    "alerts",
    "system_status",
)

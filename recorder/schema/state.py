"""The tables of `recorder.duckdb` that say what it was made of, and how whole that is.

They have no row per frame. Their columns belong to the version of the tables (`tables.py`).
"""

from __future__ import annotations

from recorder.schema.table import Column, Table

#: The ingested segments: the state of ingest, and the proof of what was recorded.
LEDGER = Table(
    "ledger",
    "The ingested segments: one row each, committed together with its rows.",
    (
        Column("feed", "VARCHAR NOT NULL", "the feed's name"),
        Column(
            "segment",
            "VARCHAR PRIMARY KEY",
            "the segment's stem: journal and Parquet file share it",
        ),
        Column("day", "DATE NOT NULL", "UTC day of its frames"),
        Column("rows", "BIGINT NOT NULL", "frames ingested, markers included"),
        Column(
            "journal_offset",
            "BIGINT NOT NULL",
            "bytes of the journal read so far, while it is not sealed",
        ),
        Column("sealed", "BOOLEAN NOT NULL", "true once the whole Parquet file is ingested"),
        Column("first_recv_ns", "BIGINT", "first receive timestamp"),
        Column("last_recv_ns", "BIGINT", "last receive timestamp"),
        Column("normaliser", "VARCHAR", "fingerprint of the SQL that made the rows"),
    ),
)

#: The segments deleted on purpose; the ledger keeps its rows, so that nothing is ingested again.
PRUNED = Table(
    "pruned",
    "Segments whose raw file was removed on purpose (recorder prune); the ledger keeps them.",
    (
        Column("feed", "VARCHAR NOT NULL", "the feed's name"),
        Column("segment", "VARCHAR PRIMARY KEY", "the segment's stem, as in the ledger"),
        Column("rows", "BIGINT NOT NULL", "frames that it held, markers included"),
        Column("bytes", "BIGINT NOT NULL", "size of its file"),
        Column("pruned_ns", "BIGINT NOT NULL", "when it was removed, ns since epoch UTC"),
        Column("last_seqs", "JSON", "last frame number in it of each of its connections"),
    ),
)

#: The days of each feed and channel, judged: made of the other tables and of heads.
CONDITIONS = Table(
    "conditions",
    "The condition of a feed's UTC day, and of each of its channels; a row without a channel is of "
    "the feed as a whole. Judged when the tables are published; the day that lasts, up to then.",
    (
        Column("feed", "VARCHAR NOT NULL", "the feed's name"),
        Column("channel", "VARCHAR", "the service's own stream name; NULL: the feed as a whole"),
        Column("day", "DATE NOT NULL", "the UTC day"),
        Column(
            "condition",
            "VARCHAR NOT NULL",
            "complete: every moment had a connection, every file a proof; degraded: frames may be "
            "missing, see causes; unverified: nothing contradicts it, not all can be proven; "
            "missing: no data frame",
        ),
        Column(
            "bare_seconds",
            "DOUBLE NOT NULL",
            "seconds in which frames may be missing: no line was connected, frames were lost, or a "
            "channel with a known cadence was silent",
        ),
        Column(
            "causes",
            "JSON NOT NULL",
            "why, a list of {cause, seconds}, the longest first; seconds is 0 for what has no "
            "length; causes may overlap",
        ),
        Column(
            "frames",
            "BIGINT",
            "frames recorded that day, markers included; NULL for a channel: a frame may carry "
            "several",
        ),
        Column(
            "frames_missing",
            "BIGINT NOT NULL",
            "frames that are known to be missing, by their numbers, in gaps that end that day",
        ),
        Column("events", "BIGINT NOT NULL", "rows of the tables of events and of prices"),
        Column("first_ns", "BIGINT", "first receive timestamp, ns since epoch UTC; NULL: none"),
        Column("last_ns", "BIGINT", "last receive timestamp, ns since epoch UTC; NULL: none"),
        Column(
            "line_groups",
            "VARCHAR[] NOT NULL",
            "the groups of channels (line_group) that it was judged by",
        ),
        Column(
            "clock_error_ns",
            "BIGINT",
            "the largest error of our clock that the kernel estimated; NULL if it never said",
        ),
        Column(
            "judged_ns",
            "BIGINT NOT NULL",
            "up to when it was judged: the day's end, or the time of publishing, ns since epoch",
        ),
    ),
)

#: The versions of the tables and of the recorder.
ABOUT = Table(
    "about",
    "The versions of these tables, and of the recorder that made them. "
    "DuckDB 1.4 or newer reads the tables and the view raw; the macros need 1.4.2 or newer.",
    (
        Column(
            "name",
            "VARCHAR PRIMARY KEY",
            "schema: version of the tables; recorder: version; definitions, macros: their digests",
        ),
        Column("value", "VARCHAR NOT NULL", "the value"),
    ),
)

"""The public Python API: `recorder` re-exports what is here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from os import PathLike
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # `import recorder` loads no database
    import duckdb
    import pyarrow as pa

    from recorder.lake.source import TableSource
    from recorder.player.iterate import Replay
    from recorder.stream.event import Event
    from recorder.stream.live import Follower, Pace

__all__ = ["connect", "events", "follow", "query", "replay"]

#: The types of a canned query's parameter; None is NULL.
Value = str | int | float | bool | datetime | timedelta | None


def connect(
    data_dir: str | PathLike[str] = "data",
    *,
    tables_url: str | None = None,
    raw_url: str | None = None,
) -> duckdb.DuckDBPyConnection:
    """Return a read-only connection to the published database: tables, macros, the view `raw`.

    With `tables_url` the tables are those of a lake (`s3://bucket/prefix`, or a path), and `raw`
    shows the sealed files below `raw_url`. Without it `raw` shows those here and those in the
    bucket at `raw_url`; None means the bucket of the settings, if they are for this data directory.

    The connection reads one state of the record; connect again to see later rows. Times are in
    UTC. Any number of processes may connect while frames are recorded and ingested.

    Raises:
        recorder.errors.DataError: there is no database or lake, or it cannot be read.
        recorder.errors.BusyError: another process is writing it.
        recorder.errors.CredentialsError: the lake's store refuses.
        recorder.errors.RecorderError: the lake's store cannot be reached.
    """
    return _source(data_dir, tables_url, raw_url).connect()


def query(
    name: str,
    /,
    *,
    data_dir: str | PathLike[str] = "data",
    tables_url: str | None = None,
    raw_url: str | None = None,
    query_dir: str | PathLike[str] | None = None,
    **parameters: Value,
) -> pa.Table:
    """Run a canned query, like `recorder query NAME -p …`; return an Arrow table.

    Parameters may be Python values or the texts that the command line takes (`"2h ago"`); a
    datetime without a zone is UTC. `query_dir` adds a directory of your queries. `tables_url` and
    `raw_url` query a lake, as for `connect`.

    Raises:
        recorder.errors.UsageError: an unknown name (the hint has the nearest), or a wrong value.
        recorder.errors.DataError: there is no database, or it cannot be read.
    """
    from pathlib import Path

    from recorder.answers import canned
    from recorder.errors import UsageError, did_you_mean

    queries = canned.load() | (canned.load(Path(query_dir)) if query_dir is not None else {})
    if name not in queries:
        raise UsageError(f"no query '{name}'", hint=did_you_mean(name, queries))
    for parameter in parameters:  # report a wrong name before a missing database
        queries[name].parameter(parameter)
    # A user's query may call any macro: connect with all tables.
    read = None if query_dir else queries[name]
    with _source(data_dir, tables_url, raw_url).connect(read) as connection:
        return canned.run(connection, queries[name], _texts(parameters))


def events(  # noqa: PLR0913 - all but the first by name
    tables: Sequence[str] | None = None,
    *,
    data_dir: str | PathLike[str] = "data",
    since: int | str | datetime | None = None,
    until: int | str | datetime | None = None,
    feeds: Sequence[str] | None = None,
    symbols: Sequence[str] | None = None,
) -> Iterator[Event]:
    """Iterate over the tables' rows as typed objects (`recorder.stream.event`), in receive order.

    The order is recv_ns, connection, seq, item. `tables` None means the tables of events and
    `prices`. `since` is included, `until` is not; both are receive times: an epoch (ns, or another
    unit by its digits), a datetime (UTC without a zone), or a text such as "2h ago", "yesterday" or
    "2026-01-31T12:00Z" (see `recorder.times`). Memory does not grow with the record.

    Raises:
        recorder.errors.UsageError: an unknown table or feed, an empty range; when called.
        recorder.errors.DataError: no database, or tables of another version; when called.
    """
    from pathlib import Path

    from recorder.answers.database import connect as opened
    from recorder.record.layout import Layout
    from recorder.stream import event
    from recorder.stream.span import check_feeds, check_version, span

    chosen, wanted = event.checked(tables), event.wanted(span(since, until), feeds, symbols)
    database = Layout(Path(data_dir)).database
    connection = opened(database)
    check_version(connection, str(database))
    check_feeds(connection, feeds or ())
    return event.read(connection, chosen, wanted)


def follow(  # noqa: PLR0913 - all but the first by name
    tables: Sequence[str] | None = None,
    *,
    data_dir: str | PathLike[str] = "data",
    since: int | str | datetime | None = None,
    feeds: Sequence[str] | None = None,
    symbols: Sequence[str] | None = None,
    pace: Pace | None = None,
) -> Follower:
    """Return an iterator over events as they are recorded; `stop()` it from a thread or signal.

    It yields the same objects in the same order as `events` does later. New frames are normalised
    in memory as soon as they are on disk; capture and ingest are not disturbed. `since` None begins
    now. `as_of` of the iterator reads tables as of the newest event.

    Raises:
        recorder.errors.UsageError: an unknown table or feed.
        recorder.errors.DataError: tables of another version.
    """
    from pathlib import Path

    from recorder.record.layout import Layout
    from recorder.settings.config import load
    from recorder.stream import event, live
    from recorder.stream.span import span
    from recorder.tables.rules import RulesOf

    layout = Layout(Path(data_dir))
    wanted = event.wanted(span("now" if since is None else since), feeds, symbols)
    rules, chosen = RulesOf(layout, load(None)), event.checked(tables)
    return live.Follower.open(layout, rules, chosen, wanted, pace=pace)


def replay(  # noqa: PLR0913 - all but the first two by name
    feeds: Sequence[str] | str | None = None,
    channels: Sequence[str] | str | None = None,
    *,
    start: int | str | datetime | None = None,
    end: int | str | datetime | None = None,
    speed: str | float = "max",
    data_dir: str | PathLike[str] = "data",
    raw_url: str | None = None,
) -> Replay:
    """Replay the raw frames, by `for frame in …` or `async for frame in …`, as one merged stream.

    Each is a named tuple `(recv_ns, mono_ns, seq, connection, kind, payload, feed)`, in the order
    of `(recv_ns, connection, seq)` over all feeds and files; markers and gaps are in their
    place. Replay reads sealed files, and open journals up to their end at that moment.

    Without `feeds` it replays all; `channels` keeps the frames of these (and all markers). `start`
    is included, `end` is not; both are as for `events`. `speed` 1.0 is as recorded, `"max"` does
    not wait. Files that are only in the bucket at `raw_url` are fetched one by one; None means as
    for `connect`.

    Raises:
        recorder.errors.UsageError: an unknown feed, a wrong time or speed.
        recorder.errors.DataError: while iterating: no frame in this range (the message has the
            range of the record), a damaged file, or one of a newer version.
        recorder.errors.StoreError: the bucket cannot be read.
        recorder.errors.CredentialsError: its store refuses our key.
    """
    from pathlib import Path

    from recorder.bucket.remote import layout_of
    from recorder.player.iterate import replay as replayed
    from recorder.stream.span import span

    def listed(names: Sequence[str] | str | None) -> Sequence[str] | None:
        return [names] if isinstance(names, str) else names

    layout = layout_of(Path(data_dir), _bucket(data_dir, raw_url))
    return replayed(layout, listed(feeds), listed(channels), span(start, end), speed)


def _source(
    data_dir: str | PathLike[str], tables_url: str | None, raw_url: str | None
) -> TableSource:
    from pathlib import Path

    from recorder.lake.source import TableSource
    from recorder.record.layout import Layout

    if tables_url is None:
        raw_url = _bucket(data_dir, raw_url)
    return TableSource(Layout(Path(data_dir)), tables_url, raw_url)


def _bucket(data_dir: str | PathLike[str], raw_url: str | None) -> str | None:
    """Return the bucket to read beside a data directory: `raw_url`, or that of its settings."""
    import os
    from pathlib import Path

    configured = "RECORDER_RAW_URL" in os.environ or Path("recorder.toml").is_file()
    if raw_url is not None or not configured:
        return raw_url
    from recorder.settings.config import load

    settings = load(None)
    same = settings.data_dir.resolve() == Path(data_dir).resolve()
    return settings.raw_url if same else None


def _texts(parameters: Mapping[str, Value]) -> dict[str, str | None]:
    return {name: _text(value) for name, value in parameters.items()}


def _text(value: Value) -> str | None:
    match value:
        case None | str():
            return value
        case datetime():
            return value.isoformat()
        case timedelta():
            return f"{value // timedelta(microseconds=1)} microseconds"
        case _:
            return str(value)

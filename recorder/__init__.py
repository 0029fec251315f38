"""An event recorder and time-series store for crypto WebSocket feeds.

import recorder

recorder.query("latency_percentiles", since="1d ago")   # a canned question: an Arrow table
recorder.connect().sql("FROM liquidations LIMIT 10")    # tables, macros and raw, in DuckDB
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from os import PathLike
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # `import recorder` loads no database
    import duckdb
    import pyarrow as pa

__all__ = ["__version__", "connect", "query"]
__version__ = "0.1.0"

#: What a canned question's parameter may be given as; None is NULL.
Value = str | int | float | bool | datetime | timedelta | None


def connect(data_dir: str | PathLike[str] = "data") -> duckdb.DuckDBPyConnection:
    """A read-only connection to the published database: tables, canned macros, the view `raw`.

    What it reads is one state of the record; connect again to see what came later. Times are in
    UTC. As many processes as you like may do this, while frames are recorded and ingested.

    Raises:
        recorder.errors.DataError: there is no database, or it cannot be read.
        recorder.errors.BusyError: another process is writing it.
    """
    from pathlib import Path

    from recorder.database import connect as opened
    from recorder.segment import Layout

    return opened(Layout(Path(data_dir)).database)


def query(
    name: str,
    /,
    *,
    data_dir: str | PathLike[str] = "data",
    query_dir: str | PathLike[str] | None = None,
    **parameters: Value,
) -> pa.Table:
    """A canned question's answer, as `recorder query NAME -p …` gives it, as an Arrow table.

    Parameters may be Python values or the texts that the command line takes (`"2h ago"`); a
    datetime without a zone is UTC. `query_dir` adds a directory of queries of one's own.

    Raises:
        recorder.errors.UsageError: an unknown name (the nearest is told), or a wrong value.
        recorder.errors.DataError: there is no database, or it cannot be read.
    """
    from pathlib import Path

    from recorder import canned
    from recorder.errors import UsageError, did_you_mean

    queries = canned.load() | (canned.load(Path(query_dir)) if query_dir is not None else {})
    if name not in queries:
        raise UsageError(f"no query '{name}'", hint=did_you_mean(name, queries))
    for parameter in parameters:  # a wrong name needs no database to be found
        queries[name].parameter(parameter)
    with connect(data_dir) as connection:
        return canned.run(connection, queries[name], _texts(parameters))


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

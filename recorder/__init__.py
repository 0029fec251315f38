"""An event recorder and time-series store for crypto WebSocket feeds.

import recorder

recorder.query("latency_percentiles", since="1d ago")   # a canned query: an Arrow table
recorder.connect().sql("FROM liquidations LIMIT 10")    # tables, macros and raw, in DuckDB
for frame in recorder.replay(start="1h ago"): ...       # the raw frames again, in order
recorder.events(tables=["liquidations", "prices"])      # typed objects in receive order
recorder.follow(tables=["liquidations", "prices"])      # the same as they are recorded
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from recorder.version import __version__

if TYPE_CHECKING:
    from recorder.api import connect, events, follow, query, replay

__all__ = ["__version__", "connect", "events", "follow", "query", "replay"]


def __getattr__(name: str) -> Any:
    """Load the API when it is first used: `import recorder` loads no database."""
    if name not in __all__:
        raise AttributeError(f"module 'recorder' has no attribute '{name}'")
    from recorder import api

    return getattr(api, name)


def __dir__() -> list[str]:
    return __all__

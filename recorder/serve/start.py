"""Builds the application for one data directory."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from recorder import log
from recorder.answers import database
from recorder.record.layout import Layout
from recorder.reporter import Reporter
from recorder.serve import poller
from recorder.serve.app import Parts, create
from recorder.serve.ask import QueryPool
from recorder.serve.guard import Access, names_of
from recorder.serve.hub import FOLLOWED, Hub
from recorder.serve.live_event import TABLES
from recorder.stream import event
from recorder.stream.live import Follower, Pace
from recorder.stream.span import Span
from recorder.tables.rules import RulesOf

if TYPE_CHECKING:
    from starlette.applications import Starlette

    from recorder.settings.config import Settings
    from recorder.stream.event import Event

#: The period kept in memory to recognise events that a service sends again.
_HISTORY = timedelta(minutes=5)
_NEWEST = 200
#: The default share of a core for following the record.
SHARE = 0.17


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """The host to listen on, the token, more names of the server, and the share of a core."""

    host: str
    token: str | None = None
    names: Sequence[str] = ()
    share: float = SHARE


def app(settings: Settings, options: ServeOptions) -> Starlette:
    """Return the application."""
    layout = Layout(settings.data_dir)
    watch = poller.watcher(layout, settings)
    hub = Hub(
        follow=lambda: _follower(layout, settings, options.share),
        poller=poller.StatusPoller(layout, watch),
        past=lambda: past(layout),
        reporter=Reporter(log.logger().warning),
    )
    pool = QueryPool(str(settings.data_dir))
    access = Access(options.token, names_of(options.host, options.names))
    return create(Parts(layout, hub, pool, access, hub.metrics))


def _follower(layout: Layout, settings: Settings, share: float) -> Follower:
    pace = Pace(poll=0.005, hold=0.0, history=_HISTORY, share=share)
    wanted = event.Filter(Span(time.time_ns()))
    rules, reporter = RulesOf(layout, settings), Reporter(log.logger().warning)
    return Follower.open(layout, rules, FOLLOWED, wanted, pace=pace, reporter=reporter)


def past(layout: Layout) -> list[Event]:
    """Return the newest events of each published table, all together oldest first."""
    events: list[Event] = []
    if not layout.database.exists():
        return events
    with database.connect(layout.database) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        published = {row[0] for row in connection.execute("SHOW TABLES").fetchall()}
        for table in published.intersection(TABLES):
            columns = ", ".join(event.columns(table))
            # All names are the schema's.
            sql = f"SELECT {columns} FROM {table} {event.sorting(newest=True)} LIMIT {_NEWEST}"  # noqa: S608
            events += [event.CLASSES[table](*row) for row in connection.execute(sql).fetchall()]
    return sorted(events, key=event.place)

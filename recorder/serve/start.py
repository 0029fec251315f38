"""Puts the parts together for one data directory."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from recorder import log
from recorder.answers import database
from recorder.record.layout import Layout
from recorder.serve import poller
from recorder.serve.app import Parts, create
from recorder.serve.ask import Asking
from recorder.serve.guard import Door, names_of
from recorder.serve.hub import FOLLOWED, Hub
from recorder.serve.shown import TABLES
from recorder.stream import event
from recorder.stream.live import Follower, Pace
from recorder.stream.span import Span
from recorder.tables.rules import RulesOf

if TYPE_CHECKING:
    from starlette.applications import Starlette

    from recorder.settings.config import Settings
    from recorder.stream.event import Event

#: What is kept in memory of the past, to tell an event that is sent again from a new one.
_HISTORY = timedelta(minutes=5)
_NEWEST = 200
#: Of a core, for looking at the record, unless told otherwise.
SHARE = 0.17


@dataclass(frozen=True, slots=True)
class Options:
    """Where it listens, the token, further names of this server, what looking may cost."""

    host: str
    token: str | None = None
    names: Sequence[str] = ()
    share: float = SHARE  # of a core


def app(settings: Settings, options: Options) -> Starlette:
    """The whole application."""
    layout = Layout(settings.data_dir)
    watch = poller.watcher(layout, settings)
    hub = Hub(
        follow=lambda: _follower(layout, settings, options.share),
        lookout=poller.Lookout(layout, watch),
        past=lambda: past(layout),
        say=log.logger().warning,
    )
    asking = Asking(str(settings.data_dir))
    door = Door(options.token, names_of(options.host, options.names))
    return create(Parts(layout, hub, asking, door, hub.metrics))


def _follower(layout: Layout, settings: Settings, share: float) -> Follower:
    pace = Pace(poll=0.005, hold=0.0, history=_HISTORY, share=share)
    wanted = event.Filter(Span(time.time_ns()))
    rules, say = RulesOf(layout, settings), log.logger().warning
    return Follower.open(layout, rules, FOLLOWED, wanted, pace=pace, warn=say)


def past(layout: Layout) -> list[Event]:
    """The newest events of each table that were published, oldest first."""
    found: list[Event] = []
    if not layout.database.exists():
        return found
    with database.connect(layout.database) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        there = {row[0] for row in connection.execute("SHOW TABLES").fetchall()}
        for table in there.intersection(TABLES):
            listed = ", ".join(event.columns(table))
            # The names are the schema's.
            sql = f"SELECT {listed} FROM {table} {event.sorting(newest=True)} LIMIT {_NEWEST}"  # noqa: S608
            found += [event.CLASSES[table](*row) for row in connection.execute(sql).fetchall()]
    return sorted(found, key=event.place)

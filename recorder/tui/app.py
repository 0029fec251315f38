"""The app `recorder top`: connections, rates, gaps, events and problems, updated every second."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable
from contextlib import suppress
from math import ceil
from typing import Any, ClassVar

from rich.text import Text
from textual import work
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.css.query import NoMatches
from textual.message import Message
from textual.widgets import DataTable, Footer, RichLog, Static, TabbedContent, TabPane
from textual.worker import get_current_worker

from recorder.answers.cells import visible
from recorder.errors import RecorderError
from recorder.status import view
from recorder.status.model import OPEN, FeedStatus, Status
from recorder.tui.source import Event, TopSource

_BARS = " ▁▂▃▄▅▆▇█"
_BAR_COUNT = 20
_MOST_EVENTS = 1_000

#: The columns that an event's line shows, apart from those that every event has.
_SHOWN = (
    "kind", "severity", "alert_type", "signal_type", "component", "status", "position_side",
    "action", "direction", "side", "asset", "ticker", "listing_type", "price", "quantity", "amount",
    "notional_usd", "amount_usd", "rate", "score", "open_interest", "title", "message",
)  # fmt: skip


class WorkerResult(Message):
    """A thread's result and the method that shows it. Posting a message never blocks a thread."""

    def __init__(self, show: Callable[[Any], None], result: object) -> None:
        super().__init__()
        self.show, self.result = show, result


class Top(App[None]):
    """Shows a source. It is read in threads, so the keys always work."""

    TITLE = "recorder top"
    ENABLE_COMMAND_PALETTE = False
    CSS = """
    #title { height: 1; padding: 0 1; text-style: bold; }
    #machine { height: 1; padding: 0 1; color: $text-muted; }
    #feeds { height: auto; max-height: 8; }
    TabbedContent { height: 1fr; }
    TabPane { padding: 0; }
    DataTable { background: $background; }
    #problems { padding: 0 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("e", "show('events-tab')", "events"),
        Binding("c", "show('lines-tab')", "connections"),
        Binding("p", "show('problems-tab')", "problems"),
        Binding("space", "pause", "pause"),
        Binding("d", "toggle_dark", "dark/light"),
        Binding("q", "quit", "quit"),
    ]

    def __init__(self, source: TopSource, every: float = 1.0) -> None:
        super().__init__()
        self.source, self._every = source, every
        self.status: Status | None = None
        self.paused = False
        self.held = 0
        """The number of events that arrived while paused."""
        self._waiting: deque[Event] = deque(maxlen=_MOST_EVENTS)
        self._rates: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=_BAR_COUNT))

    def compose(self) -> ComposeResult:
        """Yield the title, machine and feeds, and three tabs."""
        yield Static("loading ...", id="title", markup=False)
        yield Static("", id="machine", markup=False)
        yield DataTable(id="feeds", cursor_type="none", zebra_stripes=True)
        with TabbedContent(initial="events-tab"):
            with TabPane("Events", id="events-tab"):
                yield RichLog(id="events", max_lines=_MOST_EVENTS, wrap=False, markup=False)
            with TabPane("Connections", id="lines-tab"):
                yield DataTable(id="lines", cursor_type="row", zebra_stripes=True)
            with TabPane("Problems", id="problems-tab"), VerticalScroll():
                yield Static("", id="problems", markup=False)
        yield Footer()

    def on_mount(self) -> None:
        """Add the tables' columns and start the two threads."""
        self.query_one("#feeds", DataTable).add_columns(
            "feed", "state", "frames/s", "last 20 s", "last", "gaps", "bare s"
        )
        self.query_one("#lines", DataTable).add_columns(
            "feed", "group", "line", "state", "frames/s", "heard", "rtt ms", "lag ms", "clock ms",
            "uptime", "why",
        )  # fmt: skip
        self._poll_status()
        self._read_events()

    # -- keys

    def action_show(self, tab: str) -> None:
        """Show a tab."""
        self.query_one(TabbedContent).active = tab

    def action_pause(self) -> None:
        """Pause the events, or continue with those that arrived meanwhile."""
        self.paused = not self.paused
        if not self.paused:
            waiting, self.held = list(self._waiting), 0
            self._waiting.clear()
            self._write(waiting)
        self._show_title()

    def action_toggle_dark(self) -> None:
        """Switch between the dark and the light theme."""
        self.theme = "textual-light" if self.current_theme.dark else "textual-dark"

    # -- threads

    @work(thread=True, exclusive=True, group="status")
    def _poll_status(self) -> None:
        import threading

        worker, pause = get_current_worker(), threading.Event()
        while not worker.is_cancelled:
            try:
                status = self.source.status()
            except (RecorderError, OSError) as error:
                self.post_message(WorkerResult(self.show_error, error))
            else:
                self.post_message(WorkerResult(self.show, status))
            pause.wait(self._every)

    @work(thread=True, exclusive=True, group="events")
    def _read_events(self) -> None:
        worker = get_current_worker()
        try:
            for events in self.source.events(lambda: worker.is_cancelled):
                if events and not worker.is_cancelled:
                    self.post_message(WorkerResult(self.add, events))
        except RecorderError as error:
            self.post_message(WorkerResult(self.show_error, error))

    # -- showing

    def on_worker_result(self, message: WorkerResult) -> None:
        """Show a thread's result."""
        with suppress(NoMatches):  # while the app ends, its widgets are removed first
            message.show(message.result)

    def show_error(self, error: Exception) -> None:
        """Show in the title why there are no new data."""
        self.query_one("#title", Static).update(Text(visible(f"{error}".splitlines()[0]), "red"))

    def show(self, status: Status) -> None:
        """Show a status."""
        self.status = status
        for feed in status.feeds:
            self._rates[feed.name].append(feed.frames_per_second)
        self._show_title()
        facts = [f"{name}: {text}" for name, text in view.machine_lines(status)]
        self.query_one("#machine", Static).update(visible("   ".join(facts)))
        self._fill("#feeds", [self._feed(status, feed) for feed in status.feeds])
        lines = [view.connection(status, one) for f in status.feeds for one in f.connections]
        self._fill("#lines", [[_cell(cells, i) for i in range(len(cells))] for cells in lines])
        self._show_problems(status)

    def add(self, events: list[Event]) -> None:
        """Show events; while paused, keep them for later."""
        if self.paused:
            self._waiting.extend(events)
            self.held += len(events)
            self._show_title()
        else:
            self._write(events)

    def _write(self, events: list[Event]) -> None:
        log = self.query_one("#events", RichLog)
        for event in events[-_MOST_EVENTS:]:
            log.write(Text(line_of(event), no_wrap=True))

    def _show_title(self) -> None:
        if self.status is None:
            return
        paused = f"   PAUSED, {self.held:,} waiting" if self.paused else ""
        style = "green" if self.status.healthy else "bold red"
        text = Text(view.title(self.status) + paused, style)
        self.query_one("#title", Static).update(text)

    def _show_problems(self, status: Status) -> None:
        problems = self.query_one("#problems", Static)
        text = Text("" if status.problems else "no problems")
        for problem in status.problems:
            first, second = view.problem_lines(problem)
            text.append(first + "\n", view.COLOURS[problem.severity])
            text.append(second + "\n")
        problems.update(text)
        tab = self.query_one(TabbedContent).get_tab("problems-tab")
        tab.label = f"Problems ({len(status.problems)})" if status.problems else "Problems"

    def _feed(self, status: Status, feed: FeedStatus) -> list[Text]:
        cells = view.feed_cells(status, feed)
        state = Text(cells[1], "green" if feed.fresh else "bold red")
        right = [Text(cell, justify="right") for cell in (cells[2], cells[4], cells[6], cells[8])]
        bars = Text(sparkline(self._rates[feed.name]))
        return [Text(visible(cells[0])), state, right[0], bars, *right[1:]]

    def _fill(self, where: str, rows: list[list[Text]]) -> None:
        """Replace a table's rows and keep its cursor."""
        table = self.query_one(where, DataTable)
        row = table.cursor_row
        table.clear()
        for cells in rows:
            table.add_row(*cells)
        table.move_cursor(row=row)


def _cell(cells: tuple[str, ...], index: int) -> Text:
    colour = "" if index != 3 or cells[3] == OPEN else "bold red"
    return Text(visible(cells[index]), colour, justify="right" if 3 < index < 10 else "left")


def sparkline(values: deque[float]) -> str:
    """Return values as a row of bars, scaled to the highest; zero is a blank."""
    highest = max(values, default=0.0)
    if highest <= 0:
        return " " * _BAR_COUNT
    heights = (ceil(value / highest * (len(_BARS) - 1)) for value in values)
    return "".join(_BARS[height] for height in heights).rjust(_BAR_COUNT)


def line_of(event: Event) -> str:
    """Return an event as one printable line: nothing that a feed sends can control the terminal."""
    at_ms = int(event["recv_ns"]) // 1_000_000
    seconds, ms = divmod(at_ms, 1000)
    hour, rest = divmod(seconds % 86_400, 3600)
    time = f"{hour:02}:{rest // 60:02}:{rest % 60:02}.{ms:03}"
    shown = (event.get(name) for name in _SHOWN)
    words = [f"{value:,.10g}" if isinstance(value, float) else str(value)
             for value in shown if value is not None]  # fmt: skip
    head = f"{event['table']:<14} {event.get('exchange') or event.get('feed') or ''!s:<12}"
    return visible(f"{time} {head} {event.get('symbol') or ''!s:<14} {' '.join(words)}"[:400])

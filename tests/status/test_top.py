"""`recorder top` under Textual's pilot: what is shown, and that each key does what it says."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

pytest.importorskip("textual")

from kit.frames import events
from kit.journals import Writer
from textual.pilot import Pilot
from textual.widgets import DataTable, RichLog, Static, TabbedContent

from recorder.clock import Clock
from recorder.errors import CredentialsError, RecorderError, UsageError
from recorder.record.layout import Layout
from recorder.schema.tables import TABLES
from recorder.status import Status, Watcher
from recorder.stream import event
from recorder.tui.app import Top, line_of, sparkline
from recorder.tui.source import Directory, Remote


async def until(pilot: Pilot[None], true: Callable[[], bool]) -> None:
    """Wait for what has to come, however slow the machine is."""
    async with asyncio.timeout(120):
        while not true():
            await pilot.pause(0.02)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """A feed with events just recorded, and a recorder that is gone."""
    writer = Writer(tmp_path, "smartmoney", now=Clock().wall_ns())
    stream = writer.open()
    writer.put(stream, *events("smartmoney"))
    return Layout(tmp_path)


def shown(app: Top, where: str) -> str:
    return str(app.query_one(where, Static).content)


async def test_it_shows_a_directory_and_obeys_its_keys(layout: Layout) -> None:
    app = Top(Directory(layout), every=1.0)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.status is not None)
        log = app.query_one("#events", RichLog)
        await until(pilot, lambda: len(log.lines) > 0)
        assert shown(app, "#title").startswith("UNHEALTHY")
        assert app.query_one("#feeds", DataTable).get_cell_at((0, 0)).plain == "smartmoney"
        assert app.query_one("#lines", DataTable).get_cell_at((0, 3)).plain == "LOST"
        assert "capture is not running" in shown(app, "#problems")
        for key, tab in (("c", "lines-tab"), ("p", "problems-tab"), ("e", "events-tab")):
            await pilot.press(key)
            assert app.query_one(TabbedContent).active == tab
        dark = app.current_theme.dark
        await pilot.press("d")
        assert app.current_theme.dark != dark
        await pilot.press("q")
    assert app.return_code == 0


async def test_a_pause_holds_events_back_and_loses_none(layout: Layout) -> None:
    app = Top(Directory(layout), every=0.05)
    async with app.run_test() as pilot:
        log = app.query_one("#events", RichLog)
        await until(pilot, lambda: len(log.lines) > 0 and app.status is not None)
        before = len(log.lines)
        await pilot.press("space")
        app.add([{"table": "signals", "recv_ns": str(10**18), "feed": "f", "symbol": "BTC"}] * 3)
        assert len(log.lines) == before
        assert "PAUSED, 3 waiting" in shown(app, "#title")
        await pilot.press("space")
        assert len(log.lines) == before + 3
        assert "PAUSED" not in shown(app, "#title")


@pytest.mark.parametrize("table", event.DEFAULT_TABLES)
def test_every_table_s_event_says_what_it_is(table: str) -> None:
    """Its line shows at least one column that not every table has."""
    columns = {column.name for column in TABLES[table].columns}
    common = {"feed", "channel", "exchange", "symbol", "connection", "extra"}
    values = {name: f"<{name}>" for name in columns - common - {"recv_ns"}}
    line = line_of({"table": table, "recv_ns": "3723004000000", **values})
    assert "<" in line, line


def test_an_event_is_one_line_of_plain_text() -> None:
    title = "[red]\x1b[31m\n\u202ex"
    line = line_of({"table": "listings", "recv_ns": "3723004000000", "title": title})
    assert line.startswith("01:02:03.004 listings")
    assert line.isprintable() and "[red]" in line


def test_a_sparkline_is_as_high_as_its_highest() -> None:
    assert sparkline([0.0, 0.1, 50.0, 100.0]).strip() == "▁▄█"
    assert sparkline([0.0]).strip() == "" and len(sparkline([1.0])) == 20


# -- a remote one


@pytest.fixture
def remote(layout: Layout) -> Iterator[str]:
    """A server that answers as `recorder serve` does, to whoever shows the token."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            allowed = self.headers["Authorization"] == "Bearer s3cret"
            body = json.dumps(Watcher(layout).look().as_dict()).encode() if allowed else b"{}"
            self.send_response(200 if allowed else 401)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.process
def test_a_remote_status_is_the_same(remote: str, layout: Layout) -> None:
    found = Remote(remote + "/", "s3cret").status()
    assert isinstance(found, Status)
    assert found.feeds == Watcher(layout, clock=Clock(lambda: found.at_ns)).look().feeds


@pytest.mark.process
def test_the_error_says_why_a_remote_status_is_unavailable(remote: str) -> None:
    with pytest.raises(CredentialsError, match="HTTP 401"):
        Remote(remote, "wrong").status()
    with pytest.raises(RecorderError, match="no answer"):
        Remote("http://127.0.0.1:1").status()
    with pytest.raises(UsageError, match="not the URL"):
        Remote("http://user:secret@example.org")

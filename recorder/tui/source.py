"""The sources of `recorder top`: a data directory, or a `recorder serve`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit, urlunsplit

import msgspec

from recorder.errors import CredentialsError, RecorderError, UsageError
from recorder.record.layout import Layout
from recorder.status.model import Status

if TYPE_CHECKING:
    from recorder.settings.config import Settings

Event = dict[str, Any]

#: Tables with more rows than a person can read.
_HIGH_RATE = frozenset({"prices", "open_interest"})
Stopped = Callable[[], bool]


class TopSource(Protocol):
    """A source of status and events. Both methods block; each is called from its own thread."""

    name: str

    def status(self) -> Status:
        """Return the recorder's status now.

        Raises:
            RecorderError: the status is not available.
            OSError: the files cannot be read.
        """

    def events(self, stopped: Stopped) -> Iterator[list[Event]]:
        """Yield new events in batches, which may be empty, until `stopped()` is true."""


class Directory:
    """A data directory on this machine."""

    def __init__(self, layout: Layout, settings: Settings | None = None) -> None:
        from recorder.status import Watcher

        self.name, self._layout, self._settings = str(layout.root), layout, settings
        self._watcher = Watcher(layout, settings)

    def status(self) -> Status:
        """Return the status now."""
        return self._watcher.look()

    def events(self, stopped: Stopped) -> Iterator[list[Event]]:
        """Yield the events of the last minute, then new ones, read from the journals."""
        import time

        from recorder.clock import NS
        from recorder.reporter import QUIET
        from recorder.stream.event import DEFAULT_TABLES, Filter
        from recorder.stream.live import Follower
        from recorder.stream.span import Span
        from recorder.tables.rules import RulesOf

        since = Filter(span=Span(time.time_ns() - 60 * NS))
        rules = RulesOf(self._layout, self._settings)
        tables = [name for name in DEFAULT_TABLES if name not in _HIGH_RATE]
        follower = Follower.open(self._layout, rules, tables, since, reporter=QUIET)
        try:
            while not stopped():
                yield [_row(event) for event in follower.ready()]
                time.sleep(0.2)
        finally:
            follower.close()


def _row(event: Any) -> Event:
    return {"table": event.table, **msgspec.structs.asdict(event)}


class Remote:
    """A `recorder serve`, read over HTTP and WebSocket.

    Raises:
        UsageError: the URL is not one of a `recorder serve`.
    """

    def __init__(self, url: str, token: str | None = None) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username:
            hint = "for example http://127.0.0.1:8787; put the token in RECORDER_SERVE_TOKEN"
            raise UsageError("not the URL of a 'recorder serve'", hint=hint)
        self._parts = parts._replace(path=parts.path.rstrip("/"), query="", fragment="")
        self.name = urlunsplit(self._parts)
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    def _url(self, path: str, scheme: str | None = None) -> str:
        parts = self._parts._replace(path=self._parts.path + path)
        return urlunsplit(parts._replace(scheme=scheme) if scheme else parts)

    def status(self) -> Status:
        """Return the status that the server reports now.

        Raises:
            CredentialsError: the token is missing or wrong.
            RecorderError: the server does not answer, or not with a status.
        """
        import urllib3

        where = self._url("/api/status")
        try:
            answer = urllib3.request(
                "GET", where, headers=self._headers, timeout=10.0, retries=False, redirect=False
            )
        except urllib3.exceptions.HTTPError as error:
            what = f"no answer: {type(error).__name__}"
            raise RecorderError(what, where=where, hint="is 'recorder serve' running?") from None
        if answer.status in {401, 403}:
            hint = "set RECORDER_SERVE_TOKEN, or add --token-file"
            raise CredentialsError(f"refused (HTTP {answer.status})", where=where, hint=hint)
        try:
            if answer.status != 200:
                raise ValueError(f"HTTP {answer.status}")
            return msgspec.json.decode(answer.data, type=Status)
        except ValueError as error:
            raise RecorderError(f"the answer is not a status: {error}", where=where) from None

    def events(self, stopped: Stopped) -> Iterator[list[Event]]:
        """Yield the events of the live channel; reconnect after 1 s when it breaks."""
        import time

        from websockets.exceptions import WebSocketException
        from websockets.sync.client import connect

        where = self._url("/api/live", "wss" if self._parts.scheme == "https" else "ws")
        while not stopped():
            try:
                with connect(where, additional_headers=self._headers, max_size=8 << 20) as live:
                    while not stopped():
                        try:
                            message = json.loads(live.recv(timeout=0.5))
                        except TimeoutError:
                            yield []
                            continue
                        yield message.get("events") or []
            except (OSError, ValueError, WebSocketException):
                yield []
                time.sleep(1.0)

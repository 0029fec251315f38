"""A real `recorder serve`, and clients of it."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kit.commands import start
from websockets.sync.client import ClientConnection, connect

DEADLINE = 60.0


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Served:
    """A running server."""

    port: int
    pid: int

    def ask(
        self,
        path: str,
        method: str = "GET",
        body: bytes | None = None,
        source: str = "127.0.0.1",
        **headers: str,
    ) -> Reply:
        """One request from an address; header names are spelled with underscores."""
        connection = http.client.HTTPConnection(
            "127.0.0.1", self.port, timeout=DEADLINE, source_address=(source, 0)
        )
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            connection.request(method, path, body, given)
            answer = connection.getresponse()
            told = {name.lower(): value for name, value in answer.getheaders()}
            return Reply(answer.status, told, answer.read())
        finally:
            connection.close()

    def sql(self, text: str) -> Reply:
        return self.ask("/api/sql.json", "POST", json.dumps({"sql": text}).encode())

    @contextmanager
    def live(self, **how: Any) -> Iterator[Live]:
        url = f"ws://127.0.0.1:{self.port}/api/live"
        with connect(url, open_timeout=DEADLINE, max_size=None, **how) as socket:
            yield Live(socket)


class Live:
    """One client of the live connection."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    def say(self, **told: Any) -> None:
        self.socket.send(json.dumps(told))

    def until(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The first message that is wanted."""
        end = time.monotonic() + DEADLINE
        while True:
            message = json.loads(self.socket.recv(max(0.0, end - time.monotonic())))
            if wanted(message):
                return message  # type: ignore[no-any-return]

    def next(self, kind: str) -> dict[str, Any]:
        return self.until(lambda message: message["type"] == kind)

    def events(self, count: int, kind: str = "events") -> list[dict[str, Any]]:
        """The next so many events."""
        found: list[dict[str, Any]] = []
        while len(found) < count:
            found += self.next(kind)["events"]
        return found


@contextmanager
def serving(data_dir: Path, *arguments: str) -> Iterator[Served]:
    """`recorder serve` on a free port, until the block ends."""
    process = start("serve", "--data-dir", data_dir, "--port", "0", *arguments)
    assert process.stdout is not None
    try:
        url = process.stdout.readline().strip()
        if not url:
            _, said = process.communicate(timeout=DEADLINE)
            raise AssertionError(said)
        yield Served(int(url.rstrip("/").rpartition(":")[2]), process.pid)
    finally:
        process.terminate()
        process.communicate(timeout=DEADLINE)

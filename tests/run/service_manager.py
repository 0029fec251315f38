"""A service manager that listens, as systemd does."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from recorder.capture import notify


class Manager:
    """Keeps every message; `address` is what NOTIFY_SOCKET holds."""

    def __init__(self, address: Path) -> None:
        self.address, self.heard = str(address), list[dict[str, str]]()
        self._changed = threading.Condition()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.address)
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def _listen(self) -> None:
        while datagram := self._socket.recv(8192):
            with self._changed:
                self.heard.append(notify.fields(datagram))
                self._changed.notify_all()

    def hears(self, told: Callable[[dict[str, str]], object]) -> bool:
        """Wait until a message is such."""
        with self._changed:
            return self._changed.wait_for(lambda: any(map(told, self.heard)), timeout=30)

    def count(self, name: str) -> int:
        """How many messages say this."""
        return sum(name in told for told in self.heard)

    def close(self) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
            last.sendto(b"", self.address)
        self._thread.join()
        self._socket.close()


@contextlib.contextmanager
def managing() -> Iterator[Manager]:
    """A manager; its address is short, as a socket's must be."""
    with tempfile.TemporaryDirectory(prefix="n") as place:
        manager = Manager(Path(place) / "notify")
        try:
            yield manager
        finally:
            manager.close()


async def hears(manager: Manager, name: str, value: str | None = None) -> None:
    """Wait until the manager was told this."""

    def told(one: dict[str, str]) -> bool:
        return name in one and value in {None, one[name]}

    assert await asyncio.to_thread(manager.hears, told), manager.heard

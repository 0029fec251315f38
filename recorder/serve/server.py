"""The server process: uvicorn with the limits that the guard relies on."""

from __future__ import annotations

import asyncio
import errno
import signal
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from recorder.errors import UsageError
from recorder.serve import connections


@dataclass(frozen=True, slots=True)
class Bind:
    """The address to listen on."""

    host: str
    port: int

    @property
    def loopback(self) -> bool:
        """True if only this machine can connect."""
        return self.host in {"localhost", "127.0.0.1", "::1"}

    @property
    def shown(self) -> str:
        """The host as in a URL."""
        return f"[{self.host}]" if ":" in self.host else self.host


def listen(bind: Bind) -> socket.socket:
    """Return a listening socket; port 0 takes a free one.

    Raises:
        UsageError: the port is in use, or the address is not this machine's.
    """
    family = socket.AF_INET6 if ":" in bind.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((bind.host, bind.port))
        listener.listen(128)
    except (OSError, UnicodeError) as error:
        listener.close()
        raise _unbound(bind, error) from None
    listener.setblocking(False)
    return listener


def _unbound(bind: Bind, error: Exception) -> UsageError:
    where = f"{bind.shown}:{bind.port}"
    number = getattr(error, "errno", None)
    if number == errno.EADDRINUSE:
        hint = "is another recorder serve running? choose another port with --port, or 0 for any"
        return UsageError("the port is in use", where=where, hint=hint)
    if number == errno.EACCES:
        return UsageError(
            "this user may not use the port", where=where, hint="choose one above 1023"
        )
    return UsageError(f"cannot listen there: {error}", where=where, hint="e.g. --host 127.0.0.1")


class _Server(uvicorn.Server):
    """A server that calls `on_started` when it has started."""

    def __init__(self, config: uvicorn.Config, on_started: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_started = on_started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._on_started()


def run(app: ASGIApp, listener: socket.socket, on_started: Callable[[], None]) -> None:
    """Serve until SIGINT or SIGTERM; call `on_started` once the server accepts requests."""
    config: dict[str, Any] = {
        "http": connections.protocol(),
        "ws": "websockets-sansio",
        "lifespan": "on",
        "access_log": False,
        "log_config": None,
        "server_header": False,
        "proxy_headers": False,
        "timeout_keep_alive": 20,
        "timeout_graceful_shutdown": 3,
        "h11_max_incomplete_event_size": 32 << 10,
        "ws_max_size": 64 << 10,
        "ws_per_message_deflate": False,
    }
    server = _Server(uvicorn.Config(app, **config), on_started)
    for number in (signal.SIGINT, signal.SIGTERM):
        # uvicorn raises the signal again after its clean shutdown: ignore it then.
        signal.signal(number, lambda *_: None)
    asyncio.run(server.serve(sockets=[listener]))
    if not server.started:
        sys.exit(1)

"""Simulated services: real WebSocket servers that speak a feed's protocol without a key.

`SERVICES` names them. Each module holds an `Options` dataclass and `async def serve(options)`;
a module is imported only when it is asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from recorder.simulate.server import Server, Settings

__all__ = ["SERVICES", "Service"]


@dataclass(frozen=True, slots=True)
class Service:
    """One simulated service: what it stands for and the module that serves it."""

    summary: str
    module: str

    @property
    def options(self) -> type[Settings]:
        """The dataclass of options that this service understands."""
        return cast("type[Settings]", import_module(self.module).Options)

    async def serve(self, options: Settings) -> Server:
        """Start the service with an instance of its own `options`; returns once it listens."""
        return cast("Server", await import_module(self.module).serve(options))


SERVICES: dict[str, Service] = {
    "cryptolisting": Service(
        "exchange listing announcements, binary JSON frames", "recorder.simulate.cryptolisting"
    ),
    "smartmoney": Service(
        "whales, derivatives, flows and signals by channel", "recorder.simulate.smartmoney"
    ),
}

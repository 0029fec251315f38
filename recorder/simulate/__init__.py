"""Simulated services: real WebSocket servers that speak a feed's protocol without a key.

`SERVICES` names them. Each module has `OPTIONS`, its dataclass of options, and
`async def serve(options)`. A module is imported only when it is used.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from recorder.simulate.server import Server, ServerOptions

__all__ = ["SERVICES", "Simulation"]


@dataclass(frozen=True, slots=True)
class Simulation:
    """One simulated service: what it brings, and the module that serves it."""

    summary: str
    module: str

    @property
    def options(self) -> type[ServerOptions]:
        """The dataclass of options that this service understands."""
        return cast("type[ServerOptions]", import_module(self.module).OPTIONS)

    async def serve(self, options: ServerOptions) -> Server:
        """Start the service with an instance of its `options`; return once it listens."""
        return cast("Server", await import_module(self.module).serve(options))


SERVICES: dict[str, Simulation] = {
    "cryptolisting": Simulation(
        "exchange listing announcements, binary JSON frames", "recorder.simulate.cryptolisting"
    ),
    "smartmoney": Simulation(
        "whales, derivatives, flows and signals by channel", "recorder.simulate.smartmoney"
    ),
}

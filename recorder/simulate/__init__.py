"""Simulated services: WebSocket servers that speak a feed's protocol and need no real key.

`SERVICES` lists them. Each module has `OPTIONS`, its dataclass of options, and
`async def serve(options)`. It is imported on first use.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from recorder.simulate.server import Server, ServiceOptions

__all__ = ["SERVICES", "SimulatedService"]


@dataclass(frozen=True, slots=True)
class SimulatedService:
    """One simulated service: a summary of its events, and the module that serves it."""

    summary: str
    module: str

    @property
    def options(self) -> type[ServiceOptions]:
        """The service's dataclass of options."""
        return cast("type[ServiceOptions]", import_module(self.module).OPTIONS)

    async def serve(self, options: ServiceOptions) -> Server:
        """Start the service with an instance of its `options`; return the listening server."""
        return cast("Server", await import_module(self.module).serve(options))


SERVICES: dict[str, SimulatedService] = {
    "cryptolisting": SimulatedService(
        "exchange listing announcements, binary JSON frames", "recorder.simulate.cryptolisting"
    ),
    "smartmoney": SimulatedService(
        "whales, derivatives, flows and signals by channel", "recorder.simulate.smartmoney"
    ),
}

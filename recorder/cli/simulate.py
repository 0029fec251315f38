"""`recorder simulate`."""

from __future__ import annotations

import asyncio
import signal
from typing import Any

import click

from recorder.cli import options

SERVICES = ("cryptolisting", "smartmoney")


@click.command(epilog="\b\nExample:\n  recorder simulate smartmoney --port 8765 --rate 50")
@click.argument("service", type=click.Choice(SERVICES))
@options.address(0)
@click.option(
    "--rate",
    type=click.FloatRange(0, 100_000),
    help="Events per second.  [default: depends on the service]",
)
@click.option(
    "--seed",
    type=int,
    default=0,
    show_default=True,
    help="Seed of the market: the same seed gives the same events.",
)
@click.option("--old-schema", is_flag=True, help="cryptolisting: use the older documented schema.")
@click.option("--no-limits", is_flag=True, help="cryptolisting: do not limit connections.")
def simulate(
    service: str,
    host: str,
    port: int,
    rate: float | None,
    seed: int,
    old_schema: bool,
    no_limits: bool,
) -> None:
    """Run a simulated SERVICE on this machine until stopped; print its URL.

    It follows the real service's documentation: authentication, subscriptions, heartbeats, limits
    and close codes. Its market data is invented. It accepts any well-formed key.
    """
    from recorder.errors import UsageError
    from recorder.simulate import SERVICES as KNOWN

    given: dict[str, Any] = {"host": host, "port": port, "seed": seed}
    if rate is not None:
        given["rate"] = rate
    if service == "cryptolisting":
        given["schema"] = "old" if old_schema else "new"
        if no_limits:
            given["limits"] = None
    try:
        asyncio.run(_serve(KNOWN[service], given))
    except OSError as error:
        raise UsageError(
            f"cannot listen on {host}:{port}: {error.strerror}", hint="choose another --port"
        ) from None
    except ValueError as error:
        raise UsageError(str(error)) from None


async def _serve(service: Any, given: dict[str, Any]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with await service.serve(service.options(**given)) as server:
        click.echo(server.url)
        await stop.wait()

"""`recorder alerts`."""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import TYPE_CHECKING

import click

from recorder.cli import options, types

if TYPE_CHECKING:
    from recorder.alerts.delivery import Delivery
    from recorder.alerts.service import Plan
    from recorder.times import Duration


@click.command(
    epilog="\b\nExamples:\n  recorder alerts\n  recorder alerts --once\n"
    "  recorder alerts --test big_liquidation"
)
@options.directory
@click.option("--once", is_flag=True, help="Look once at what is new since the last run, and end.")
@click.option("--test", "tried", metavar="RULE", help="Send a made-up alert of this rule, and end.")
@click.option(
    "--catch-up",
    type=types.Length(),
    default="15m",
    show_default=True,
    help="After a restart, look at rows up to this age.",
)
@options.logging
@click.pass_context
def alerts(
    ctx: click.Context,
    where: options.RecordOptions,
    once: bool,
    tried: str | None,
    catch_up: Duration,
    logs: options.LogOptions,
) -> None:
    """Watch for what the rules say, and tell who should know.

    Rules are the tables [alerts.NAME] of the settings: a condition in SQL on new rows of a table,
    or one on the recorder's health. Each row is told at most once per rule, over restarts too.
    Everything told is in DATA_DIR/work/alerts.jsonl. Ctrl-C or SIGTERM ends it.
    """
    from recorder.alerts.service import Service, plan
    from recorder.clock import NS
    from recorder.errors import UsageError

    if once and tried:
        raise UsageError("--once and --test exclude each other")
    settings = where.settings()
    made = plan(settings, os.environ)
    say = logs.begin(made.hide)
    for name, to in settings.destinations.items():
        if to.token is not None:
            better = "the environment, or a token_file of mode 0600"
            say.warning("a token stands in the settings file", of=name, better=better)
    if tried:
        ctx.exit(_try(made, tried))
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    service = Service(made, say, once=once)
    try:
        now_ns = time.time_ns()
        service.begin((now_ns - catch_up.before(now_ns)) / NS)
        if once:
            service.look(everything=True)
        else:
            service.run(stop)
    finally:
        service.close()
    ctx.exit(1 if once and service.undelivered else 0)


def _try(made: Plan, name: str) -> int:
    """Say what arrived where; 1 if something did not."""
    from recorder.alerts.delivery import DELIVERED
    from recorder.alerts.service import try_rule

    failed = 0

    def report(delivery: Delivery) -> None:
        nonlocal failed
        failed += delivery.outcome != DELIVERED
        why = f": {delivery.why}" if delivery.why else ""
        click.echo(f"{delivery.destination}: {delivery.outcome}{why}", err=True)

    alert = try_rule(made, name, report)
    click.echo(alert.title)
    if alert.text:
        click.echo(alert.text)
    if not alert.to:
        click.echo("it goes to the log alone: the rule has no 'to'", err=True)
    return 1 if failed else 0

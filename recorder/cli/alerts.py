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
    from recorder.alerts.service import AlertPlan
    from recorder.times import Duration


@click.command(
    epilog="\b\nExamples:\n  recorder alerts\n  recorder alerts --once\n"
    "  recorder alerts --test big_liquidation"
)
@options.directory
@click.option(
    "--once", is_flag=True, help="Evaluate what is new since the last run once, then exit."
)
@click.option("--test", "tested", metavar="RULE", help="Send a test alert of this rule, then exit.")
@click.option(
    "--catch-up",
    type=types.Length(),
    default="15m",
    show_default=True,
    help="After a restart, evaluate rows up to this age.",
)
@options.logging
@click.pass_context
def alerts(
    ctx: click.Context,
    where: options.RecordOptions,
    once: bool,
    tested: str | None,
    catch_up: Duration,
    logs: options.LogOptions,
) -> None:
    """Evaluate alert rules and send notifications.

    A rule is a table [alerts.NAME] of the settings: an SQL condition on new rows of a table, or a
    condition on the recorder's health. A row alerts at most once per rule, also after a restart.
    DATA_DIR/work/alerts.jsonl logs every alert. Ctrl-C or SIGTERM stops it.
    """
    from recorder.alerts.service import AlertService, plan
    from recorder.clock import NS
    from recorder.errors import UsageError

    if once and tested:
        raise UsageError("--once and --test exclude each other")
    settings = where.settings_to_write()
    made = plan(settings, os.environ)
    say = logs.begin(made.hide)
    for name, to in settings.destinations.items():
        if to.token is not None:
            better = "the environment, or a token_file of mode 0600"
            say.warning("the settings file contains a token", of=name, better=better)
    if tested:
        ctx.exit(_send_test(made, tested))
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    service = AlertService(made, say, once=once)
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


def _send_test(made: AlertPlan, name: str) -> int:
    """Send a test alert and print each delivery; return 1 if one failed, else 0."""
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
        click.echo("written to the log only: the rule has no 'to'", err=True)
    return 1 if failed else 0

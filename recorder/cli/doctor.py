"""`recorder doctor`."""

from __future__ import annotations

import click

from recorder.cli import options


@click.command(epilog="\b\nExamples:\n  recorder doctor\n  recorder doctor --connect")
@options.directory
@click.option("--connect", is_flag=True, help="Also connect to each endpoint once.")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
@click.pass_context
def doctor(
    ctx: click.Context,
    where: options.RecordOptions,
    connect: bool,
    as_json: bool,
) -> None:
    """Check the machine, the settings and the data directory before months of recording.

    Prints where each key comes from, never the key. Exits with code 10 if a check fails.
    """
    import dataclasses
    import json
    import os

    from recorder.answers.cells import visible
    from recorder.redact import Redactor
    from recorder.settings.keys import key_of, secrets_of
    from recorder.status.doctor import examine

    settings = where.settings()
    checks = list(examine(settings))
    if connect and all(check.ok is not False for check in checks if check.name.startswith("feed")):
        import asyncio

        from recorder.capture.sources import sources
        from recorder.status.doctor import reach

        keys = {name: key_of(name, feed, os.environ) for name, feed in settings.feeds.items()}
        hide = Redactor(part for key in keys.values() for part in secrets_of(key))
        reached = asyncio.run(reach(settings, sources(settings, keys)))
        checks += [dataclasses.replace(check, says=hide(check.says)) for check in reached]
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(check) for check in checks], indent=2))
    else:
        for check in checks:
            mark = {True: "ok  ", False: "BAD ", None: "note"}[check.ok]
            click.echo(f"{mark} {visible(check.name):12} {visible(check.says)}")
            if check.ok is False and check.hint:
                click.echo(f"     {'':12} {visible(check.hint)}")
    ctx.exit(10 if any(check.ok is False for check in checks) else 0)

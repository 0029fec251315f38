"""`recorder config`."""

from __future__ import annotations

import click

from recorder.cli import options


@click.command(epilog="\b\nExamples:\n  recorder config\n  recorder config --changed --json")
@options.directory
@click.option("--changed", is_flag=True, help="Show only settings that differ from their defaults.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
def config(where: options.RecordOptions, changed: bool, as_json: bool) -> None:
    """Show the effective settings and where each comes from: a flag, a variable or the file.

    Secrets are shown only as set or not set. docs/settings.md explains each setting.
    """
    import json

    from recorder.settings.origins import settings_of

    settings = where.settings()
    flags = {"data_dir": where.data_dir} if where.data_dir is not None else {}
    shown = [
        one
        for one in settings_of(settings, flags, where.file)
        if not (changed and one.origin == "default")
    ]
    if as_json:
        for one in shown:
            row = {"setting": one.name, "value": one.value, "hidden": one.hidden}
            row["from"] = one.origin
            click.echo(json.dumps(row, ensure_ascii=False))
        return
    width = max((len(one.name) for one in shown), default=0)
    value_width = max((len(one.text) for one in shown), default=0)
    for one in shown:
        click.echo(f"{one.name:{width}}  {one.text:{min(value_width, 40)}}  {one.origin}")
    if not settings.feeds:
        click.echo("No feed is configured; choose some: recorder init", err=True)

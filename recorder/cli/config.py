"""`recorder config`."""

from __future__ import annotations

import click

from recorder.cli import options


@click.command(epilog="\b\nExamples:\n  recorder config\n  recorder config --changed --json")
@options.directory
@click.option("--changed", is_flag=True, help="Only what is not a default.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, for programs.")
def config(where: options.RecordOptions, changed: bool, as_json: bool) -> None:
    """Show the settings that hold, and where each comes from: a flag, a variable, the file.

    What may hold a secret is said to be set, never shown. docs/settings.md says what each means.
    """
    import json

    from recorder.settings.origins import settings_of

    settings = where.settings()
    flags = {"data_dir": where.data_dir} if where.data_dir is not None else {}
    found = [
        one
        for one in settings_of(settings, flags, where.file)
        if not (changed and one.origin == "default")
    ]
    if as_json:
        for one in found:
            told = {"setting": one.name, "value": one.value, "hidden": one.hidden}
            told["from"] = one.origin
            click.echo(json.dumps(told, ensure_ascii=False))
        return
    width = max((len(one.name) for one in found), default=0)
    wide = max((len(one.text) for one in found), default=0)
    for one in found:
        click.echo(f"{one.name:{width}}  {one.text:{min(wide, 40)}}  {one.origin}")
    if not settings.feeds:
        click.echo("No feed is configured: recorder init", err=True)

"""`recorder feeds`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from recorder.cli import options

if TYPE_CHECKING:
    from recorder.feed import Feed


@click.command(
    epilog="\b\nExamples:\n  recorder feeds\n  recorder feeds binance\n  recorder feeds --json"
)
@click.argument("kind", required=False, shell_complete=options.feed_kinds)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
def feeds(kind: str | None, as_json: bool) -> None:
    """List the feeds; with KIND, show one with its channels and an example configuration."""
    from recorder.feeds import feed

    if as_json:
        for found in [feed(kind)] if kind else _all():
            click.echo(_json(found))
    elif kind is None:
        _list()
    else:
        _show(feed(kind))


def _show(found: Feed) -> None:
    from recorder.settings.example import feed_table

    click.echo(found.title)
    click.echo(f"\nendpoints  {', '.join(found.endpoints) or 'set by you'}")
    click.echo(f"key        {found.key_help or 'none needed'}")
    click.echo(f"tables     {', '.join(found.tables) or 'none: raw frames only'}")
    if found.catalogue is not None:
        click.echo(
            "patterns   a * in a channel matches the venue's symbols, also those listed later"
        )
    if found.channels:
        click.echo("\nchannels")
        width = max(26, *map(len, found.channels))
        for name, brings in found.channels.items():
            click.echo(f"  {name:{width}} {brings}")
    click.echo(f"\nin recorder.toml\n\n{feed_table(found)}")


def _all() -> list[Feed]:
    """Return every usable feed; print why a feed of another package is not usable."""
    from recorder.errors import ConfigError
    from recorder.feeds import feed, kinds

    usable = []
    for name in kinds():
        try:
            usable.append(feed(name))
        except ConfigError as error:  # the other feeds are usable
            click.echo(f"recorder: {error}", err=True)
    return usable


def _list() -> None:
    known = _all()
    width = max(len(found.kind) for found in known)
    for found in known:
        key = "key   " if found.key_help else "no key"
        click.echo(f"{found.kind:{width}}  {key}  {found.title}")
    click.echo("\nShow a feed's channels, tables and endpoints: recorder feeds KIND", err=True)
    click.echo("Write a settings file for some feeds: recorder init", err=True)


def _json(found: Feed) -> str:
    import json

    description: dict[str, Any] = {
        "kind": found.kind,
        "title": found.title,
        "endpoints": found.endpoints,
        "key": found.key_help,
        "channels": found.channels,
        "default_channels": found.default_channels,
        "patterns": found.catalogue is not None,
        "tables": found.tables,
    }
    return json.dumps(description)

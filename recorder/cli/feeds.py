"""`recorder feeds`."""

from __future__ import annotations

import click


@click.command(epilog="\b\nExamples:\n  recorder feeds\n  recorder feeds binance")
@click.argument("kind", required=False)
def feeds(kind: str | None) -> None:
    """List the feeds; with KIND, show one with its channels and an example configuration."""
    from recorder.feeds import feed

    if kind is None:
        _list()
        return
    found = feed(kind)
    click.echo(found.title)
    click.echo(f"\nendpoints  {', '.join(found.endpoints) or 'set by you'}")
    click.echo(f"key        {found.key_help or 'none needed'}")
    click.echo(f"tables     {', '.join(found.tables) or 'none: raw frames only'}")
    if found.channels:
        click.echo("\nchannels")
        for name, brings in found.channels.items():
            click.echo(f"  {name:26} {brings}")
    click.echo(f"\nin recorder.toml\n\n{example(kind)}")


def _list() -> None:
    from recorder.errors import ConfigError
    from recorder.feeds import feed, kinds

    for name in kinds():
        try:
            found = feed(name)
        except ConfigError as error:  # another package's; the others are fine
            click.echo(f"recorder: {error}", err=True)
            continue
        key = "key" if found.key_help else "no key"
        click.echo(f"{name:14} {key:7} {found.title}")


def example(kind: str) -> str:
    """A configuration of this feed that works as it stands (but for a key)."""
    from recorder.feeds import feed

    found = feed(kind)
    if kind == "generic":
        return (
            '[feeds.mine]\nkind = "generic"\nurl = "wss://example.org/ws"\n'
            'subscribe = [\'{"op":"subscribe"}\']'
        )
    channels = ", ".join(f'"{name}"' for name in found.default_channels)
    return f"[feeds.{kind}]" + (f"\nchannels = [{channels}]" if channels else "")

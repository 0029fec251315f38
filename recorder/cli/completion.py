"""`recorder completion`."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command(epilog='\b\nExample:\n  eval "$(recorder completion bash)"')
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script for SHELL; put it where the shell reads its own."""
    from recorder.cli import bash, cli

    bash.register()
    found = get_completion_class(shell)
    assert found is not None
    click.echo(found(cli, {}, "recorder", "_RECORDER_COMPLETE").source())

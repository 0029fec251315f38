"""`recorder completion`."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command(epilog='\b\nExample:\n  eval "$(recorder completion bash)"')
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script for SHELL; save it where the shell looks for completions."""
    from recorder.cli import bash, cli

    bash.register()
    script = get_completion_class(shell)
    assert script is not None
    click.echo(script(cli, {}, "recorder", "_RECORDER_COMPLETE").source())

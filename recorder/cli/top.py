"""`recorder top`."""

from __future__ import annotations

from pathlib import Path

import click

from recorder.cli import options


@click.command(
    epilog="\b\nExamples:\n  recorder top\n  recorder top data/sample\n"
    "  recorder top http://127.0.0.1:8787"
)
@click.argument("place", required=False, metavar="[DATA_DIR|URL]")
@options.config
@click.option(
    "--token-file",
    type=click.Path(dir_okay=False, exists=True, path_type=Path),
    help="Token of a remote `recorder serve`.  [env RECORDER_SERVE_TOKEN holds the token itself]",
)
def top(place: str | None, config: Path | None, token_file: Path | None) -> None:
    """Show live connections, rates, gaps, events and problems in the terminal.

    The argument is a data directory on this machine, or the URL of a `recorder serve`. Needs the
    extra `tui`: pip install 'feed-recorder[tui]'.
    """
    import os
    import sys

    from recorder.errors import UsageError, install_hint

    try:
        from recorder.tui.app import Top
        from recorder.tui.source import Directory, Remote, TopSource
    except ImportError as error:
        if error.name is None or not error.name.startswith("textual"):
            raise
        what, hint = "textual is not installed", install_hint("tui")
        raise UsageError(what, hint=hint) from None
    source: TopSource
    if place is not None and place.startswith(("http://", "https://")):
        token = token_file.read_text().strip() if token_file else None
        source = Remote(place, token or os.environ.get("RECORDER_SERVE_TOKEN"))
    else:
        from recorder.cli.status import existing_layout

        source = Directory(
            *existing_layout(options.RecordOptions(config, Path(place) if place else None))
        )
    if not sys.stdout.isatty():
        hint = "for scripts: recorder status --json"
        raise UsageError("top needs a terminal to draw on", hint=hint)
    source.status()  # say what is wrong before the screen is taken
    Top(source).run()

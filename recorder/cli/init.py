"""`recorder init`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from recorder.cli import options


@click.command(
    epilog="\b\nExamples:\n  recorder init\n  recorder init --feed bybit --feed hyperliquid"
)
@click.option(
    "--feed",
    "kinds",
    multiple=True,
    shell_complete=options.feed_kinds,
    help="A feed to record (repeatable).  [default: ask]",
)
@click.option(
    "--config",
    "path",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("recorder.toml"),
    show_default=True,
    help="The settings file to write.",
)
@click.option(
    "--data-dir", default="data", show_default=True, help="The data directory to name in it."
)
@click.option("--force", is_flag=True, help="Overwrite an existing settings file.")
def init(kinds: tuple[str, ...], path: Path, data_dir: str, force: bool) -> None:
    """Write a settings file that records the feeds you pick.

    The file is ready to use. For a feed that needs a key, the command prints which environment
    variable to set; keys are never written to the file.
    """
    from recorder.errors import ConfigError, UsageError
    from recorder.feeds import feed
    from recorder.settings.example import settings
    from recorder.settings.keys import key_variable

    if path.exists() and not force:
        hint = "edit it, choose another with --config, or overwrite it with --force"
        raise UsageError("already exists", where=str(path), hint=hint)
    chosen = [feed(kind) for kind in dict.fromkeys(kinds or _ask())]
    try:
        path.write_text(settings(chosen, data_dir), "utf-8")
    except OSError as error:
        hint = "choose another file with --config"
        raise ConfigError(f"not writable: {error.strerror}", where=str(path), hint=hint) from None
    click.echo(f"wrote {path}: {', '.join(found.kind for found in chosen)}", err=True)
    for found in chosen:
        if found.key_help is not None:
            what = f"{found.kind} needs {found.key_help}"
            click.echo(f"{what}: export {key_variable(found.kind)}=...", err=True)
    config = "" if path == Path("recorder.toml") else f" --config {path}"
    click.echo(f"check it with:  recorder doctor{config}", err=True)
    click.echo(f"record with:    recorder capture{config}", err=True)


def _ask() -> tuple[str, ...]:
    """Ask at the terminal which feeds to record; return their kinds.

    Raises:
        UsageError: stdin is not a terminal.
    """
    from recorder.errors import UsageError, did_you_mean
    from recorder.feeds import feed, kinds

    known = kinds()
    keyless = next(kind for kind in known if feed(kind).key_help is None)
    if not sys.stdin.isatty():
        raise UsageError("no feed given", hint=f"for example: recorder init --feed {keyless}")
    width = max(map(len, known))
    for number, kind in enumerate(known, 1):
        key = "(key)" if feed(kind).key_help else ""
        click.echo(f"{number:3}  {kind:{width}}  {feed(kind).title} {key}", err=True)
    while True:
        answer = click.prompt("\nWhich? Numbers or names", default=keyless, err=True)
        words = answer.replace(",", " ").split()
        picked = tuple(
            known[int(word) - 1] if word.isdecimal() and 0 < int(word) <= len(known) else word
            for word in words
        )
        wrong = [word for word in picked if word not in known]
        if not wrong and picked:
            return picked
        for word in wrong:
            click.echo(f"no feed '{word}'; {did_you_mean(word, known)}", err=True)

"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def data_dir(command: F) -> F:
    """`--data-dir`: where the record and the database are."""
    return click.option(
        "--data-dir",
        type=click.Path(file_okay=False, path_type=Path),
        help="Where the record and the database are.  [env RECORDER_DATA_DIR; default: data]",
    )(command)


def config(command: F) -> F:
    """`--config`: which settings file."""
    return click.option(
        "--config",
        "config_path",
        type=click.Path(dir_okay=False, path_type=Path),
        help="Settings file.  [default: recorder.toml, if there is one]",
    )(command)


def logging(command: F) -> F:
    """`--log-format` and `--log-level`."""
    command = click.option(
        "--log-format",
        type=click.Choice(["text", "json"]),
        default="text",
        show_default=True,
    )(command)
    return click.option(
        "--log-level",
        type=click.Choice(["debug", "info", "warning", "error"]),
        default="info",
        show_default=True,
        help="Least serious message shown.",
    )(command)


def feed_kinds(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Completes the kinds of feeds."""
    from recorder.feeds import kinds

    del ctx, param
    return [kind for kind in kinds() if kind.startswith(incomplete)]

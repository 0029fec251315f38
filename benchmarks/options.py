"""What the benchmarks' commands share: options, and how a result is printed and judged."""

import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import click

from benchmarks.report import Figures

as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
strict = click.option("--strict", is_flag=True, help="Exit 1 when a bar is missed.")


def folder(what: str = "Work below this folder.") -> Callable[[Callable[..., None]], click.Command]:
    """Return the option `--folder`; `what` says what the benchmark writes there."""
    return click.option(
        "--folder",
        type=click.Path(exists=True, file_okay=False, path_type=Path),
        default=Path(tempfile.gettempdir()),
        help=f"{what}  [the system's temporary one]",
    )


def conclude(
    result: Figures, show: Callable[[Figures], None], *, as_json: bool, strict: bool = False
) -> None:
    """Print a result: one JSON object, or what `show` makes of it.

    Exits with 1 if `strict`, and a bar of the result is missed.
    """
    if as_json:
        click.echo(json.dumps(result))
    else:
        show(result)
    if strict and not all(bar["passed"] for bar in result["bars"]):
        sys.exit(1)

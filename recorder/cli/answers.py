"""The output options that `query` and `sql` share, and the printing of an answer."""

from __future__ import annotations

import io
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from recorder.answers.output import FORMATS, write
from recorder.cli import options
from recorder.errors import UsageError, install_hint

if TYPE_CHECKING:
    import pyarrow as pa

#: The value of `--plot` without a file.
_TERMINAL = "-"
_PICTURES = (".png", ".svg")


@dataclass(frozen=True, slots=True)
class AnswerOptions:
    """The format of an answer: `--format`, `--json`, `--plot`."""

    format_: str | None = None
    plot: str | None = None

    def check(self) -> None:
        """Check before the query runs that the plot can be drawn.

        Raises:
            UsageError: the file's format is unknown, or a plotting library is not installed.
        """
        if self.plot is None:
            return
        if self.plot != _TERMINAL and Path(self.plot).suffix.lower() not in _PICTURES:
            hint = "name it FILE.png or FILE.svg; to draw in the terminal put --plot last"
            what = f"cannot write a plot to '{self.plot}': unknown format"
            raise UsageError(what, where="--plot", hint=hint)
        try:
            if self.plot == _TERMINAL:
                import plotext  # noqa: F401
            else:
                import matplotlib as _  # noqa: F401
        except ImportError as error:
            hint = f"install what it needs: {install_hint('plot')}"
            raise UsageError(f"{error.name} is not installed", where="--plot", hint=hint) from None


_format = click.option(
    "--format",
    "format_",
    type=click.Choice(FORMATS),
    help="Output format of the rows.  [default: table on a terminal, else csv]",
)
_json = click.option("--json", "format_", flag_value="json", help="Same as --format json.")
_plot = click.option(
    "--plot",
    is_flag=False,
    flag_value=_TERMINAL,
    metavar="[FILE]",
    help="Plot the answer in the terminal, or to FILE.png or FILE.svg.",
    shell_complete=lambda ctx, param, typed: [
        click.shell_completion.CompletionItem(typed, type="file")
    ],
)
#: The output options as one argument `how`.
shown = options.gathered(
    "how", AnswerOptions, format_=lambda command: _format(_json(command)), plot=_plot
)


def show(
    table: pa.Table,
    how: AnswerOptions,
    *,
    title: str,
    note: str,
    plot: str = "",
    subtitle: str = "",
) -> None:
    """Plot or print the answer, then print its title and number of rows on stderr."""
    as_drawing = how.plot is not None
    if as_drawing:
        _draw(table, how, title, plot, subtitle)
    if how.format_ or not as_drawing:
        _write(table, how.format_)
    rows = "1 row" if table.num_rows == 1 else f"{table.num_rows:,} rows"
    saved = f"; plot saved to {how.plot}" if how.plot not in {None, _TERMINAL} else ""
    click.echo(f"{title}: {rows}{note}{saved}", err=True)


def _write(table: pa.Table, format: str | None) -> None:
    if isinstance(sys.stdout, io.TextIOWrapper):  # files are UTF-8 whatever the locale
        terminal = sys.stdout.isatty()
        sys.stdout.reconfigure(
            encoding=None if terminal else "utf-8", errors="backslashreplace" if terminal else None
        )
    try:
        write(table, format, sys.stdout)
    except BrokenPipeError:  # the reader, e.g. `head`, closed the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _draw(table: pa.Table, how: AnswerOptions, title: str, plot: str, subtitle: str) -> None:
    from recorder.plot import picture, terminal
    from recorder.plot.chart import chart
    from recorder.plot.spec import checked, guess, parse

    spec = checked(parse(plot, title), table, title) if plot else guess(table)
    drawing = chart(table, spec, title, subtitle)
    if how.plot != _TERMINAL:
        picture.save(drawing, Path(str(how.plot)))
        return
    colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    size = shutil.get_terminal_size((80, 28))
    terminal.draw(drawing, sys.stdout, colour=colour, width=size.columns, height=size.lines - 8)
